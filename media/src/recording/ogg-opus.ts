import { randomInt } from 'node:crypto'
import { Application, createEncoder, EncoderCtl } from 'libopus-wasm'
import { frameSamples } from '../frame.ts'
import type { Pcm, SampleRateHz } from '../frame.ts'
import type { Container } from './container.ts'
import { OggStream } from './ogg.ts'

/** Two voices that must not leak into each other: less would let the encoder join them. */
const BITRATE_BPS = 64_000
const COMPLEXITY = 3
/** Opus in Ogg counts in 48 kHz, whatever went in (RFC 7845 §4). */
const GRANULES_PER_FRAME = 960n
const GRANULE_HZ = 48_000

/** Ogg Opus (RFC 7845). Needs no repair after a crash: every page stands for itself. */
export async function openOggOpus(sampleRateHz: SampleRateHz): Promise<Container> {
  const encoder = await createEncoder({ channels: 2, sampleRate: sampleRateHz, application: Application.Audio, bitrate: BITRATE_BPS, complexity: COMPLEXITY })
  encoder.encoderCtl(EncoderCtl.SetPhaseInversionDisabled, 1)
  const preSkip = Math.round((encoder.getLookahead() * GRANULE_HZ) / sampleRateHz)
  const stream = new OggStream(randomInt(2 ** 32))
  const frame = frameSamples(sampleRateHz) * 2
  let waiting: Pcm = new Int16Array(0)
  let frames = 0n
  let samples = 0

  const encode = (stereo: Pcm): Uint8Array[] => {
    const all = joined(waiting, stereo)
    const pages: (Uint8Array | null)[] = []
    let at = 0
    for (; at + frame <= all.length; at += frame) pages.push(stream.add(encoder.encode(all.subarray(at, at + frame)), ++frames * GRANULES_PER_FRAME))
    waiting = all.slice(at)
    return pages.filter((page) => page !== null)
  }
  return {
    bytesPerSecond: BITRATE_BPS / 8,
    maxBytes: Infinity,
    begin() {
      stream.add(opusHead(preSkip, sampleRateHz), 0n)
      const head = stream.flush()
      stream.add(opusTags(), 0n)
      return concat([head, stream.flush()])
    },
    encode(stereo) {
      samples += stereo.length / 2
      return concat([...encode(stereo), stream.flush()])
    },
    seal: () => null,
    finish() {
      // Silence pushes the encoder's look-ahead out; the last granule says where the sound really ends (§4.4).
      const end = BigInt(preSkip + Math.round((samples * GRANULE_HZ) / sampleRateHz))
      const pages: (Uint8Array | null)[] = []
      while (frames * GRANULES_PER_FRAME < end) {
        const last = joined(waiting, new Int16Array(frame - waiting.length))
        waiting = new Int16Array(0)
        const granule = ++frames * GRANULES_PER_FRAME
        pages.push(stream.add(encoder.encode(last), granule < end ? granule : end))
      }
      return concat([...pages, stream.flush({ last: true })])
    },
    close: () => encoder.free(),
  }
}

/** §5.1: version 1, mapping family 0 (left, right). */
function opusHead(preSkip: number, sampleRateHz: number): Uint8Array {
  const head = Buffer.alloc(19)
  head.write('OpusHead', 0, 'latin1')
  head[8] = 1
  head[9] = 2
  head.writeUInt16LE(preSkip, 10)
  head.writeUInt32LE(sampleRateHz, 12)
  return head
}

/** §5.2: who wrote it, and no comments: the sound of a call is enough to know about a person. */
function opusTags(): Uint8Array {
  const vendor = Buffer.from('trunkline')
  const tags = Buffer.alloc(8 + 4 + vendor.length + 4)
  tags.write('OpusTags', 0, 'latin1')
  tags.writeUInt32LE(vendor.length, 8)
  vendor.copy(tags, 12)
  return tags
}

function joined(a: Pcm, b: Pcm): Pcm {
  if (a.length === 0) return b
  const out = new Int16Array(a.length + b.length)
  out.set(a)
  out.set(b, a.length)
  return out
}

const concat = (parts: readonly (Uint8Array | null)[]): Uint8Array => Buffer.concat(parts.filter((part) => part !== null))
