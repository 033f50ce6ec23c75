import type { SpokenSpan } from '../contract.ts'

/** Pauses after marks, in syllables: people and voices breathe for about so long. */
const PAUSES: [RegExp, number][] = [
  [/[.!?…。！？]["')\]”’»]*$/u, 2],
  [/[,;:–—，、；：]["')\]”’»]*$/u, 1],
]
const IDEOGRAPH = /(?=\p{L})[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Hangul}]/gu
const VOWELS = /[aeiouyàáâãäåæèéêëìíîïòóôõöøœùúûüýÿаеёиоуыэюяαεηιουωάέήίόύώ]+/giu

/** When each word of a text is spoken that lasts `durationMs`, by its syllables: for engines that tell nothing. Covers the time without gaps except pauses. */
export function estimateSpans(text: string, durationMs: number): SpokenSpan[] {
  const words = [...text.matchAll(/\S+/gu)].map((match) => ({ charStart: match.index, charEnd: match.index + match[0].length, weight: syllables(match[0]), pause: pauseAfter(match[0]) }))
  const voiced = words.filter(({ weight }) => weight > 0)
  if (voiced.length === 0 || durationMs <= 0) return []
  // The pause behind the last word is mostly cut off by engines.
  voiced.at(-1)!.pause = 0
  const total = voiced.reduce((sum, { weight, pause }) => sum + weight + pause, 0)
  let passed = 0
  return voiced.map(({ charStart, charEnd, weight, pause }) => {
    const startMs = (passed / total) * durationMs
    const endMs = ((passed + weight) / total) * durationMs
    passed += weight + pause
    return { charStart, charEnd, startMs, endMs }
  })
}

/** Groups of vowels; a letter alone, a digit and an ideograph are one each; marks are none. */
function syllables(word: string): number {
  const digits = word.match(/\p{N}/gu)?.length ?? 0
  const ideographs = word.match(IDEOGRAPH)?.length ?? 0
  const letters = word.replaceAll(IDEOGRAPH, '').match(/\p{L}+/gu) ?? []
  const spoken = letters.reduce((sum, letters) => sum + Math.max(1, letters.match(VOWELS)?.length ?? Math.ceil(letters.length / 3)), 0)
  return digits + ideographs + spoken
}

const pauseAfter = (word: string): number => PAUSES.find(([pattern]) => pattern.test(word))?.[1] ?? 0

/** Spans of a spoken form as spans of what was written; neighbours that stand for the same characters ("forty", "two" for "42") become one. */
export function mapSpans(spans: readonly SpokenSpan[], source: (start: number, end: number) => { charStart: number; charEnd: number }): SpokenSpan[] {
  const mapped: SpokenSpan[] = []
  for (const { charStart, charEnd, startMs, endMs } of spans) {
    const place = source(charStart, charEnd)
    const before = mapped.at(-1)
    if (before && before.charStart === place.charStart && before.charEnd === place.charEnd) before.endMs = Math.max(before.endMs, endMs)
    else mapped.push({ ...place, startMs, endMs })
  }
  return mapped
}
