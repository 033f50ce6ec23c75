import type { Pcm } from '../frame.ts'

/**
 * ITU-T G.711, by tables. A sample of 16 bits is read as the uniform code of the recommendation moved to the left: 14 bits
 * for mu-law, 13 for A-law, as the ITU's own reference software does (G.191, `ulaw_compress`, `alaw_compress`).
 */
export type Law = { readonly toLinear: Int16Array; readonly toByte: Uint8Array; readonly silence: number }

const MULAW_BIAS = 33
const MULAW_MAX = 0x1fff
const ALAW_EVEN_BITS = 0x55

/** G.711 table 2a: segments of 16 steps that double; bits are sent inverted. */
function linearOfMulaw(byte: number): number {
  const code = ~byte & 0xff
  const magnitude = ((((code & 0x0f) << 1) + MULAW_BIAS) << (code >> 4 & 0x07)) - MULAW_BIAS
  return (code & 0x80 ? -magnitude : magnitude) << 2
}

/** Negative samples are folded with the one's complement, so that -1 lies in the same step as 0 on the other side. */
function mulawOfLinear(sample: number): number {
  const folded = (sample < 0 ? ~sample : sample) >> 2
  const biased = Math.min(folded + MULAW_BIAS, MULAW_MAX)
  const segment = 31 - Math.clz32(biased) - 5
  const code = (segment << 4) | (biased >> (segment + 1) & 0x0f) | (sample < 0 ? 0x80 : 0)
  return ~code & 0xff
}

/** G.711 table 1a: the first two segments are equally fine; every other bit is sent inverted, and 1 in front means positive. */
function linearOfAlaw(byte: number): number {
  const code = byte ^ ALAW_EVEN_BITS
  const segment = code >> 4 & 0x07
  const step = ((code & 0x0f) << 1) + 1
  const magnitude = segment === 0 ? step : (step + 32) << (segment - 1)
  return (code & 0x80 ? magnitude : -magnitude) << 3
}

function alawOfLinear(sample: number): number {
  const folded = (sample < 0 ? ~sample : sample) >> 4
  const segment = folded < 16 ? 0 : 31 - Math.clz32(folded) - 3
  const code = (segment << 4) | (segment === 0 ? folded : folded >> (segment - 1) & 0x0f) | (sample < 0 ? 0 : 0x80)
  return code ^ ALAW_EVEN_BITS
}

function tabulate(linearOf: (byte: number) => number, byteOf: (sample: number) => number): Law {
  const toLinear = Int16Array.from({ length: 256 }, (_, byte) => linearOf(byte))
  // Indexed by the sample's bits as an unsigned number, which spares the reader an addition per sample.
  const toByte = Uint8Array.from({ length: 65_536 }, (_, bits) => byteOf((bits << 16) >> 16))
  return { toLinear, toByte, silence: byteOf(0) }
}

export const mulaw: Law = tabulate(linearOfMulaw, mulawOfLinear)
export const alaw: Law = tabulate(linearOfAlaw, alawOfLinear)

/** Both write from the start of `out`, which must be long enough. */
export function compand(law: Law, pcm: Pcm, out: Uint8Array): void {
  const table = law.toByte
  for (let i = 0; i < pcm.length; i++) out[i] = table[pcm[i]! & 0xffff]!
}

export function expand(law: Law, bytes: Uint8Array, out: Pcm): void {
  const table = law.toLinear
  for (let i = 0; i < bytes.length; i++) out[i] = table[bytes[i]!]!
}
