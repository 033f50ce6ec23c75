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

type OggOpusOptions = { channels: 1 | 2; bitrateBps: number }

/** Ogg Opus (RFC 7845). Needs no repair after a crash: every page stands for itself. Sound of several channels comes interleaved. */
export async function openOggOpus(sampleRateHz: SampleRateHz, { channels, bitrateBps }: OggOpusOptions = { channels: 2, bitrateBps: BITRATE_BPS }): Promise<Container> {
  const encoder = await createEncoder({ channels, sampleRate: sampleRateHz, application: Application.Audio, bitrate: bitrateBps, complexity: COMPLEXITY })
  encoder.encoderCtl(EncoderCtl.SetPhaseInversionDisabled, 1)
  const preSkip = Math.round((encoder.getLookahead() * GRANULE_HZ) / sampleRateHz)
  const stream = new OggStream(randomInt(2 ** 32))
  const frame = frameSamples(sampleRateHz) * channels
  let waiting: Pcm = new Int16Array(0)
  let frames = 0n
  let samples = 0

  const encode = (pcm: Pcm): Uint8Array[] => {
    const all = joined(waiting, pcm)
    const pages: (Uint8Array | null)[] = []
    let at = 0
    for (; at + frame <= all.length; at += frame) pages.push(stream.add(encoder.encode(all.subarray(at, at + frame)), ++frames * GRANULES_PER_FRAME))
    waiting = all.slice(at)
    return pages.filter((page) => page !== null)
  }
  return {
    bytesPerSecond: bitrateBps / 8,
    maxBytes: Infinity,
    begin() {
      stream.add(opusHead(preSkip, sampleRateHz, channels), 0n)
      const head = stream.flush()
      stream.add(opusTags(), 0n)
      return concat([head, stream.flush()])
    },
    encode(pcm) {
      samples += pcm.length / channels
      return concat([...encode(pcm), stream.flush()])
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

/** §5.1: version 1, mapping family 0 (one channel; or left, right). */
function opusHead(preSkip: number, sampleRateHz: number, channels: number): Uint8Array {
  const head = Buffer.alloc(19)
  head.write('OpusHead', 0, 'latin1')
  head[8] = 1
  head[9] = channels
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
