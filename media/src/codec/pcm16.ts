import { endianness } from 'node:os'
import type { Pcm } from '../frame.ts'

const HOST_IS_LITTLE = endianness() === 'LE'
export type ByteOrder = 'little' | 'big'

/** A copy of memory where the orders agree, else a swap. `out` must hold two bytes per sample. */
export function writePcm16(pcm: Pcm, out: Uint8Array, order: ByteOrder): void {
  const bytes = new Uint8Array(pcm.buffer, pcm.byteOffset, pcm.byteLength)
  out.set(bytes)
  if ((order === 'little') !== HOST_IS_LITTLE) swapPairs(out, bytes.length)
}

/** `bytes` may lie at an odd address (a slice of a socket's buffer): they are copied, never viewed. */
export function readPcm16(bytes: Uint8Array, out: Pcm, order: ByteOrder): void {
  const target = new Uint8Array(out.buffer, out.byteOffset, bytes.length)
  target.set(bytes)
  if ((order === 'little') !== HOST_IS_LITTLE) swapPairs(target, bytes.length)
}

function swapPairs(bytes: Uint8Array, length: number): void {
  for (let i = 0; i + 1 < length; i += 2) {
    const first = bytes[i]!
    bytes[i] = bytes[i + 1]!
    bytes[i + 1] = first
  }
}
