import type { Clause } from '../espeak/phonemes.ts'

/** Ids of each symbol: one code point of IPA, a mark, or `^` (beginning), `_` (between), `$` (end). */
export type PhonemeIdMap = Record<string, number[]>

/**
 * `^ _ p _ p _ ... p _ $`: as the voices were trained (piper-phonemize, phoneme_ids.cpp: the pad behind the beginning too, which the old
 * Python runtime forgot). IPA is decomposed (NFD) first; symbols that the voice does not know are left out, as there.
 */
export function phonemeIds(clauses: readonly Clause[], map: PhonemeIdMap): number[] {
  const pad = map._ ?? []
  const ids = [...(map['^'] ?? []), ...pad]
  for (const symbol of symbolsOf(clauses)) {
    const known = map[symbol]
    if (known) ids.push(...known, ...pad)
  }
  return [...ids, ...(map.$ ?? [])]
}

/** Words apart by spaces, the clause's mark directly behind its last word, a space before the next clause. */
function symbolsOf(clauses: readonly Clause[]): string[] {
  const text = clauses.map(({ words, mark }) => `${words.join(' ')}${mark}`).join(' ')
  return Array.from(text.normalize('NFD'))
}
