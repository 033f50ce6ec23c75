import { AppError } from '@trunkline/core'
import { Application, createDecoder, createEncoder, isOpusError, Signal } from 'libopus-wasm'
import type { OpusDecoderHandle } from 'libopus-wasm'
import { FRAME_MS, frameSamples } from '../frame.ts'
import type { AudioFormat, Pcm } from '../frame.ts'
import type { Decoder, Encoder, OpusSettings } from './contract.ts'
import { assertRoom } from './plain.ts'

/** RFC 6716 §3.2.1: a packet holds at most 120 ms. One from outside cannot make us reserve more. */
const MAX_PACKET_MS = 120
/** RFC 6716 §3.4 R5: 48 frames of at most 1275 bytes, and the bytes that count them. */
const MAX_PACKET_BYTES = 1_275 * 48 + 50
/** Fullband voice is transparent from about 24 kbit/s on (RFC 7587 §3.1.1 puts it at 28 to 40). */
const DEFAULT_BITRATE_BPS = 32_000
/** Measured: below 10 % libopus puts no copies into packets of these rates. */
const DEFAULT_LOSS_PERCENT = 10
/** 5 costs half of 10 and is hard to tell from it at voice rates. */
const DEFAULT_COMPLEXITY = 5

export async function openOpusEncoder(format: AudioFormat, settings: OpusSettings = {}): Promise<Encoder> {
  const handle = await createEncoder({
    channels: 1,
    sampleRate: format.sampleRateHz,
    application: Application.Voip,
    signal: Signal.Voice,
    bitrate: settings.bitrateBps ?? DEFAULT_BITRATE_BPS,
    complexity: settings.complexity ?? DEFAULT_COMPLEXITY,
    fec: settings.fec ?? true,
    packetLossPercent: settings.expectedLossPercent ?? DEFAULT_LOSS_PERCENT,
  }).catch(refused)
  return {
    format,
    encode: (pcm) => handle.encode(pcm),
    encodeInto(pcm, out) {
      const bytes = handle.encode(pcm)
      assertRoom(out.length, bytes.length)
      out.set(bytes)
      return bytes.length
    },
    close: () => handle.free(),
  }
}

export async function openOpusDecoder(format: AudioFormat): Promise<Decoder> {
  const handle = await createDecoder({ channels: 1, sampleRate: format.sampleRateHz, maxFrameSize: (frameSamples(format.sampleRateHz) * MAX_PACKET_MS) / FRAME_MS })
  const decode = (bytes: Uint8Array): Pcm => decodePacket(handle, bytes)
  return {
    format,
    decode,
    decodeInto(bytes, out) {
      const pcm = decode(bytes)
      assertRoom(out.length, pcm.length)
      out.set(pcm)
      return pcm.length
    },
    conceal: (samples, following) => conceal(handle, samples, following),
    close: () => handle.free(),
  }
}

function decodePacket(handle: OpusDecoderHandle, bytes: Uint8Array): Pcm {
  if (bytes.length === 0 || bytes.length > MAX_PACKET_BYTES) throw new AppError('invalid_request', { message: `An Opus packet has 1 to ${MAX_PACKET_BYTES} bytes, not ${bytes.length}.` })
  try {
    return handle.decode(bytes)
  } catch (cause) {
    throw isOpusError(cause) ? new AppError('invalid_request', { message: 'The Opus packet cannot be decoded.', cause }) : cause
  }
}

/** The spare copy covers the frame right before `following`, so all but the last of a longer gap is guessed. */
function conceal(handle: OpusDecoderHandle, samples: number, following: Uint8Array | undefined): Pcm {
  if (following === undefined) return guess(handle, samples)
  const frame = Math.min(samples, (handle.sampleRate / 1_000) * FRAME_MS)
  const out = new Int16Array(samples)
  if (samples > frame) out.set(guess(handle, samples - frame))
  out.set(spareCopy(handle, frame, following), samples - frame)
  return out
}

function spareCopy(handle: OpusDecoderHandle, samples: number, following: Uint8Array): Pcm {
  try {
    return handle.decode(following, { decodeFec: true, frameSize: samples })
  } catch {
    return guess(handle, samples)
  }
}

/** libopus conceals in steps of 2.5 ms (opus_decode) up to a packet's length; a longer gap is done piece by piece. */
function guess(handle: OpusDecoderHandle, samples: number): Pcm {
  const step = handle.sampleRate / 400
  const out = new Int16Array(samples)
  for (let at = 0; at < samples; ) {
    const size = Math.min(handle.maxFrameSize, Math.ceil((samples - at) / step) * step)
    out.set(handle.decodePacketLoss(size).subarray(0, samples - at), at)
    at += size
  }
  return out
}

function refused(cause: unknown): never {
  throw new AppError('invalid_request', { message: 'The Opus settings are not valid.', param: 'opus', cause })
}
