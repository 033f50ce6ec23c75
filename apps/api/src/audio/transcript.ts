import type { WordTime } from '@trunkline/media'

/** What was heard in a file. */
export type Heard = { text: string; words: readonly WordTime[]; language: string | null; durationMs: number }
export type Cue = { text: string; startMs: number; endMs: number; confidence: number | null }

/** A cue ends with a sentence, at a pause of this length, and at this length (two lines of subtitles are read in six seconds). */
const PAUSE_MS = 1_000
const CUE_MS = 6_000

/** Words as cues of subtitles. Without times of words: one cue of all. */
export function cuesOf({ text, words, durationMs }: Heard): Cue[] {
  if (text === '') return []
  if (words.length === 0) return [{ text, startMs: 0, endMs: durationMs, confidence: null }]
  const groups: WordTime[][] = [[]]
  for (const [at, word] of words.entries()) {
    const group = groups.at(-1)!
    const last = words[at - 1]
    const isOver = group.length > 0 && last !== undefined && (/[.!?…。！？]["')\]]*$/u.test(last.text) || word.startMs - last.endMs >= PAUSE_MS || word.endMs - group[0]!.startMs > CUE_MS)
    if (isOver) groups.push([word])
    else group.push(word)
  }
  return groups.map((group) => ({ text: group.map((word) => word.text).join(' '), startMs: group[0]!.startMs, endMs: group.at(-1)!.endMs, confidence: meanOf(group) }))
}

function meanOf(words: readonly WordTime[]): number | null {
  const sure = words.flatMap(({ confidence }) => (confidence === null ? [] : [confidence]))
  return sure.length === 0 ? null : sure.reduce((sum, one) => sum + one, 0) / sure.length
}

/** SubRip: numbered cues, a comma before the milliseconds. */
export const srtOf = (heard: Heard): string => cuesOf(heard).map(({ text, startMs, endMs }, at) => `${at + 1}\n${clock(startMs, ',')} --> ${clock(endMs, ',')}\n${oneLine(text)}\n`).join('\n')

/** WebVTT (w3.org/TR/webvtt1): `-->` and `&` and `<` mean something there. */
export const vttOf = (heard: Heard): string =>
  ['WEBVTT\n', ...cuesOf(heard).map(({ text, startMs, endMs }) => `${clock(startMs, '.')} --> ${clock(endMs, '.')}\n${oneLine(text).replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')}\n`)].join('\n')

const oneLine = (text: string): string => text.replaceAll(/\s+/g, ' ').trim()

function clock(ms: number, mark: ',' | '.'): string {
  const whole = Math.max(0, Math.round(ms))
  const pad = (value: number, digits = 2) => String(value).padStart(digits, '0')
  return `${pad(Math.floor(whole / 3_600_000))}:${pad(Math.floor(whole / 60_000) % 60)}:${pad(Math.floor(whole / 1_000) % 60)}${mark}${pad(whole % 1_000, 3)}`
}

const seconds = (ms: number): number => Math.round(ms) / 1_000
export const usageOf = ({ durationMs }: Pick<Heard, 'durationMs'>) => ({ type: 'duration' as const, seconds: Math.ceil(durationMs / 1_000) })

/** OpenAI's `verbose_json`. Tokens are a supplier's own and are not told; what stands for the unknown is what no client trips over. */
export function verboseOf(heard: Heard, { granularities, temperature }: { granularities: readonly ('word' | 'segment')[]; temperature: number }) {
  const segments = cuesOf(heard).map(({ text, startMs, endMs, confidence }, id) => ({
    id, seek: 0, start: seconds(startMs), end: seconds(endMs), text, tokens: [] as number[], temperature, avg_logprob: confidence === null || confidence <= 0 ? 0 : Math.log(confidence), compression_ratio: 1, no_speech_prob: 0,
  }))
  const words = heard.words.map(({ text, startMs, endMs }) => ({ word: text, start: seconds(startMs), end: seconds(endMs) }))
  return {
    task: 'transcribe' as const, language: heard.language ?? '', duration: seconds(heard.durationMs), text: heard.text,
    ...(granularities.includes('segment') ? { segments } : {}), ...(granularities.includes('word') ? { words } : {}), usage: usageOf(heard),
  }
}
