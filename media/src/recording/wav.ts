import { createReadStream, createWriteStream } from 'node:fs'
import { open, stat, writeFile } from 'node:fs/promises'
import type { FileHandle } from 'node:fs/promises'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { AppError } from '@trunkline/core'
import { writePcm16 } from '../codec/pcm16.ts'
import type { Container } from './container.ts'

/** RIFF WAVE with one `fmt ` chunk of PCM and one `data` chunk (Microsoft/IBM "Multimedia Programming Interface", 1991). */
export const WAV_HEADER_BYTES = 44
const CHANNELS = 2
const BLOCK_BYTES = 4
/** Sizes are unsigned numbers of 32 bits. */
const WAV_MAX_BYTES = 0xffff_ffff

function header(sampleRateHz: number, dataBytes: number): Uint8Array {
  const bytes = Buffer.alloc(WAV_HEADER_BYTES)
  bytes.write('RIFF', 0, 'latin1')
  bytes.writeUInt32LE(WAV_HEADER_BYTES - 8 + dataBytes, 4)
  bytes.write('WAVEfmt ', 8, 'latin1')
  bytes.writeUInt32LE(16, 16)
  bytes.writeUInt16LE(1, 20)
  bytes.writeUInt16LE(CHANNELS, 22)
  bytes.writeUInt32LE(sampleRateHz, 24)
  bytes.writeUInt32LE(sampleRateHz * BLOCK_BYTES, 28)
  bytes.writeUInt16LE(BLOCK_BYTES, 32)
  bytes.writeUInt16LE(16, 34)
  bytes.write('data', 36, 'latin1')
  bytes.writeUInt32LE(dataBytes, 40)
  return bytes
}

export function wavContainer(sampleRateHz: number): Container {
  return {
    bytesPerSecond: sampleRateHz * BLOCK_BYTES,
    maxBytes: WAV_MAX_BYTES,
    begin: () => header(sampleRateHz, 0),
    encode(stereo) {
      const bytes = new Uint8Array(stereo.length * 2)
      writePcm16(stereo, bytes, 'little')
      return bytes
    },
    seal: (fileBytes) => ({ offset: 0, bytes: header(sampleRateHz, fileBytes - WAV_HEADER_BYTES) }),
    finish: () => new Uint8Array(0),
    close() {},
  }
}

export type WavRepair = { durationMs: number; repaired: boolean }

/**
 * Makes the header of one of our recordings tell what the file holds, after a crash between two headers; half a sample at
 * the end is cut off. Rejects with AppError `invalid_request` for any other file, which stays as it is.
 */
export async function repairWav(path: string): Promise<WavRepair> {
  const handle = await open(path, 'r+')
  try {
    const found = await readHeader(handle)
    const { size } = await handle.stat()
    const dataBytes = size - WAV_HEADER_BYTES - ((size - WAV_HEADER_BYTES) % BLOCK_BYTES)
    const wanted = header(found.readUInt32LE(24), dataBytes)
    const repaired = size !== WAV_HEADER_BYTES + dataBytes || !found.equals(wanted)
    if (repaired) {
      await handle.truncate(WAV_HEADER_BYTES + dataBytes)
      await handle.write(wanted, 0, WAV_HEADER_BYTES, 0)
    }
    return { durationMs: (dataBytes / BLOCK_BYTES / found.readUInt32LE(24)) * 1_000, repaired }
  } finally {
    await handle.close()
  }
}

/** A part of a call that was recorded by itself. `startMs`: when in the call it begins. */
export type WavPiece = { path: string; startMs: number }

/**
 * Writes the pieces of one call into a new file, in order, with silence where none of them was there: so its times are those of the call. The
 * pieces stay as they are, and doing it again gives the same. All must be of the same rate; rejects before anything is written when one is not.
 */
export async function joinWavs(target: string, pieces: readonly WavPiece[]): Promise<WavRepair> {
  const rates = await Promise.all(pieces.map(({ path }) => rateOf(path)))
  const [rate = 0] = rates
  if (rates.some((other) => other !== rate)) throw new AppError('invalid_request', { message: 'Recordings of different sampling rates cannot be joined.' })
  await writeFile(target, header(rate, 0))
  let blocks = 0
  for (const { path, startMs } of pieces) {
    const missing = Math.max(0, Math.round((startMs * rate) / 1_000) - blocks)
    await pipeline(Readable.from(silence(missing)), createWriteStream(target, { flags: 'a' }))
    await pipeline(createReadStream(path, { start: WAV_HEADER_BYTES }), createWriteStream(target, { flags: 'a' }))
    blocks = ((await stat(target)).size - WAV_HEADER_BYTES) / BLOCK_BYTES
  }
  return repairWav(target)
}

const SILENT_BLOCKS = 16_384

/** Nothing, in chunks. */
function* silence(blocks: number): Generator<Buffer> {
  for (let left = blocks; left > 0; left -= SILENT_BLOCKS) yield Buffer.alloc(Math.min(left, SILENT_BLOCKS) * BLOCK_BYTES)
}

async function rateOf(path: string): Promise<number> {
  const handle = await open(path, 'r')
  try {
    return (await readHeader(handle)).readUInt32LE(24)
  } finally {
    await handle.close()
  }
}

/** Sizes aside, the header must be one that we write. */
async function readHeader(handle: FileHandle): Promise<Buffer> {
  const found = Buffer.alloc(WAV_HEADER_BYTES)
  const { bytesRead } = await handle.read(found, 0, WAV_HEADER_BYTES, 0)
  const sampleRateHz = found.readUInt32LE(24)
  const ours = sampleRateHz > 0 && sampleRateHz <= 192_000 ? Buffer.from(header(sampleRateHz, found.readUInt32LE(40))) : null
  if (ours) found.copy(ours, 4, 4, 8)
  if (bytesRead < WAV_HEADER_BYTES || !ours?.equals(found)) throw new AppError('invalid_request', { message: 'This file is not a stereo recording of ours.' })
  return found
}
