import type { Pcm } from '../frame.ts'

/** Root mean square of the samples: 32,768 is full scale. */
export function rms(pcm: Pcm): number {
  let sum = 0
  for (let index = 0; index < pcm.length; index++) sum += pcm[index]! * pcm[index]!
  return pcm.length === 0 ? 0 : Math.sqrt(sum / pcm.length)
}

/** About -52 dBFS. Below it not even a whisper on a telephone lies, only the line's own noise. */
export const QUIET_RMS = 80
