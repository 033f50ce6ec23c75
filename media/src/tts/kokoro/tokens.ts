import type { Clause } from '../espeak/phonemes.ts'

/** Ids of single characters of IPA, marks and the space. */
export type Vocabulary = Record<string, number>

/** The model's window is 512 tokens with the two pads (Kokoro-82M, config.json `plbert.max_position_embeddings`). */
export const MAX_TOKENS = 510

/** Where espeak's IPA differs from what the model was trained on (kokoro.js, phonemize.js). Characters it does not know are left out. */
const REPLACED: Record<string, string> = { ʲ: 'j', r: 'ɹ', x: 'k', ɬ: 'l' }

/** Tokens of a text without the pads. */
export function tokensOf(clauses: readonly Clause[], vocabulary: Vocabulary): number[] {
  const text = clauses.map(({ words, mark }) => `${words.join(' ')}${mark}`).join(' ')
  return Array.from(text).flatMap((sign) => vocabulary[REPLACED[sign] ?? sign] ?? []).slice(0, MAX_TOKENS)
}

/** Values of one style; a voice has one for every number of tokens. */
export const STYLE_SIZE = 256

/** The style for a text of so many tokens; of a voice with fewer rows the last. */
export function styleOf(voice: Float32Array, tokens: number): Float32Array {
  const rows = Math.floor(voice.length / STYLE_SIZE)
  const row = Math.min(tokens, rows - 1)
  return voice.slice(row * STYLE_SIZE, (row + 1) * STYLE_SIZE)
}
