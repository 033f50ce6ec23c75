import type { Pcm } from '../frame.ts'

/**
 * The sound read `pitch` times as fast: higher by as much, and shorter. Whoever wants the old length asks the voice for the inverse speed. Made
 * for sound whose rate leaves room above the voice (24 kHz): what would fold back lies where nothing is.
 */
export function atPitch(pcm: Pcm, pitch: number): Pcm {
  if (pitch === 1 || pcm.length === 0) return pcm
  const out = new Int16Array(Math.max(1, Math.floor(pcm.length / pitch)))
  for (let index = 0; index < out.length; index++) {
    const at = index * pitch
    const whole = Math.floor(at)
    out[index] = Math.max(-32_768, Math.min(32_767, Math.round(between(pcm, whole, at - whole))))
  }
  return out
}

/** Catmull and Rom's cubic through four neighbours. */
function between(pcm: Pcm, at: number, part: number): number {
  const [a, b, c, d] = [pcm[Math.max(0, at - 1)]!, pcm[at]!, pcm[Math.min(pcm.length - 1, at + 1)]!, pcm[Math.min(pcm.length - 1, at + 2)]!]
  return b + 0.5 * part * (c - a + part * (2 * a - 5 * b + 4 * c - d + part * (3 * (b - c) + d - a)))
}
