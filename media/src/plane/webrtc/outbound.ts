import { randomInt } from 'node:crypto'
import type { Encoder } from '../../codec/index.ts'
import { FRAME_MS } from '../../frame.ts'
import type { Pcm } from '../../frame.ts'
import { RTP_HEADER_BYTES, writeRtpHeader } from './rtp.ts'

/** Frames later than this begin a new stretch of talk: the timestamp jumps by the pause, and the marker says so (RFC 3551 §4.1). */
const PAUSE_MS = 100
/** More than any frame of 20 ms: Opus at its highest rate has 1,275. */
const MAX_PAYLOAD_BYTES = 1_500

export type OutboundOptions = {
  encoder: Encoder
  payloadType: number
  ssrc: number
  clockRateHz: number
  /** The packet is only lent. */
  send(packet: Buffer): void
  nowMs(): number
}

/** Frames of 20 ms to RTP packets. */
export class Outbound {
  readonly #options: OutboundOptions
  readonly #packet = Buffer.alloc(RTP_HEADER_BYTES + MAX_PAYLOAD_BYTES)
  readonly #payload = this.#packet.subarray(RTP_HEADER_BYTES)
  readonly #step: number
  #sequence = randomInt(0x1_0000)
  #timestamp = randomInt(0x1_0000_0000)
  /** When the next frame is due; null before the first. */
  #dueMs: number | null = null

  constructor(options: OutboundOptions) {
    this.#options = options
    this.#step = (options.clockRateHz / 1_000) * FRAME_MS
  }

  send(pcm: Pcm): void {
    const { encoder, payloadType, ssrc } = this.#options
    const nowMs = this.#options.nowMs()
    const lateMs = this.#dueMs === null ? 0 : nowMs - this.#dueMs
    const marker = this.#dueMs === null || lateMs > PAUSE_MS
    const frames = marker ? 1 + Math.round(lateMs / FRAME_MS) : 1
    this.#dueMs = (this.#dueMs ?? nowMs) + frames * FRAME_MS
    this.#sequence = (this.#sequence + 1) & 0xffff
    this.#timestamp = (this.#timestamp + frames * this.#step) >>> 0
    const bytes = encoder.encodeInto(pcm, this.#payload)
    writeRtpHeader(this.#packet, { payloadType, marker, sequence: this.#sequence, timestamp: this.#timestamp, ssrc })
    this.#options.send(this.#packet.subarray(0, RTP_HEADER_BYTES + bytes))
  }

  close(): void {
    this.#options.encoder.close()
  }
}
