// To and from the process that decodes AAC: pieces behind their length. It imports a library under the GPL; it shares no memory and no code with us but this file.

/** In: the AudioSpecificConfig (empty: every packet has an ADTS header), then packets. Out: a header of three numbers and its planes. */
export const HEADER_BYTES = 12
export type SoundHeader = { sampleRateHz: number; channels: number; frames: number }

/** How the process ends when its package is not there. */
export const MISSING_EXIT = 3

/** Of one piece: a second of eight channels at 96 kHz, and more than any packet. */
export const PIECE_BYTES_MAX = 4 * 1024 * 1024

export function piece(bytes: Uint8Array): Buffer {
  const head = Buffer.alloc(4)
  head.writeUInt32LE(bytes.length)
  return Buffer.concat([head, bytes])
}

export function headerOf({ sampleRateHz, channels, frames }: SoundHeader): Buffer {
  const head = Buffer.alloc(HEADER_BYTES)
  head.writeUInt32LE(sampleRateHz, 0)
  head.writeUInt32LE(channels, 4)
  head.writeUInt32LE(frames, 8)
  return head
}

export const readHeader = (bytes: Buffer): SoundHeader => ({ sampleRateHz: bytes.readUInt32LE(0), channels: bytes.readUInt32LE(4), frames: bytes.readUInt32LE(8) })

/** Whole pieces of a stream of bytes. Throws RangeError for one that nobody sent. */
export async function* pieces(stream: AsyncIterable<Uint8Array>): AsyncGenerator<Buffer> {
  let waiting = Buffer.alloc(0)
  for await (const chunk of stream) {
    waiting = waiting.length === 0 ? Buffer.from(chunk) : Buffer.concat([waiting, chunk])
    while (waiting.length >= 4) {
      const length = waiting.readUInt32LE(0)
      if (length > PIECE_BYTES_MAX) throw new RangeError('too large a piece')
      if (waiting.length < 4 + length) break
      yield waiting.subarray(4, 4 + length)
      waiting = waiting.subarray(4 + length)
    }
  }
}
