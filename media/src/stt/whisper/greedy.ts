import { TIME_STEP_MS, applyRules, best, probabilityOf } from './rules.ts'
import type { TokenRules } from './rules.ts'

/** A decoder that remembers: fed with the next tokens, it answers the logits behind each of them. */
export type Decoder = { feed(tokens: readonly number[]): Promise<Float32Array[]> }

export type Prompt = {
  start: number
  transcribe: number | null
  /** Token of the language; null: find it out among `languages`. English-only models have none. */
  language: number | null
  languages: ReadonlyMap<number, string>
  noSpeech: number | null
}

export type Piece = { tokens: number[]; startMs: number; endMs: number; logprob: number }
export type Heard = { pieces: Piece[]; language: string | null; confidence: number | null; noSpeech: number }

/** As many tokens as the fastest talker needs, so that a model that repeats itself for ever is stopped: some 14 a second, and 224 at most. */
const TOKENS_PER_S = 14
const MIN_TOKENS = 16
const MAX_TOKENS = 224

/** The likeliest token, one after another, until the model says that it is done. Greedy: a second thought (beams, temperatures) costs time that a call does not have. */
export async function transcribeGreedily(decoder: () => Decoder, prompt: Prompt, rules: TokenRules, soundMs: number, signal: () => void): Promise<Heard> {
  const language = prompt.language ?? (await findLanguage(decoder(), prompt))
  const begin = [prompt.start, ...(language === null ? [] : [language]), ...(prompt.transcribe === null ? [] : [prompt.transcribe])]
  const line = decoder()
  const answers = await line.feed(begin)
  const noSpeech = prompt.noSpeech === null ? 0 : probabilityOf(answers[0]!, prompt.noSpeech)
  const said: number[] = []
  const logprobs: number[] = []
  const limit = Math.min(MAX_TOKENS, MIN_TOKENS + Math.ceil((soundMs / 1_000) * TOKENS_PER_S))
  for (let logits = answers.at(-1)!; said.length < limit; logits = (await line.feed([said.at(-1)!]))[0]!) {
    signal()
    applyRules(logits, said, rules)
    const next = best(logits)
    if (!next || next.token === rules.end) break
    said.push(next.token)
    logprobs.push(next.logprob)
  }
  const confidence = logprobs.length === 0 ? null : Math.exp(logprobs.reduce((sum, one) => sum + one, 0) / logprobs.length)
  return { pieces: piecesOf(said, logprobs, rules, soundMs), language: language === null ? null : (prompt.languages.get(language) ?? null), confidence, noSpeech }
}

/** One look at the sound with nothing but the start token (openai/whisper, `detect_language`). */
async function findLanguage(decoder: Decoder, { start, languages }: Prompt): Promise<number | null> {
  if (languages.size === 0) return null
  const [logits] = await decoder.feed([start])
  let found: number | null = null
  for (const token of languages.keys()) if (found === null || logits![token]! > logits![found]!) found = token
  return found
}

/** Text between two times. What no time ends lasts as long as the sound. */
function piecesOf(said: readonly number[], logprobs: readonly number[], { noTimestamps }: TokenRules, soundMs: number): Piece[] {
  const pieces: Piece[] = []
  let open: Piece | null = null
  let startMs = 0
  for (const [index, token] of said.entries()) {
    if (token > noTimestamps) {
      startMs = Math.min(soundMs, (token - noTimestamps - 1) * TIME_STEP_MS)
      if (open) open.endMs = startMs
      open = null
    } else if (open) {
      open.tokens.push(token)
      open.logprob += logprobs[index]!
    } else pieces.push((open = { tokens: [token], startMs, endMs: soundMs, logprob: logprobs[index]! }))
  }
  return pieces
}
