/** One thing said, for reading and for players. */
export type Line = { by: 'customer' | 'agent'; text: string; start_ms: number; end_ms: number }

const SPEAKERS = { customer: 'Customer', agent: 'Agent' } as const
/** A cue that ends with its beginning is never shown. */
const SHORTEST_MS = 200

/** Players want cues in the order of their beginnings; rows are in the order in which it was known what was heard. */
const inTime = (lines: readonly Line[]): Line[] => lines.toSorted((one, two) => one.start_ms - two.start_ms)

/** An empty line would end the cue. */
const oneLine = (text: string): string => text.replaceAll(/\s+/g, ' ').trim()

const two = (value: number): string => String(value).padStart(2, '0')
const clock = (ms: number): string => [Math.floor(ms / 3_600_000), Math.floor(ms / 60_000) % 60, Math.floor(ms / 1_000) % 60].map(two).join(':')
const stamp = (ms: number, separator: ',' | '.'): string => `${clock(ms)}${separator}${String(ms % 1_000).padStart(3, '0')}`
const span = ({ start_ms: start, end_ms: end }: Line, separator: ',' | '.'): string => `${stamp(start, separator)} --> ${stamp(Math.max(end, start + SHORTEST_MS), separator)}`

export const asText = (lines: readonly Line[]): string => inTime(lines).map((line) => `[${clock(line.start_ms)}] ${SPEAKERS[line.by]}: ${oneLine(line.text)}\n`).join('')

/** SubRip has no standard; this is what players read. */
export const asSrt = (lines: readonly Line[]): string => inTime(lines).map((line, index) => `${index + 1}\n${span(line, ',')}\n${SPEAKERS[line.by]}: ${oneLine(line.text)}\n\n`).join('')

/** WebVTT (w3.org/TR/webvtt1): `<v>` names the speaker; `&`, `<` and `>` are escaped (§3.2), so no text ends a cue or opens a tag. */
export function asVtt(lines: readonly Line[]): string {
  const escaped = (text: string) => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')
  return `WEBVTT\n\n${inTime(lines).map((line) => `${span(line, '.')}\n<v ${SPEAKERS[line.by]}>${escaped(oneLine(line.text))}\n\n`).join('')}`
}
