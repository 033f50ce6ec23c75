import { AppError } from '@trunkline/core'
import type { Pcm } from '../frame.ts'
import type { Decoder, Encoder, PlainFormat } from './contract.ts'
import { alaw, compand, expand, mulaw } from './g711.ts'
import { readPcm16, writePcm16 } from './pcm16.ts'

/** What an encoding without memory is: bytes per sample, and how to write and read them. */
type Plain = { width: 1 | 2; write: (pcm: Pcm, out: Uint8Array) => void; read: (bytes: Uint8Array, out: Pcm) => void }

const PLAIN: Record<PlainFormat['encoding'], Plain> = {
  pcmu: { width: 1, write: (pcm, out) => compand(mulaw, pcm, out), read: (bytes, out) => expand(mulaw, bytes, out) },
  pcma: { width: 1, write: (pcm, out) => compand(alaw, pcm, out), read: (bytes, out) => expand(alaw, bytes, out) },
  pcm_s16le: { width: 2, write: (pcm, out) => writePcm16(pcm, out, 'little'), read: (bytes, out) => readPcm16(bytes, out, 'little') },
  pcm_s16be: { width: 2, write: (pcm, out) => writePcm16(pcm, out, 'big'), read: (bytes, out) => readPcm16(bytes, out, 'big') },
}

export function plainEncoder(format: PlainFormat): Encoder {
  const { width, write } = PLAIN[format.encoding]
  return {
    format,
    encode(pcm) {
      const out = new Uint8Array(pcm.length * width)
      write(pcm, out)
      return out
    },
    encodeInto(pcm, out) {
      assertRoom(out.length, pcm.length * width)
      write(pcm, out)
      return pcm.length * width
    },
    close() {},
  }
}

export function plainDecoder(format: PlainFormat): Decoder {
  const { width, read } = PLAIN[format.encoding]
  return {
    format,
    decode(bytes) {
      const out = new Int16Array(samplesIn(bytes, width, format))
      read(bytes, out)
      return out
    },
    decodeInto(bytes, out) {
      const samples = samplesIn(bytes, width, format)
      assertRoom(out.length, samples)
      read(bytes, out)
      return samples
    },
    conceal: (samples) => new Int16Array(samples),
    close() {},
  }
}

function samplesIn(bytes: Uint8Array, width: number, format: PlainFormat): number {
  if (bytes.length % width !== 0) throw new AppError('invalid_request', { message: `${format.encoding} sound has half a sample: ${bytes.length} bytes.` })
  return bytes.length / width
}

/** A mistake of ours, not of the other side. */
export function assertRoom(has: number, needs: number): void {
  if (has < needs) throw new RangeError(`The buffer has room for ${has}; the frame needs ${needs}.`)
}
