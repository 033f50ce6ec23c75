import type { Pcm, SampleRateHz } from '../frame.ts'
import { samplesIn } from './loop.ts'

/** Soft noise, so that a silent line does not seem dead. The same for the same seed; about -60 dBFS. */
export function comfortNoise(sampleRateHz: SampleRateHz, ms: number, seed = 1): Pcm {
  const pcm = new Int16Array(samplesIn(ms, sampleRateHz))
  let state = seed >>> 0 || 1
  let smooth = 0
  for (let n = 0; n < pcm.length; n++) {
    // xorshift32 (Marsaglia 2003); smoothed, because white noise hisses.
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    smooth += 0.35 * ((state | 0) / 0x80000000 - smooth)
    pcm[n] = Math.round(smooth * 90)
  }
  return pcm
}
