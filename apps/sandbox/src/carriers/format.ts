import { fromAlaw, fromLinear16, fromMulaw, toAlaw, toLinear16, toMulaw } from '../speech/sound.ts'

/** How sound is written on one direction of a call. */
export type LineFormat = { encoding: 'pcmu' | 'pcma' | 'l16be' | 'l16le'; sampleRateHz: number }

export const FRAME_MS = 20

const isLinear = ({ encoding }: LineFormat): boolean => encoding === 'l16be' || encoding === 'l16le'
export const frameBytes = (format: LineFormat): number => (format.sampleRateHz / 1_000) * FRAME_MS * (isLinear(format) ? 2 : 1)
export const silenceByte = ({ encoding }: LineFormat): number => (encoding === 'pcmu' ? 0xff : encoding === 'pcma' ? 0xd5 : 0)

function swapped(bytes: Buffer): Buffer {
  return Buffer.from(bytes.subarray(0, bytes.length & ~1)).swap16()
}

/** The search for the nearest code, done once for every sample there is: calls convert fifty times a second. */
function table(toCode: (pcm: Int16Array) => Buffer): (pcm: Int16Array) => Buffer {
  let codes: Buffer | null = null
  return (pcm) => {
    codes ??= toCode(Int16Array.from({ length: 65_536 }, (_, index) => index - 32_768))
    const out = Buffer.allocUnsafe(pcm.length)
    for (let index = 0; index < pcm.length; index++) out[index] = codes[pcm[index]! + 32_768]!
    return out
  }
}
const mulawOf = table(toMulaw)
const alawOf = table(toAlaw)

export function encode(pcm: Int16Array, { encoding }: LineFormat): Buffer {
  if (encoding === 'pcmu') return mulawOf(pcm)
  if (encoding === 'pcma') return alawOf(pcm)
  return encoding === 'l16le' ? toLinear16(pcm) : swapped(toLinear16(pcm))
}

export function decode(bytes: Buffer, { encoding }: LineFormat): Int16Array {
  if (encoding === 'pcmu') return fromMulaw(bytes)
  if (encoding === 'pcma') return fromAlaw(bytes)
  return fromLinear16(encoding === 'l16le' ? bytes : swapped(bytes))
}

/** Straight lines between samples, and an average of those that fall together: plain, and good enough to be recognised. */
export function resample(pcm: Int16Array, fromHz: number, toHz: number): Int16Array {
  if (fromHz === toHz) return pcm
  const ratio = fromHz / toHz
  const wide = Math.max(1, Math.floor(ratio))
  return Int16Array.from({ length: Math.floor(pcm.length / ratio) }, (_, index) => {
    const at = index * ratio
    let sum = 0
    for (let n = 0; n < wide; n++) sum += between(pcm, at + n)
    return Math.round(sum / wide)
  })
}

function between(pcm: Int16Array, at: number): number {
  const left = Math.min(pcm.length - 1, Math.floor(at))
  const right = Math.min(pcm.length - 1, left + 1)
  return pcm[left]! + (pcm[right]! - pcm[left]!) * (at - left)
}

export const isSame = (one: LineFormat, two: LineFormat): boolean => one.encoding === two.encoding && one.sampleRateHz === two.sampleRateHz

export function transcode(bytes: Buffer, from: LineFormat, to: LineFormat): Buffer {
  return isSame(from, to) ? bytes : encode(resample(decode(bytes, from), from.sampleRateHz, to.sampleRateHz), to)
}
