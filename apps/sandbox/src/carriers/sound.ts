import { z } from 'zod'
import { ControlError } from '../control/input.ts'
import { fromAlaw, fromLinear16, fromMulaw, readWav } from '../speech/sound.ts'
import { speak } from '../speech/voice.ts'
import { encode, resample, type LineFormat } from './format.ts'

/** What somebody says into a phone: words in the sandbox's own voice, recorded sound, or nothing for a while. */
export const Utterance = z.union([
  z.strictObject({ text: z.string().min(1).max(2_000), speed: z.number().min(0.25).max(4).default(1) }),
  z.strictObject({ silence_ms: z.number().int().min(20).max(600_000) }),
  z.strictObject({
    /** base64; a WAV file brings its own encoding and rate. */
    audio: z.string().min(4).max(32 * 1024 * 1024),
    encoding: z.enum(['wav', 'mulaw', 'alaw', 'pcm16']).default('wav'),
    sample_rate: z.number().int().min(4_000).max(96_000).default(8_000),
  }),
])
export type Utterance = z.output<typeof Utterance>
export type UtteranceInput = z.input<typeof Utterance>

const READERS = { mulaw: fromMulaw, alaw: fromAlaw, pcm16: fromLinear16 }

function soundOf({ audio, encoding, sample_rate: sampleRateHz }: Extract<Utterance, { audio: string }>): { pcm: Int16Array; sampleRateHz: number } {
  const bytes = Buffer.from(audio, 'base64')
  if (encoding !== 'wav') return { pcm: READERS[encoding](bytes), sampleRateHz }
  const sound = readWav(bytes)
  if (!sound) throw new ControlError(400, 'This is no WAV file that the sandbox reads (PCM of 16 bits, mu-law, A-law)', 'audio')
  return sound
}

/** As bytes of the line: encoded once, not fifty times a second. */
export function lineBytes(utterance: Utterance, format: LineFormat): Buffer {
  const rate = format.sampleRateHz
  if ('silence_ms' in utterance) return encode(new Int16Array(Math.round((utterance.silence_ms / 1_000) * rate)), format)
  if ('text' in utterance) return encode(speak(utterance.text, { sampleRateHz: rate, speed: utterance.speed }).pcm, format)
  const { pcm, sampleRateHz } = soundOf(utterance)
  return encode(resample(pcm, sampleRateHz, rate), format)
}
