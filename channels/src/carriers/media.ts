/** The JSON of a carrier's media socket: what it says, what we say, and how bad frames are told. No zod: 50 frames a second and call. */

/** How sound is written on a carrier's wire; `pcm_s16be` is L16 in network order (RFC 3551 §4.5.11). The same words as `media`'s `AudioFormat`. */
export type MediaFormat = { encoding: 'pcmu' | 'pcma' | 'pcm_s16le' | 'pcm_s16be' | 'opus'; sampleRateHz: 8_000 | 16_000 | 24_000 | 48_000 }

export type MediaTrack = 'inbound' | 'outbound'

/** Why a frame is not used. Closed, so that it can be counted. */
export type BadFrameReason = 'too_large' | 'not_json' | 'missing' | 'wrong_type' | 'bad_base64' | 'bad_length' | 'before_start' | 'second_start' | 'wrong_stream' | 'unsupported_format'

export type MediaStart = {
  kind: 'start'
  streamId: string
  carrierCallId: string
  /** What the carrier sends us. Never assume it: on Telnyx it is the codec of the caller's own leg. */
  inbound: MediaFormat
  /** What the carrier expects from us. */
  outbound: MediaFormat
  parameters: Record<string, string>
  from: string | null
  to: string | null
  /** `PlaceCall.reference`, where the carrier tells it back. */
  reference: string | null
}

/** `payload` is a view of fresh memory, the caller's to keep. Order is the carrier's; `chunk` tells the true one where it is not guaranteed (Telnyx). */
export type MediaFrame = { kind: 'media'; sequence: number; chunk: number; /** From the start of the stream. */ timestampMs: number; track: MediaTrack; payload: Buffer }

export type MediaEvent =
  | MediaFrame
  | { kind: 'connected' }
  | MediaStart
  | { kind: 'dtmf'; digit: string }
  /** Everything we sent before it has been played, or was thrown away by `clear`: the wire does not tell which. */
  | { kind: 'mark'; name: string }
  | { kind: 'stop' }
  /** The carrier complains about what we sent. */
  | { kind: 'failed'; code: string; message: string }
  /** A well-formed message that we have no word for. */
  | { kind: 'other'; name: string }
  | { kind: 'bad'; reason: BadFrameReason; /** Path in the message. */ where: string }

/**
 * One media socket. `decode` never throws and keeps nothing but what `start` said. The encoders throw AppError: `invalid_state` before
 * `start` where the carrier wants its stream id, `invalid_request` for an empty or endless payload.
 */
export type MediaWire = {
  /** Null until `start`. */
  readonly start: MediaStart | null
  decode(text: string): MediaEvent
  /** Sound in the format `start.outbound`. Shorter than the carrier's least length: filled up with silence. */
  encodeMedia(payload: Uint8Array): string
  encodeMark(name: string): string
  encodeClear(): string
}

/** A whole message. Frames of 20 ms are some 400 characters; `start` may carry parameters and an authentication token. */
export const MESSAGE_CHARS_MAX = 64 * 1024
/** One message of ours: 30 s of L16 at 48 kHz is more than anybody should have in a carrier's buffer at once. */
export const PAYLOAD_BYTES_MAX = 2 * 1024 * 1024
export const MARK_CHARS_MAX = 128

/** Digits only, at most 15: exact as a number. -1 for anything else. Twilio and Telnyx write numbers as strings. */
export function count(value: unknown): number {
  if (typeof value === 'number') return Number.isSafeInteger(value) && value >= 0 ? value : -1
  if (typeof value !== 'string' || value.length === 0 || value.length > 15) return -1
  let total = 0
  for (let at = 0; at < value.length; at++) {
    const digit = value.charCodeAt(at) - 48
    if (digit < 0 || digit > 9) return -1
    total = total * 10 + digit
  }
  return total
}

/** Strict: Node passes over what is not base64, so a wrong length betrays it. Null for anything but whole, padded base64 of at least one byte. */
export function fromBase64(text: string): Buffer | null {
  const { length } = text
  if (length === 0 || length % 4 !== 0) return null
  const padding = text.charCodeAt(length - 1) !== 61 ? 0 : text.charCodeAt(length - 2) === 61 ? 2 : 1
  const bytes = Buffer.from(text, 'base64')
  return bytes.length === (length / 4) * 3 - padding ? bytes : null
}

export function toBase64(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64')
}

export const bytesPerSample = (format: MediaFormat): number => (format.encoding === 'pcm_s16le' || format.encoding === 'pcm_s16be' ? 2 : 1)

/** What silence looks like: the byte for zero (ITU-T G.711; A-law has every other bit turned). */
export const silenceByte = ({ encoding }: MediaFormat): number => (encoding === 'pcmu' ? 0xff : encoding === 'pcma' ? 0xd5 : 0)

export function bad(reason: BadFrameReason, where: string): MediaEvent {
  return { kind: 'bad', reason, where }
}
