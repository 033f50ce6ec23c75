import { createMp3Encoder } from 'wasm-media-encoders'
import { createEncoder } from '../codec/index.ts'
import type { Pcm, SampleRateHz } from '../frame.ts'
import { openAac } from './aac/writer.ts'
import { openOggOpus } from '../recording/ogg-opus.ts'
import { wavHeader } from '../tts/container.ts'

/** What we can write while it is being spoken. `pcm`: 16 bits, little endian, no header. */
export const WRITABLE = { mp3: 'audio/mpeg', opus: 'audio/ogg', aac: 'audio/aac', wav: 'audio/wav', pcm: 'audio/pcm' } as const
export type WritableFormat = keyof typeof WRITABLE

/** A file of one channel, made piece by piece: `write` as often as there is sound, one after the other, then `end` once. `close` frees; idempotent. */
export type FileWriter = { contentType: string; write(pcm: Pcm): Uint8Array | Promise<Uint8Array>; end(): Uint8Array | Promise<Uint8Array>; close(): void }

/** Transparent for one voice. */
const OPUS_BPS = 48_000
const MP3_KBPS = 64
const NOTHING = new Uint8Array(0)

/** `sampleRateHz`: of the sound that will be written, and of the file. Rejects with AppError `unavailable` where too many of a kind are being made. */
export async function openFileWriter(format: WritableFormat, sampleRateHz: SampleRateHz): Promise<FileWriter> {
  const contentType = WRITABLE[format]
  switch (format) {
    case 'mp3': return { contentType, ...(await mp3(sampleRateHz)) }
    case 'opus': return { contentType, ...(await opus(sampleRateHz)) }
    case 'aac': return { contentType, ...(await openAac(sampleRateHz)) }
    case 'wav': return { contentType, ...headed(wavHeader(sampleRateHz, null), sampleRateHz) }
    case 'pcm': return { contentType, ...headed(NOTHING, sampleRateHz) }
  }
}

type Writer = Omit<FileWriter, 'contentType'>

function headed(header: Uint8Array, sampleRateHz: SampleRateHz): Writer {
  const encoder = createEncoder({ encoding: 'pcm_s16le', sampleRateHz })
  let before = header
  const take = (bytes: Uint8Array): Uint8Array => {
    const all = before.length > 0 ? Buffer.concat([before, bytes]) : bytes
    before = NOTHING
    return all
  }
  return { write: (pcm) => take(encoder.encode(pcm)), end: () => take(NOTHING), close: () => undefined }
}

async function mp3(sampleRateHz: SampleRateHz): Promise<Writer> {
  const encoder = await createMp3Encoder()
  encoder.configure({ sampleRate: sampleRateHz, channels: 1, bitrate: MP3_KBPS })
  // What it answers lies in its own memory until the next call.
  return {
    write: (pcm) => encoder.encode([Float32Array.from(pcm, (sample) => sample / 32_768)]).slice(),
    end: () => encoder.finalize().slice(),
    close: () => undefined,
  }
}

async function opus(sampleRateHz: SampleRateHz): Promise<Writer> {
  const container = await openOggOpus(sampleRateHz, { channels: 1, bitrateBps: OPUS_BPS })
  let head: Uint8Array | null = container.begin()
  const take = (bytes: Uint8Array): Uint8Array => {
    const all = head ? Buffer.concat([head, bytes]) : bytes
    head = null
    return all
  }
  let open = true
  return {
    write: (pcm) => take(container.encode(pcm)),
    end: () => take(container.finish()),
    close() {
      if (open) container.close()
      open = false
    },
  }
}
