import { AppError } from '@trunkline/core'
import type { Decoder } from '../codec/contract.ts'
import { frameSamples } from '../frame.ts'
import type { Pcm } from '../frame.ts'
import { JitterBuffer } from './buffer.ts'
import type { JitterOptions, JitterStats, Released } from './buffer.ts'

export type VoiceInputOptions = {
  /** Stays the giver's to close. */
  decoder: Decoder
  jitter?: JitterOptions
  /** 20 ms in order. `timestampMs` is the sender's; `concealed`: lost on the way, silence or the decoder's guess. The array is the listener's to keep. */
  onFrame: (pcm: Pcm, timestampMs: number, concealed: boolean) => void
}

export type VoiceInputStats = JitterStats & {
  /** Frames whose bytes were no sound; concealed. */
  undecodable: number
  lastArrivalMs: number | null
}

const EMPTY = new Int16Array(0)

/** From a carrier's numbered frames to 20 ms of sound after 20 ms of sound, whatever came late, twice, never or broken. */
export class VoiceInput {
  readonly #buffer: JitterBuffer<Uint8Array>
  readonly #decoder: Decoder
  readonly #onFrame: (pcm: Pcm, timestampMs: number, concealed: boolean) => void
  readonly #frame: number
  readonly #samplesPerMs: number
  /** The beginning of a frame, when the sender's pieces are not whole frames. */
  #rest: Pcm = EMPTY
  #undecodable = 0
  #lastArrivalMs: number | null = null

  constructor({ decoder, jitter, onFrame }: VoiceInputOptions) {
    this.#buffer = new JitterBuffer(jitter)
    this.#decoder = decoder
    this.#onFrame = onFrame
    this.#frame = frameSamples(decoder.format.sampleRateHz)
    this.#samplesPerMs = decoder.format.sampleRateHz / 1_000
  }

  /** Never throws for what comes from outside. `bytes` must not be written to afterwards. */
  push(sequence: number, timestampMs: number, bytes: Uint8Array, nowMs: number): void {
    this.#lastArrivalMs = nowMs
    this.#buffer.push(sequence, timestampMs, bytes, nowMs)
    this.tick(nowMs)
  }

  /** Every 20 ms: frames behind a hole are waited for with time, and time passes without frames too. */
  tick(nowMs: number): void {
    for (let released = this.#buffer.pull(nowMs); released; released = this.#buffer.pull(nowMs)) this.#take(released)
  }

  stats(): VoiceInputStats {
    return { ...this.#buffer.stats(), undecodable: this.#undecodable, lastArrivalMs: this.#lastArrivalMs }
  }

  #take(released: Released<Uint8Array>): void {
    if (released.kind === 'restart') this.#rest = EMPTY
    else if (released.kind === 'frame') this.#decode(released.payload, released.timestampMs)
    else this.#emit(this.#decoder.conceal(released.durationMs * this.#samplesPerMs, released.following ?? undefined), released.timestampMs, true)
  }

  #decode(bytes: Uint8Array, timestampMs: number): void {
    try {
      this.#emit(this.#decoder.decode(bytes), timestampMs, false)
    } catch (error) {
      if (!(error instanceof AppError)) throw error
      this.#undecodable++
      this.#emit(this.#decoder.conceal(this.#frame), timestampMs, true)
    }
  }

  #emit(pcm: Pcm, timestampMs: number, concealed: boolean): void {
    if (this.#rest.length === 0 && pcm.length === this.#frame) {
      this.#onFrame(pcm, timestampMs, concealed)
      return
    }
    this.#cut(pcm, timestampMs, concealed)
  }

  #cut(pcm: Pcm, timestampMs: number, concealed: boolean): void {
    const all = new Int16Array(this.#rest.length + pcm.length)
    all.set(this.#rest)
    all.set(pcm, this.#rest.length)
    const beginsMs = timestampMs - this.#rest.length / this.#samplesPerMs
    let at = 0
    for (; at + this.#frame <= all.length; at += this.#frame) this.#onFrame(all.slice(at, at + this.#frame), beginsMs + at / this.#samplesPerMs, concealed)
    this.#rest = all.slice(at)
  }
}
