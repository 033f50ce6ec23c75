import { endianness } from 'node:os'
import type { Pcm } from '../frame.ts'

const HEADER_BYTES = 44

/** A WAV file: PCM of 16 bits, one channel. */
export function wavOf(pcm: Pcm, sampleRateHz: number): Buffer<ArrayBuffer> {
  const file = Buffer.from(new ArrayBuffer(HEADER_BYTES + pcm.length * 2))
  file.write('RIFF', 0, 'latin1')
  file.writeUInt32LE(HEADER_BYTES - 8 + pcm.length * 2, 4)
  file.write('WAVEfmt ', 8, 'latin1')
  file.writeUInt32LE(16, 16)
  file.writeUInt16LE(1, 20)
  file.writeUInt16LE(1, 22)
  file.writeUInt32LE(sampleRateHz, 24)
  file.writeUInt32LE(sampleRateHz * 2, 28)
  file.writeUInt16LE(2, 32)
  file.writeUInt16LE(16, 34)
  file.write('data', 36, 'latin1')
  file.writeUInt32LE(pcm.length * 2, 40)
  littleEndian(pcm).copy(file, HEADER_BYTES)
  return file
}

/** The samples as bytes, little end first: the memory itself where the machine writes so, else a copy. */
export function littleEndian(pcm: Pcm): Buffer {
  const bytes = Buffer.from(pcm.buffer, pcm.byteOffset, pcm.byteLength)
  return endianness() === 'LE' ? bytes : Buffer.from(bytes).swap16()
}
