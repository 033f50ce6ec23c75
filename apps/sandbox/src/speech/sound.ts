/** Formats in which suppliers take and give sound. */
export type Sound = { pcm: Int16Array; sampleRateHz: number }

export function fromLinear16(bytes: Uint8Array): Int16Array {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  return Int16Array.from({ length: bytes.byteLength >> 1 }, (_, index) => view.getInt16(index * 2, true))
}

export function toLinear16(pcm: Int16Array): Buffer {
  const bytes = Buffer.allocUnsafe(pcm.length * 2)
  for (let index = 0; index < pcm.length; index++) bytes.writeInt16LE(pcm[index]!, index * 2)
  return bytes
}

// ITU-T G.711, tables of the 256 codes.
const MULAW = Int16Array.from({ length: 256 }, (_, code) => {
  const inverted = ~code & 0xff
  const magnitude = ((((inverted & 0x0f) << 3) + 0x84) << ((inverted & 0x70) >> 4)) - 0x84
  return inverted & 0x80 ? -magnitude : magnitude
})
const ALAW = Int16Array.from({ length: 256 }, (_, code) => {
  const toggled = code ^ 0x55
  const [exponent, mantissa] = [(toggled & 0x70) >> 4, (toggled & 0x0f) << 4]
  const magnitude = exponent === 0 ? mantissa + 8 : (mantissa + 0x108) << (exponent - 1)
  return toggled & 0x80 ? magnitude : -magnitude
})

export const fromMulaw = (bytes: Uint8Array): Int16Array => Int16Array.from(bytes, (code) => MULAW[code]!)
export const fromAlaw = (bytes: Uint8Array): Int16Array => Int16Array.from(bytes, (code) => ALAW[code]!)
export const toMulaw = (pcm: Int16Array): Buffer => Buffer.from(Uint8Array.from(pcm, (sample) => encode(sample, MULAW)))
export const toAlaw = (pcm: Int16Array): Buffer => Buffer.from(Uint8Array.from(pcm, (sample) => encode(sample, ALAW)))

/** The nearest code, by search in the sorted table: slow and obviously right, which a sandbox prefers. */
function encode(sample: number, table: Int16Array): number {
  const sorted = sortedCodes(table)
  let [low, high] = [0, sorted.length - 1]
  while (low < high) {
    const middle = (low + high) >> 1
    if (table[sorted[middle]!]! < sample) low = middle + 1
    else high = middle
  }
  const [above, below] = [sorted[low]!, sorted[Math.max(0, low - 1)]!]
  return Math.abs(table[below]! - sample) < Math.abs(table[above]! - sample) ? below : above
}

const sortedOf = new WeakMap<Int16Array, number[]>()
function sortedCodes(table: Int16Array): number[] {
  const known = sortedOf.get(table)
  if (known) return known
  const sorted = Array.from(table.keys()).sort((a, b) => table[a]! - table[b]!)
  sortedOf.set(table, sorted)
  return sorted
}

/** 44 bytes before PCM of 16 bits, mono. `bytes` null: a stream of unknown length, as OpenAI writes it. */
export function wavHeader(sampleRateHz: number, bytes: number | null): Buffer {
  const header = Buffer.alloc(44)
  header.write('RIFF', 0, 'latin1')
  header.writeUInt32LE(bytes === null ? 0xffffffff : bytes + 36, 4)
  header.write('WAVEfmt ', 8, 'latin1')
  header.writeUInt32LE(16, 16)
  header.writeUInt16LE(1, 20)
  header.writeUInt16LE(1, 22)
  header.writeUInt32LE(sampleRateHz, 24)
  header.writeUInt32LE(sampleRateHz * 2, 28)
  header.writeUInt16LE(2, 32)
  header.writeUInt16LE(16, 34)
  header.write('data', 36, 'latin1')
  header.writeUInt32LE(bytes ?? 0xffffffff, 40)
  return header
}

/** A WAV file as sound: PCM of 16 bits, mu-law or A-law; of several channels the first. null: this is no such file. */
export function readWav(bytes: Buffer): Sound | null {
  if (bytes.length < 44 || bytes.toString('latin1', 0, 4) !== 'RIFF' || bytes.toString('latin1', 8, 12) !== 'WAVE') return null
  let format: { kind: number; channels: number; rate: number } | null = null
  for (let at = 12; at + 8 <= bytes.length; ) {
    const [name, size, body] = [bytes.toString('latin1', at, at + 4), bytes.readUInt32LE(at + 4), at + 8]
    if (name === 'fmt ' && body + 16 <= bytes.length) format = { kind: bytes.readUInt16LE(body), channels: bytes.readUInt16LE(body + 2), rate: bytes.readUInt32LE(body + 4) }
    if (name === 'data' && format) return soundOf(bytes.subarray(body, Math.min(bytes.length, body + size)), format)
    at = body + size + (size & 1)
  }
  return null
}

const READERS: Record<number, (bytes: Uint8Array) => Int16Array> = { 1: fromLinear16, 6: fromAlaw, 7: fromMulaw }

function soundOf(data: Buffer, { kind, channels, rate }: { kind: number; channels: number; rate: number }): Sound | null {
  const all = READERS[kind]?.(data)
  if (!all || channels < 1 || rate < 4_000 || rate > 192_000) return null
  const pcm = channels === 1 ? all : all.filter((_, index) => index % channels === 0)
  return { pcm, sampleRateHz: rate }
}
