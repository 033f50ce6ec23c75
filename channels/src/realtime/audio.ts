import { z } from 'zod'
import { LIMITS } from './limits.ts'

/** PCM is signed 16-bit little-endian mono at 24 kHz and nothing else; G.711 is 8 kHz, one byte a sample. */
export const AudioFormat = z.discriminatedUnion('type', [
  z.strictObject({ type: z.literal('audio/pcm'), rate: z.literal(24_000).default(24_000) }),
  z.strictObject({ type: z.literal('audio/pcmu') }),
  z.strictObject({ type: z.literal('audio/pcma') }),
])
export type AudioFormat = z.infer<typeof AudioFormat>

export const bytesPerMs = (format: AudioFormat): number => (format.type === 'audio/pcm' ? 48 : 8)
export const bytesPerSample = (format: AudioFormat): number => (format.type === 'audio/pcm' ? 2 : 1)

/** Standard base64 with its padding, whose decoded size is within `maxBytes`; the text itself is not copied. */
export const Base64Audio = z.string().superRefine((text, context) => {
  if (decodedBytes(text) > LIMITS.audioBytes)
    context.addIssue({ code: 'too_big', origin: 'string', maximum: LIMITS.audioBytes, input: text, message: `audio of at most ${LIMITS.audioBytes} bytes` })
})

const decodedBytes = (text: string): number => Math.floor((text.length * 3) / 4) - (text.endsWith('==') ? 2 : text.endsWith('=') ? 1 : 0)

/** The bytes, or null when the text is not base64. Node skips what it does not know: a wrong letter shows as a missing byte. */
export function decodeAudio(text: string): Buffer | null {
  const bytes = Buffer.from(text, 'base64')
  return text.length % 4 === 0 && bytes.length === decodedBytes(text) ? bytes : null
}
