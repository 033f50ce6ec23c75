import { mulberry } from '@trunkline/core'
import type { Pcm, SampleRateHz } from '../frame.ts'
import { babble, street, white, type Source } from './sources.ts'

export { atPitch } from './pitch.ts'

export type NoiseKind = 'white' | 'street' | 'babble'
export type NoiseOptions = { kind: NoiseKind; sampleRateHz: SampleRateHz; /** Root mean square of the noise, 16-bit. */ rms: number; /** The same seed makes the same noise. */ seed: number }

/** Adds itself to a frame, without end; samples that would be too loud are clipped, as a microphone does. */
export type Noise = { addTo(pcm: Pcm): void }

const SOURCES: Record<NoiseKind, (random: () => number, sampleRateHz: number) => Source> = { white, street, babble }
/** Every source is measured over so long, and brought to the wanted level. */
const MEASURED_SECONDS = 4

/** Synthesised surroundings of a caller. Deterministic. */
export function createNoise({ kind, sampleRateHz, rms, seed }: NoiseOptions): Noise {
  const level = levelOf(SOURCES[kind](mulberry(seed), sampleRateHz), sampleRateHz)
  const next = SOURCES[kind](mulberry(seed), sampleRateHz)
  const gain = rms / level
  return {
    addTo(pcm) {
      for (let index = 0; index < pcm.length; index++) pcm[index] = Math.max(-32_768, Math.min(32_767, pcm[index]! + Math.round(gain * next())))
    },
  }
}

function levelOf(next: Source, sampleRateHz: number): number {
  const count = sampleRateHz * MEASURED_SECONDS
  let sum = 0
  for (let index = 0; index < count; index++) sum += next() ** 2
  return Math.sqrt(sum / count)
}

/** Root mean square of the sounding parts: a pause does not make a voice softer. 0: nothing sounds. */
export function voiceLevel(pcm: Pcm, sampleRateHz: SampleRateHz): number {
  const frame = sampleRateHz / 50
  let [sum, count] = [0, 0]
  for (let at = 0; at + frame <= pcm.length; at += frame) {
    let energy = 0
    for (let index = at; index < at + frame; index++) energy += pcm[index]! ** 2
    if (Math.sqrt(energy / frame) < SOUNDS_RMS) continue
    sum += energy
    count += frame
  }
  return count === 0 ? 0 : Math.sqrt(sum / count)
}
const SOUNDS_RMS = 150
