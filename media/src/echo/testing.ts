import { gainOf, noise, rmsOf } from '../dsp/testing.ts'
import type { Pcm } from '../frame.ts'

/** A loudspeaker that rattles, a phone's band, and a room that rings for some 80 ms; as loud as it went in. */
export function speakerphone(pcm: Pcm, seed = 7): Pcm {
  const room = roomOf(seed)
  const dry = phoneBand(pcm)
  const wet = Int16Array.from(dry, (_, n) => {
    let sum = 0
    for (const { at, gain } of room) if (n >= at) sum += dry[n - at]! * gain
    return Math.max(-32_768, Math.min(32_767, sum))
  })
  const gain = rmsOf(pcm) / Math.max(1, rmsOf(wet))
  return wet.map((sample) => Math.max(-32_768, Math.min(32_767, sample * gain)))
}

function roomOf(seed: number): { at: number; gain: number }[] {
  const reflections = Array.from(noise(160, 1_000, seed), (value, n) => ({ at: 4 + n * 4, gain: 0.12 * (value / 1_000) * gainOf(-n / 6) }))
  return [{ at: 0, gain: 1 }, ...reflections]
}

function phoneBand(pcm: Pcm): Float64Array {
  let [low, high, before] = [0, 0, 0]
  return Float64Array.from(pcm, (sample) => {
    const clipped = 12_000 * Math.tanh(sample / 12_000)
    high = 0.9 * (high + clipped - before)
    before = clipped
    low += 0.7 * (high - low)
    return low
  })
}

/** The codec of a mobile phone at its worst: the loudness of each band every 20 ms stays, the wave does not (noise in sixteen resonators). */
export function vocoder(pcm: Pcm, seed = 3): Pcm {
  const out = new Float64Array(pcm.length)
  const source = noise(pcm.length, 1_000, seed)
  for (let band = 0; band < 16; band++) addBand(out, pcm, source, 300 * 1.17 ** band)
  const gain = rmsOf(pcm) / Math.max(1, rmsOf(Int16Array.from(out)))
  return Int16Array.from(out, (sample) => Math.max(-32_768, Math.min(32_767, sample * gain)))
}

function addBand(out: Float64Array, pcm: Pcm, source: Pcm, hz: number): void {
  const voice = resonated(pcm, hz)
  const hiss = resonated(source, hz)
  let [wanted, given] = [0, 1]
  for (let n = 0; n < pcm.length; n++) {
    wanted += 0.01 * (voice[n]! ** 2 - wanted)
    given += 0.01 * (hiss[n]! ** 2 - given)
    out[n]! += hiss[n]! * Math.sqrt(wanted / Math.max(1, given))
  }
}

function resonated(pcm: Pcm, hz: number): Float64Array {
  const radius = 1 - (Math.PI * hz * 0.16) / 8_000
  const turn = 2 * radius * Math.cos((2 * Math.PI * hz) / 8_000)
  let [one, two] = [0, 0]
  return Float64Array.from(pcm, (sample) => {
    const next = sample * (1 - radius) + turn * one - radius * radius * two
    two = one
    one = next
    return next
  })
}
