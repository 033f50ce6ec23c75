import type { Pcm } from '../frame.ts'

/** Root mean square of the samples: 32,768 is full scale. */
export function rms(pcm: Pcm): number {
  let sum = 0
  for (let index = 0; index < pcm.length; index++) sum += pcm[index]! * pcm[index]!
  return pcm.length === 0 ? 0 : Math.sqrt(sum / pcm.length)
}

/** About -52 dBFS. Below it not even a whisper on a telephone lies, only the line's own noise. */
export const QUIET_RMS = 80

const STEP_MS = 20

/** Any 20 ms of it are loud enough to be speech: an average over more would drown a short word in silence. */
export function hasSound(pcm: Pcm, sampleRateHz: number): boolean {
  const step = (sampleRateHz * STEP_MS) / 1_000
  for (let at = 0; at < pcm.length; at += step) if (rms(pcm.subarray(at, at + step)) > QUIET_RMS) return true
  return false
}
