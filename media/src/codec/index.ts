import type { AudioFormat } from '../frame.ts'
import type { Decoder, Encoder, OpusSettings, PlainFormat } from './contract.ts'
import { openOpusDecoder, openOpusEncoder } from './opus.ts'
import { plainDecoder, plainEncoder } from './plain.ts'

export type * from './contract.ts'

export const isPlain = (format: AudioFormat): format is PlainFormat => format.encoding !== 'opus'

/** G.711 and PCM: ready at once. */
export const createEncoder = (format: PlainFormat): Encoder => plainEncoder(format)
export const createDecoder = (format: PlainFormat): Decoder => plainDecoder(format)

/** Any encoding, Opus too, whose state lies in WebAssembly memory: `close` gives it back. Rejects with AppError `invalid_request`. */
export async function openEncoder(format: AudioFormat, opus?: OpusSettings): Promise<Encoder> {
  return isPlain(format) ? plainEncoder(format) : openOpusEncoder(format, opus)
}

export async function openDecoder(format: AudioFormat): Promise<Decoder> {
  return isPlain(format) ? plainDecoder(format) : openOpusDecoder(format)
}
