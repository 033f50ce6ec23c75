import { AppError } from '@trunkline/core'
import { FRAME_MS, frameSamples } from '../../frame.ts'
import type { Pcm, SampleRateHz } from '../../frame.ts'
import type { DirectLeg, LegRole, Wire } from '../contract.ts'
import { Voice } from './voice.ts'

/** A frame that comes this much after its time begins a new stretch of sound: what lies between is silence. */
const PAUSE_MS = 100

/** What a leg asks of its room. */
export type LegRoom = {
  /** Milliseconds since the room was opened. */
  nowMs(): number
  onPrompt(): void
  onLeft(leg: RoomLeg, reason: string): void
  onFault: (error: unknown) => void
}

/** One participant. What it says is its `voice`; what only it is to hear (`send`) is its `prompt`. */
export class RoomLeg implements DirectLeg {
  readonly id: string
  readonly sampleRateHz: SampleRateHz
  readonly voice: Voice
  readonly wire: Wire = { say: (pcm) => this.#say(pcm), onHear: (listener) => void (this.#hear = listener) }
  role: LegRole
  prompt: Voice | null = null
  /** Filled by the room: all that this leg hears. More than one: they are mixed in every slot. */
  sources: readonly Voice[] = []
  readonly #room: LegRoom
  readonly #sum: Int32Array
  readonly #mix: Pcm
  #hear: (pcm: Pcm) => void = () => {}
  #onFrame: ((pcm: Pcm, timestampMs: number) => void) | null = null
  #nextMs = 0
  #closedWith: string | null = null
  #closedListeners: ((reason: string) => void)[] = []

  constructor(id: string, role: LegRole, sampleRateHz: SampleRateHz, room: LegRoom) {
    this.id = id
    this.role = role
    this.sampleRateHz = sampleRateHz
    this.#room = room
    this.voice = new Voice(sampleRateHz)
    this.#sum = new Int32Array(frameSamples(sampleRateHz))
    this.#mix = new Int16Array(frameSamples(sampleRateHz))
  }

  get closed(): boolean {
    return this.#closedWith !== null
  }

  onFrame(listener: (pcm: Pcm, timestampMs: number) => void): void {
    this.#onFrame = listener
  }

  onClosed(listener: (reason: string) => void): void {
    if (this.#closedWith !== null) return listener(this.#closedWith)
    this.#closedListeners.push(listener)
  }

  send(pcm: Pcm): void {
    if (this.closed) return
    this.#assertFrame(pcm)
    if (!this.prompt) {
      this.prompt = new Voice(this.sampleRateHz)
      this.#room.onPrompt()
    }
    this.prompt.say(pcm)
  }

  /** A listener that throws loses its own leg; the others in the room hear on. */
  hear(pcm: Pcm): void {
    if (this.closed) return // By a listener that was told of the same frame before.
    try {
      this.#hear(pcm)
    } catch (error) {
      this.#fail(error)
    }
  }

  hearMix(): void {
    if (this.closed) return
    let first: Voice | null = null
    let count = 0
    for (const source of this.sources) {
      if (!source.mixed.present) continue
      first ??= source
      count++
    }
    if (first === null) return
    this.hear(count === 1 ? first.mixed.at(this.sampleRateHz) : this.#addUp())
  }

  close(reason: string): void {
    if (this.#closedWith !== null) return
    this.#closedWith = reason
    this.voice.close()
    this.prompt?.close()
    this.#room.onLeft(this, reason)
    for (const listener of this.#closedListeners) listener(reason)
    this.#closedListeners = []
  }

  #say(pcm: Pcm): void {
    if (this.closed) return
    this.#assertFrame(pcm)
    this.#tap(pcm)
    this.voice.say(pcm)
  }

  #tap(pcm: Pcm): void {
    const nowMs = this.#room.nowMs()
    if (nowMs - this.#nextMs > PAUSE_MS) this.#nextMs = nowMs
    const timestampMs = this.#nextMs
    this.#nextMs += FRAME_MS
    if (!this.#onFrame) return
    try {
      this.#onFrame(pcm, timestampMs)
    } catch (error) {
      this.#fail(error)
    }
  }

  /** Adds in 32 bits and limits once at the end, so that the order of the voices does not matter. */
  #addUp(): Pcm {
    const sum = this.#sum
    sum.fill(0)
    for (const source of this.sources) {
      if (!source.mixed.present) continue
      const frame = source.mixed.at(this.sampleRateHz)
      for (let i = 0; i < sum.length; i++) sum[i]! += frame[i]!
    }
    for (let i = 0; i < sum.length; i++) this.#mix[i] = Math.max(-32_768, Math.min(32_767, sum[i]!))
    return this.#mix
  }

  #assertFrame(pcm: Pcm): void {
    if (pcm.length === this.#mix.length) return
    throw new AppError('invalid_request', { message: `A frame at ${this.sampleRateHz} Hz has ${this.#mix.length} samples (20 ms), not ${pcm.length}.`, param: 'pcm' })
  }

  #fail(error: unknown): void {
    this.#room.onFault(error)
    this.close('listener_failed')
  }
}
