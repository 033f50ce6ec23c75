import { AppError } from '@trunkline/core'
import type { Pcm, SampleRateHz } from '../frame.ts'
import { tonesOf } from './contract.ts'

export type DtmfTiming = { toneMs?: number; gapMs?: number }

/** What carriers send, and longer than the 40 ms that a receiver must know (Q.24). */
const TONE_MS = 100
const GAP_MS = 100
/** As the carriers read them in strings of digits. */
const WAITS_MS: Record<string, number> = { w: 500, W: 1_000 }
const MAX_DIGITS = 64
/** The high tone is sent 2 dB louder: lines take more of it away (Q.23 leaves room for it). Both together stay under the top. */
const LOW_LEVEL = 7_000
const HIGH_LEVEL = LOW_LEVEL * 10 ** (2 / 20)
/** A tone that begins at once clicks, and a click is a voice to others. */
const EDGE_MS = 3

/** Keys pressed one after another: `0-9 A-D * #`, `w` waits half a second, `W` one. Throws AppError `invalid_request`. */
export function dtmfTone(digits: string, sampleRateHz: SampleRateHz, { toneMs = TONE_MS, gapMs = GAP_MS }: DtmfTiming = {}): Pcm {
  const keys = Array.from(digits)
  if (keys.length === 0 || keys.length > MAX_DIGITS) throw new AppError('invalid_request', { message: `Between 1 and ${MAX_DIGITS} digits can be sent at once.`, param: 'digits' })
  const samples = (ms: number): number => Math.round((ms / 1_000) * sampleRateHz)
  const lengths = keys.map((key) => samples(WAITS_MS[key] ?? toneMs + gapMs))
  const pcm = new Int16Array(lengths.reduce((sum, length) => sum + length, 0))
  let at = 0
  for (const [index, key] of keys.entries()) {
    if (WAITS_MS[key] === undefined) press(pcm.subarray(at, at + samples(toneMs)), key, sampleRateHz)
    at += lengths[index]!
  }
  return pcm
}

function press(pcm: Pcm, key: string, sampleRateHz: SampleRateHz): void {
  const tones = tonesOf(key)
  if (!tones) throw new AppError('invalid_request', { message: `"${key}" is no key of a telephone: expected 0-9, A-D, *, # or the waits w and W.`, param: 'digits' })
  const edge = (EDGE_MS / 1_000) * sampleRateHz
  const turn = (2 * Math.PI) / sampleRateHz
  for (let n = 0; n < pcm.length; n++) {
    const loudness = Math.min(1, n / edge, (pcm.length - 1 - n) / edge)
    pcm[n] = Math.round(loudness * (LOW_LEVEL * Math.sin(turn * tones.lowHz * n) + HIGH_LEVEL * Math.sin(turn * tones.highHz * n)))
  }
}
