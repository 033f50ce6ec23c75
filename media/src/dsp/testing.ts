import { createDecoder, createEncoder } from '../codec/index.ts'
import type { Pcm, SampleRateHz } from '../frame.ts'
import { EspeakPool, espeakEngine, synthesise } from '../tts/index.ts'

/** Voices for tests of what listens. `close` ends the pool. */
export function openVoices(): { say(text: string, voice: string, sampleRateHz?: SampleRateHz): Promise<Pcm>; close(): void } {
  const pool = new EspeakPool()
  const engine = espeakEngine({ pool })
  return {
    say: async (text, voice, sampleRateHz = 8_000) => (await synthesise(engine, text, { voice, speed: 1, language: voice.slice(0, 2), sampleRateHz, signal: AbortSignal.timeout(60_000) })).pcm,
    close: () => pool.close(),
  }
}

/** White noise of so much RMS; the same for the same seed (xorshift32). */
export function noise(samples: number, rms: number, seed = 1): Pcm {
  let state = seed >>> 0 || 1
  return Int16Array.from({ length: samples }, () => {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    return Math.round((rms * Math.sqrt(3) * (state | 0)) / 0x80000000)
  })
}

export const rmsOf = (pcm: Pcm): number => Math.sqrt(pcm.reduce((sum, sample) => sum + sample * sample, 0) / Math.max(1, pcm.length))
export const gainOf = (db: number): number => 10 ** (db / 20)

/** Share of one frequency in a sound, 0 to 1. */
export function shareOf(pcm: Pcm, hz: number, sampleRateHz: number): number {
  let [re, im, energy] = [0, 0, 0]
  for (const [n, sample] of pcm.entries()) {
    re += sample * Math.cos((2 * Math.PI * hz * n) / sampleRateHz)
    im += sample * Math.sin((2 * Math.PI * hz * n) / sampleRateHz)
    energy += sample * sample
  }
  return (2 * (re ** 2 + im ** 2)) / (pcm.length * energy)
}

/** Sums sounds, each from its sample on and so loud, as long as the first. */
export function mix(samples: number, ...parts: readonly { pcm: Pcm; at?: number; gain?: number }[]): Pcm {
  const sum = new Float64Array(samples)
  for (const { pcm, at = 0, gain = 1 } of parts) for (let n = 0; n < pcm.length && at + n < samples; n++) sum[at + n]! += pcm[n]! * gain
  return Int16Array.from(sum, (value) => Math.max(-32_768, Math.min(32_767, Math.round(value))))
}

/** There and back through a telephone line's code. */
export function throughG711(pcm: Pcm, encoding: 'pcmu' | 'pcma'): Pcm {
  const format = { encoding, sampleRateHz: 8_000 } as const
  return createDecoder(format).decode(createEncoder(format).encode(pcm).slice()).slice()
}

export function* framesOf(pcm: Pcm, sampleRateHz: SampleRateHz = 8_000): Generator<Pcm> {
  const size = sampleRateHz / 50
  for (let at = 0; at + size <= pcm.length; at += size) yield pcm.subarray(at, at + size)
}

/** Speech of two sides in four languages, for what must not be taken for tones. */
export const TALK: Readonly<Record<string, string>> = {
  en: 'Good morning, you have reached the office of Doctor Miller. Please tell me who you are and what you need. Eight times nine is seventy two; moon, tool, food, see, me, we.',
  de: 'Guten Tag, hier ist die Praxis von Doktor Müller. Wir haben heute geschlossen, rufen Sie bitte morgen wieder an. Über sieben Brücken musst du gehen.',
  fr: "Bonjour, vous êtes bien chez Dupont. Merci de laisser un message après le bip sonore. Où êtes vous, que faites vous l'été prochain ?",
  es: 'Buenos días, ha llamado usted a la consulta. Deje su mensaje después de la señal, por favor.',
}
