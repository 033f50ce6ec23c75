import { createEncoder } from '../codec/index.ts'
import { readPcm16, writePcm16 } from '../codec/pcm16.ts'
import type { Pcm, SampleRateHz } from '../frame.ts'

const HEADER = 44

/** A WAV file: PCM of 16 bits, mono (RIFF, Multimedia Programming Interface 1.0). */
export function wavBytes(pcm: Pcm, sampleRateHz: SampleRateHz): Uint8Array {
  const bytes = Buffer.alloc(HEADER + pcm.byteLength)
  wavHeader(sampleRateHz, pcm.byteLength).copy(bytes)
  writePcm16(pcm, bytes.subarray(HEADER), 'little')
  return bytes
}

/** The 44 bytes in front. `dataBytes` null: a stream of unknown length, written as the largest number, which players accept. */
export function wavHeader(sampleRateHz: number, dataBytes: number | null): Buffer {
  const header = Buffer.alloc(HEADER)
  header.write('RIFF', 0, 'latin1')
  header.writeUInt32LE(dataBytes === null ? 0xffffffff : dataBytes + HEADER - 8, 4)
  header.write('WAVEfmt ', 8, 'latin1')
  header.writeUInt32LE(16, 16)
  header.writeUInt16LE(1, 20)
  header.writeUInt16LE(1, 22)
  header.writeUInt32LE(sampleRateHz, 24)
  header.writeUInt32LE(sampleRateHz * 2, 28)
  header.writeUInt16LE(2, 32)
  header.writeUInt16LE(16, 34)
  header.write('data', 36, 'latin1')
  header.writeUInt32LE(dataBytes ?? 0xffffffff, 40)
  return header
}

/** Sound of a WAV file of 16-bit PCM, mono; null: it is none. A length beyond the end of the bytes is cut. */
export function wavPcm(bytes: Uint8Array): { pcm: Pcm; sampleRateHz: number } | null {
  const file = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  if (file.length < 12 || file.toString('latin1', 0, 4) !== 'RIFF' || file.toString('latin1', 8, 12) !== 'WAVE') return null
  let sampleRateHz: number | null = null
  for (let at = 12; at + 8 <= file.length; ) {
    const [name, size, body] = [file.toString('latin1', at, at + 4), file.readUInt32LE(at + 4), at + 8]
    if (name === 'fmt ' && body + 16 <= file.length) {
      const [format, channels, bits] = [file.readUInt16LE(body), file.readUInt16LE(body + 2), file.readUInt16LE(body + 14)]
      if (format !== 1 || channels !== 1 || bits !== 16) return null
      sampleRateHz = file.readUInt32LE(body + 4)
    }
    if (name === 'data' && sampleRateHz !== null) {
      const data = file.subarray(body, body + (Math.min(file.length - body, size) & ~1))
      const pcm = new Int16Array(data.length >> 1)
      readPcm16(data, pcm, 'little')
      return { pcm, sampleRateHz }
    }
    at = body + size + (size & 1)
  }
  return null
}

/** What `POST /v1/audio/speech` can answer with. `pcm` is 16 bits, little endian, without a header. */
export type SpeechFormat = 'wav' | 'pcm' | 'pcmu' | 'pcma'
export const SPEECH_CONTENT_TYPES: Record<SpeechFormat, string> = { wav: 'audio/wav', pcm: 'audio/pcm', pcmu: 'audio/basic', pcma: 'audio/x-alaw-basic' }

/** `pcmu` and `pcma` want sound of 8 kHz. */
export function speechBytes(pcm: Pcm, sampleRateHz: SampleRateHz, format: SpeechFormat): Uint8Array {
  if (format === 'wav') return wavBytes(pcm, sampleRateHz)
  return createEncoder({ encoding: format === 'pcm' ? 'pcm_s16le' : format, sampleRateHz }).encode(pcm)
}
