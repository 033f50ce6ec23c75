import type { Decoder } from '../../codec/index.ts'
import { frameSamples } from '../../frame.ts'
import type { Pcm } from '../../frame.ts'
import { JitterBuffer } from '../../jitter/buffer.ts'
import type { JitterOptions } from '../../jitter/buffer.ts'
import { timestampAhead } from './rtp.ts'
import type { RtpPacket } from './rtp.ts'

/** RTP counts packets with 16 bits. A packet that is missing is waited for as long as they have lately taken, between one frame and six. */
const ORDER: JitterOptions = { modulo: 65_536, minDelayMs: 20, initialDelayMs: 60, maxDelayMs: 120 }
/** Jitter of a radio network stays under this; a longer pause is filled with silence as it passes, so that a pause is heard as one. */
const FILL_AFTER_MS = 200
/** A longer hole in the timestamps is a new beginning (the peer's clock jumped), not sound that was lost. */
const MAX_GAP_MS = 1_000
/** A peer sends at most 100 packets a second (10 ms each). What comes beyond is a flood and is not decoded. */
const MAX_PACKETS_PER_SECOND = 250

export type InboundStats = { packets: number; late: number; lostFrames: number; malformed: number; flooded: number }

export type InboundOptions = {
  decoder: Decoder
  payloadType: number
  clockRateHz: number
  /** One frame of 20 ms; lent. */
  onFrame(pcm: Pcm): void
}

/** RTP packets, as a network delivers them, to frames of 20 ms without a hole. The numbers of packets put them in order, their timestamps say how long a hole is. */
export class Inbound {
  readonly #counts = { packets: 0, late: 0, lostFrames: 0, malformed: 0, flooded: 0 }
  readonly #options: InboundOptions
  readonly #frame: Pcm
  /** RTP clock ticks per sample of ours. */
  readonly #ticksPerSample: number
  #order = new JitterBuffer<RtpPacket>(ORDER)
  #filled = 0
  #ssrc: number | null = null
  /** Null: the next packet is a beginning. */
  #nextTimestamp: number | null = null
  #arrivedAtMs = 0
  #budgetUntilMs = 0
  #budget = 0

  constructor(options: InboundOptions) {
    this.#options = options
    const { sampleRateHz } = options.decoder.format
    this.#frame = new Int16Array(frameSamples(sampleRateHz))
    this.#ticksPerSample = options.clockRateHz / sampleRateHz
  }

  get stats(): InboundStats {
    return { ...this.#counts }
  }

  packet(packet: RtpPacket, nowMs: number): void {
    if (this.#isFlood(nowMs)) return void this.#counts.flooded++
    // Padding and what was not agreed upon: they carry no sound for us.
    if (packet.payloadType !== this.#options.payloadType) return
    this.#counts.packets++
    this.#arrivedAtMs = nowMs
    if (packet.ssrc !== this.#ssrc) this.#beginAnew(packet.ssrc)
    const verdict = this.#order.push(packet.sequence, (packet.timestamp / this.#options.clockRateHz) * 1_000, packet, nowMs)
    if (verdict === 'late' || verdict === 'duplicate') this.#counts.late++
    this.#release(nowMs)
  }

  /** Every 20 ms. */
  tick(nowMs: number): void {
    this.#release(nowMs)
    if (this.#nextTimestamp === null || nowMs - this.#arrivedAtMs < FILL_AFTER_MS) return
    this.#emit(new Int16Array(this.#frame.length))
    this.#nextTimestamp = (this.#nextTimestamp + this.#frame.length * this.#ticksPerSample) >>> 0
  }

  close(): void {
    this.#options.decoder.close()
  }

  #isFlood(nowMs: number): boolean {
    if (nowMs >= this.#budgetUntilMs) {
      this.#budgetUntilMs = nowMs + 1_000
      this.#budget = MAX_PACKETS_PER_SECOND
    }
    return this.#budget-- <= 0
  }

  /** Another source: what still waits of the old one is not heard. */
  #beginAnew(ssrc: number): void {
    this.#order = new JitterBuffer<RtpPacket>(ORDER)
    this.#ssrc = ssrc
    this.#nextTimestamp = null
  }

  #release(nowMs: number): void {
    for (let released = this.#order.pull(nowMs); released; released = this.#order.pull(nowMs)) {
      if (released.kind === 'restart') this.#nextTimestamp = null
      // A packet that was given up leaves a hole in the timestamps, which the next one fills.
      else if (released.kind === 'frame') this.#play(released.payload)
    }
  }

  #play(packet: RtpPacket): void {
    if (packet.payload.length === 0) return // A probe of the network.
    const gap = this.#nextTimestamp === null ? 0 : timestampAhead(packet.timestamp, this.#nextTimestamp)
    if (gap > 0) this.#fillGap(gap, packet.payload)
    const pcm = this.#decode(packet.payload)
    const ticks = pcm.length * this.#ticksPerSample
    // Its time was filled with silence while it was on its way. Of half a frame nobody need be deprived.
    if (gap < 0 && -gap >= ticks && -gap <= this.#ticksOf(MAX_GAP_MS)) return void this.#counts.late++
    this.#emit(pcm)
    this.#nextTimestamp = (packet.timestamp + ticks) >>> 0
  }

  #fillGap(gap: number, following: Buffer): void {
    if (gap > this.#ticksOf(MAX_GAP_MS)) return
    const samples = Math.round(gap / this.#ticksPerSample)
    this.#counts.lostFrames += Math.ceil(samples / this.#frame.length)
    this.#emit(this.#options.decoder.conceal(samples, following))
  }

  /** Bytes that are no sound of the codec count as a frame that was lost. */
  #decode(payload: Buffer): Pcm {
    try {
      return this.#options.decoder.decode(payload)
    } catch {
      this.#counts.malformed++
      return this.#options.decoder.conceal(this.#frame.length)
    }
  }

  #ticksOf(ms: number): number {
    return (ms / 1_000) * this.#options.clockRateHz
  }

  /** Packets may hold 10 to 120 ms; the house speaks in frames of 20. */
  #emit(pcm: Pcm): void {
    const size = this.#frame.length
    if (this.#filled === 0 && pcm.length === size) return this.#options.onFrame(pcm)
    for (let at = 0; at < pcm.length; ) {
      const piece = Math.min(size - this.#filled, pcm.length - at)
      this.#frame.set(pcm.subarray(at, at + piece), this.#filled)
      this.#filled += piece
      at += piece
      if (this.#filled < size) continue
      this.#filled = 0
      this.#options.onFrame(this.#frame)
    }
  }
}
