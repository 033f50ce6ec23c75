type Word = { char_start: number; char_end: number; start_ms: number; end_ms: number }
/** One thing said, for reading and for players. `words`: in order, as far as it is known when they were said. */
export type Line = { by: 'customer' | 'agent'; text: string; start_ms: number; end_ms: number; words: readonly Word[] }
type Cue = Pick<Line, 'by' | 'text' | 'start_ms' | 'end_ms'>

const SPEAKERS = { customer: 'Customer', agent: 'Agent' } as const
/** A cue that ends with its beginning is never shown. */
const SHORTEST_MS = 200
/** What is longer is cut between two words: two rows of 42 characters, read in seven seconds, as broadcasters do it. */
const [CUE_CHARS_MAX, CUE_MS_MAX] = [84, 7_000]
/** A sentence that ends behind this part of a cue's room ends the cue. */
const FULL_ENOUGH = 0.5
/** Marks that open the next word go with it. */
const OPENING = /\S*$/u
const SENTENCE_END = /[.!?…。！？]["')\]”’»]*\s*$/u

/** Players want cues in the order of their beginnings; rows are in the order in which it was known what was heard. */
const inTime = <Timed extends Cue>(lines: readonly Timed[]): Timed[] => lines.toSorted((one, two) => one.start_ms - two.start_ms)

/** A long line as several cues. Words whose times nobody knows stay with the words before them. */
function cuesOf({ by, text, start_ms, end_ms, words }: Line): Cue[] {
  const cues: Cue[] = []
  let from = 0
  let startMs = start_ms
  const close = (until: number, endMs: number): void => void cues.push({ by, text: text.slice(from, until), start_ms: startMs, end_ms: endMs })
  for (const [n, word] of words.entries()) {
    const before = words[n - 1]
    if (!before || before.char_start < from || !isFull(text.slice(from, word.char_start), word.char_end - from, word.end_ms - startMs)) continue
    const until = Math.max(before.char_end, text.slice(0, word.char_start).search(OPENING))
    close(until, before.end_ms)
    from = until
    startMs = word.start_ms
  }
  close(text.length, end_ms)
  return cues
}

/** Whether the next word, with which it would be so long, goes into another cue. */
const isFull = (text: string, chars: number, ms: number): boolean =>
  chars > CUE_CHARS_MAX || ms > CUE_MS_MAX || (SENTENCE_END.test(text) && (text.length > CUE_CHARS_MAX * FULL_ENOUGH || ms > CUE_MS_MAX * FULL_ENOUGH))

const cues = (lines: readonly Line[]): Cue[] => inTime(lines.flatMap(cuesOf))

/** An empty line would end the cue. */
const oneLine = (text: string): string => text.replaceAll(/\s+/g, ' ').trim()

const two = (value: number): string => String(value).padStart(2, '0')
const clock = (ms: number): string => [Math.floor(ms / 3_600_000), Math.floor(ms / 60_000) % 60, Math.floor(ms / 1_000) % 60].map(two).join(':')
const stamp = (ms: number, separator: ',' | '.'): string => `${clock(ms)}${separator}${String(ms % 1_000).padStart(3, '0')}`
const span = ({ start_ms: start, end_ms: end }: Cue, separator: ',' | '.'): string => `${stamp(start, separator)} --> ${stamp(Math.max(end, start + SHORTEST_MS), separator)}`

export const asText = (lines: readonly Line[]): string => inTime(lines).map((line) => `[${clock(line.start_ms)}] ${SPEAKERS[line.by]}: ${oneLine(line.text)}\n`).join('')

/** SubRip has no standard; this is what players read. */
export const asSrt = (lines: readonly Line[]): string => cues(lines).map((line, index) => `${index + 1}\n${span(line, ',')}\n${SPEAKERS[line.by]}: ${oneLine(line.text)}\n\n`).join('')

/** WebVTT (w3.org/TR/webvtt1): `<v>` names the speaker; `&`, `<` and `>` are escaped (§3.2), so no text ends a cue or opens a tag. */
export function asVtt(lines: readonly Line[]): string {
  const escaped = (text: string) => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')
  return `WEBVTT\n\n${cues(lines).map((line) => `${span(line, '.')}\n<v ${SPEAKERS[line.by]}>${escaped(oneLine(line.text))}\n\n`).join('')}`
}
