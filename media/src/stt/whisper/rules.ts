/** What a model's generation_config.json says of its tokens. */
export type TokenRules = {
  end: number
  /** Later tokens are times, 20 ms apart. */
  noTimestamps: number
  /** Never said. */
  suppressed: readonly number[]
  /** Not said first. */
  suppressedFirst: readonly number[]
  /** The first word begins at this time at the latest, in steps of 20 ms. */
  maxFirstTime: number
}

export const TIME_STEP_MS = 20

/**
 * Takes from the logits what may not come next (openai/whisper, decoding.py: SuppressTokens, SuppressBlank, ApplyTimestampRules): times come in
 * pairs around text, never go back, and stand at the beginning. `said` is what was chosen so far.
 */
export function applyRules(logits: Float32Array, said: readonly number[], rules: TokenRules): void {
  const firstTime = rules.noTimestamps + 1
  const forbid = (from: number, to = from + 1) => logits.fill(-Infinity, Math.max(0, from), to)
  for (const token of rules.suppressed) forbid(token)
  // Start, languages, tasks and the like: they stand before the text, not in it.
  forbid(rules.end + 1, firstTime)
  if (said.length === 0) {
    for (const token of rules.suppressedFirst) forbid(token)
    forbid(0, firstTime)
    forbid(firstTime + rules.maxFirstTime + 1, logits.length)
    return
  }
  const lastIsTime = said.at(-1)! >= firstTime
  const beforeIsTime = said.length < 2 || said.at(-2)! >= firstTime
  if (lastIsTime && beforeIsTime) forbid(firstTime, logits.length)
  else if (lastIsTime) forbid(0, rules.end)
  const latest = said.findLast((token) => token >= firstTime)
  // A segment that ends at a time may be followed by one that begins there; one that begins there may not end there.
  if (latest !== undefined) forbid(firstTime, lastIsTime && !beforeIsTime ? latest : latest + 1)
  preferTimes(logits, firstTime)
}

/** When all times together are likelier than any word, it is a time. */
function preferTimes(logits: Float32Array, firstTime: number): void {
  let [word, loudest] = [-Infinity, -Infinity]
  for (let token = 0; token < firstTime; token++) word = Math.max(word, logits[token]!)
  for (let token = firstTime; token < logits.length; token++) loudest = Math.max(loudest, logits[token]!)
  if (loudest === -Infinity) return
  let sum = 0
  for (let token = firstTime; token < logits.length; token++) sum += Math.exp(logits[token]! - loudest)
  if (loudest + Math.log(sum) > word) logits.fill(-Infinity, 0, firstTime)
}

/** The likeliest token and the logarithm of its probability. Of nothing but the impossible: null. */
export function best(logits: Float32Array): { token: number; logprob: number } | null {
  let token = 0
  for (let index = 1; index < logits.length; index++) if (logits[index]! > logits[token]!) token = index
  const top = logits[token]!
  if (top === -Infinity || Number.isNaN(top)) return null
  let sum = 0
  for (const logit of logits) sum += Math.exp(logit - top)
  return { token, logprob: -Math.log(sum) }
}

/** Probability of one token among all. */
export function probabilityOf(logits: Float32Array, token: number): number {
  const chosen = best(logits)
  return chosen ? Math.exp(logits[token]! - logits[chosen.token]! + chosen.logprob) : 0
}
