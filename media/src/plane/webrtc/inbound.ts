import type { Decoder } from '../../codec/index.ts'
import { frameSamples } from '../../frame.ts'
import type { Pcm } from '../../frame.ts'
import { sequenceAhead, timestampAhead } from './rtp.ts'
import type { RtpPacket } from './rtp.ts'

/** So many packets wait for one that is missing: 60 ms at 20 ms a packet. Who asks for it again? Nobody; it is late or lost. */
const REORDER_DEPTH = 3
/** Jitter of a radio network stays under this; a longer pause is filled with silence as it passes, so that a pause is heard as one. */
const FILL_AFTER_MS = 200
/** A longer hole in the timestamps is a new beginning (the peer's clock jumped), not sound that was lost. */
const MAX_GAP_MS = 1_000
/** So far from what is awaited that it belongs to a stream that began anew. */
const RESTART_AHEAD = 1_000
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

/** RTP packets, as a network delivers them, to frames of 20 ms without a hole. */
export class Inbound {
  readonly stats: InboundStats = { packets: 0, late: 0, lostFrames: 0, malformed: 0, flooded: 0 }
  readonly #options: InboundOptions
  readonly #frame: Pcm
  /** RTP clock ticks per sample of ours. */
  readonly #ticksPerSample: number
  readonly #waiting: RtpPacket[] = []
  #filled = 0
  #ssrc: number | null = null
  #nextSequence = 0
  #nextTimestamp = 0
  #arrivedAtMs = 0
  #budgetUntilMs = 0
  #budget = 0

  constructor(options: InboundOptions) {
    this.#options = options
    const { sampleRateHz } = options.decoder.format
    this.#frame = new Int16Array(frameSamples(sampleRateHz))
    this.#ticksPerSample = options.clockRateHz / sampleRateHz
  }

  packet(packet: RtpPacket, nowMs: number): void {
    if (this.#isFlood(nowMs)) return void this.stats.flooded++
    // Padding and what was not agreed upon: they carry no sound for us.
    if (packet.payloadType !== this.#options.payloadType) return
    this.stats.packets++
    this.#arrivedAtMs = nowMs
    const ahead = sequenceAhead(packet.sequence, this.#nextSequence)
    if (packet.ssrc !== this.#ssrc || Math.abs(ahead) > RESTART_AHEAD) return this.#restart(packet)
    if (ahead < 0) return void this.stats.late++
    this.#keep(packet)
    this.#drain()
  }

  /** Every 20 ms. */
  tick(nowMs: number): void {
    if (this.#ssrc === null || nowMs - this.#arrivedAtMs < FILL_AFTER_MS) return
    this.#flushWaiting()
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

  #restart(packet: RtpPacket): void {
    this.#flushWaiting()
    this.#ssrc = packet.ssrc
    this.#nextSequence = packet.sequence
    this.#nextTimestamp = packet.timestamp
    this.#play(packet)
  }

  /** In order of sequence; a repeat is dropped. */
  #keep(packet: RtpPacket): void {
    const waiting = this.#waiting
    let at = waiting.length
    while (at > 0 && sequenceAhead(waiting[at - 1]!.sequence, packet.sequence) > 0) at--
    if (at > 0 && waiting[at - 1]!.sequence === packet.sequence) return void this.stats.late++
    waiting.splice(at, 0, packet)
  }

  #drain(): void {
    while (this.#waiting.length > 0) {
      const isNext = this.#waiting[0]!.sequence === this.#nextSequence
      if (!isNext && this.#waiting.length <= REORDER_DEPTH) return
      this.#play(this.#waiting.shift()!)
    }
  }

  #flushWaiting(): void {
    for (const packet of this.#waiting.splice(0)) this.#play(packet)
  }

  #play(packet: RtpPacket): void {
    this.#nextSequence = (packet.sequence + 1) & 0xffff
    if (packet.payload.length === 0) return // A probe of the network.
    const gap = timestampAhead(packet.timestamp, this.#nextTimestamp)
    if (gap > 0) this.#fillGap(gap, packet.payload)
    const pcm = this.#decode(packet.payload)
    const ticks = pcm.length * this.#ticksPerSample
    // Its time was filled with silence while it was on its way. Of half a frame nobody need be deprived.
    if (gap < 0 && -gap >= ticks && -gap <= this.#ticksOf(MAX_GAP_MS)) return void this.stats.late++
    this.#emit(pcm)
    this.#nextTimestamp = (packet.timestamp + ticks) >>> 0
  }

  #fillGap(gap: number, following: Buffer): void {
    if (gap > this.#ticksOf(MAX_GAP_MS)) return
    const samples = Math.round(gap / this.#ticksPerSample)
    this.stats.lostFrames += Math.ceil(samples / this.#frame.length)
    this.#emit(this.#options.decoder.conceal(samples, following))
  }

  /** Bytes that are no sound of the codec count as a frame that was lost. */
  #decode(payload: Buffer): Pcm {
    try {
      return this.#options.decoder.decode(payload)
    } catch {
      this.stats.malformed++
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

