import { EventEmitter } from 'node:events'
import { frameBytes, silenceByte, transcode, type LineFormat } from './format.ts'
import { Playout } from './playout.ts'
import type { Person } from './person.ts'
import { lineBytes, type Utterance } from './sound.ts'
import { Track } from './track.ts'
import type { Ticker, Wheel } from './wheel.ts'

/** What happened in a call, at its real time. `atMs` counts from the answer (negative: before it), by a monotonic clock. */
export type Moment = { kind: string; atMs: number; at: string; text?: string }

export type EndReason = 'completed' | 'busy' | 'no_answer' | 'rejected' | 'canceled' | 'failed' | 'unknown_number' | 'time_limit'
export type EndedBy = 'person' | 'business' | 'network'

/** What is connected to a call: a media socket. Bytes are one frame of 20 ms. */
export type Listener = {
  /** One frame of what the person says. `isQuiet`: nothing but silence. Lent. */
  hear(frame: Buffer, isQuiet: boolean): void
  /** What is to be heard by the person now, into `out`; how many bytes of it are sound. */
  speak(out: Buffer): number
  pressed(digit: string): void
  close(reason: string): void
}

export type CallFacts = {
  id: string
  from: string
  to: string
  /** As the business sees it. */
  direction: 'inbound' | 'outbound'
  person: Person
  /** Of the phone's own line; a media stream may speak another one. */
  format: LineFormat
  keptMs: number
  wheel: Wheel
}

/** `unbridged`: the other person is gone, or somebody else took its place. `silent`: the person has said all that it had to say. `heard` lends what it hears, frame by frame; `media` what a media socket brought, at this time of `performance.now()`. */
type CallEvents = { answered: []; ended: []; moment: [Moment]; heard: [Buffer, number]; media: [number, Buffer]; unbridged: []; silent: [] }

const MOMENTS_MAX = 20_000

/** One leg: a person on a phone on one side, on the other whatever the carrier connected. Knows no carrier. */
export class Call extends EventEmitter<CallEvents> implements Ticker {
  readonly facts: CallFacts
  readonly moments: Moment[] = []
  readonly caller: Track
  readonly agent: Track
  readonly createdAt = new Date()
  answeredAt: Date | null = null
  endedAt: Date | null = null
  state: 'ringing' | 'answered' | 'ended' = 'ringing'
  endReason: EndReason | null = null
  endedBy: EndedBy | null = null
  /** `Say` and `Play` of the carrier itself; heard instead of anything else. */
  readonly prompt: Playout
  #listener: Listener | null = null
  readonly #forks = new Set<Listener>()
  #peer: Call | null = null
  readonly #mouth: Playout
  readonly #inFrame: Buffer
  readonly #outFrame: Buffer
  readonly #keys: { digit: string; frame: number }[] = []
  #frame = 0
  #wasQuiet = true
  #answeredMs = performance.now()

  constructor(facts: CallFacts) {
    super()
    this.setMaxListeners(100)
    this.facts = facts
    const [bytes, silence] = [frameBytes(facts.format), silenceByte(facts.format)]
    this.#mouth = new Playout(bytes, silence)
    this.prompt = new Playout(bytes, silence)
    this.#inFrame = Buffer.alloc(bytes, silence)
    this.#outFrame = Buffer.alloc(bytes)
    this.caller = new Track(facts.format, facts.keptMs)
    this.agent = new Track(facts.format, facts.keptMs)
  }

  get id(): string {
    return this.facts.id
  }

  /** Since the answer, 0 before it. */
  get elapsedMs(): number {
    return this.state === 'ringing' ? 0 : performance.now() - this.#answeredMs
  }

  get seconds(): number {
    if (!this.answeredAt) return 0
    return Math.ceil(((this.endedAt ?? new Date()).getTime() - this.answeredAt.getTime()) / 1_000)
  }

  note(kind: string, text?: string): void {
    const atMs = Math.round((performance.now() - this.#answeredMs) * 10) / 10
    const moment: Moment = { kind, atMs, at: new Date().toISOString(), ...(text === undefined ? {} : { text }) }
    if (this.moments.length < MOMENTS_MAX) this.moments.push(moment)
    this.emit('moment', moment)
  }

  answer(): void {
    if (this.state !== 'ringing') return
    this.state = 'answered'
    this.answeredAt = new Date()
    this.#answeredMs = performance.now()
    this.note('answered')
    this.facts.wheel.add(this)
    for (const utterance of this.facts.person.says) this.say(utterance)
    const { hangs_up_after_ms: patienceMs } = this.facts.person
    if (patienceMs !== undefined) this.facts.wheel.after(patienceMs, () => this.end('completed', 'person'))
    this.emit('answered')
  }

  /** Idempotent; the first reason stays. */
  end(reason: EndReason, by: EndedBy): void {
    if (this.state === 'ended') return
    this.state = 'ended'
    this.endedAt = new Date()
    this.endReason = reason
    this.endedBy = by
    this.facts.wheel.remove(this)
    this.note('ended', reason)
    this.connect(null)
    for (const fork of this.#forks) fork.close('ended')
    this.#forks.clear()
    this.unbridge()
    this.emit('ended')
  }

  /** What the person says, after what it is saying already. */
  say(utterance: Utterance): void {
    this.#mouth.push(lineBytes(utterance, this.facts.format))
    this.note('person.says', 'text' in utterance ? utterance.text : undefined)
  }

  /** The person falls silent in the middle of a word. */
  hush(): void {
    this.#mouth.clear()
  }

  /** Keys are pressed 100 ms apart. */
  press(digits: string): void {
    let frame = Math.max(this.#frame, this.#keys.at(-1)?.frame ?? 0)
    for (const digit of digits) this.#keys.push({ digit, frame: (frame += 5) })
  }

  /** Who hears and speaks for the business now; the one before is closed. */
  connect(listener: Listener | null, reason = 'replaced'): void {
    const before = this.#listener
    this.#listener = listener
    if (before && before !== listener) before.close(this.state === 'ended' ? 'ended' : reason)
  }

  /** It is gone by itself. */
  disconnect(listener: Listener): void {
    if (this.#listener === listener) this.#listener = null
    this.#forks.delete(listener)
  }

  /** Hears, and is never heard. */
  fork(listener: Listener): void {
    this.#forks.add(listener)
  }

  get peer(): Call | null {
    return this.#peer
  }

  /** Two persons hear each other, whatever was connected before. */
  bridge(other: Call): void {
    if (this.#peer === other) return
    for (const [one, two] of [[this, other], [other, this]] as const) {
      one.connect(null)
      one.prompt.clear()
      if (one.#peer !== two) one.unbridge()
      one.#peer = two
      one.note('bridged', two.id)
    }
  }

  unbridge(): void {
    const peer = this.#peer
    if (!peer) return
    this.#peer = null
    peer.#peer = null
    this.emit('unbridged')
    peer.emit('unbridged')
  }

  tick(): void {
    const isQuiet = this.#mouth.pull(this.#inFrame) === 0
    if (isQuiet && !this.#wasQuiet) this.#fellSilent()
    this.#wasQuiet = isQuiet
    this.caller.append(isQuiet ? null : this.#inFrame)
    this.#listener?.hear(this.#inFrame, isQuiet)
    for (const fork of this.#forks) fork.hear(this.#inFrame, isQuiet)
    const heard = this.#listen()
    this.agent.append(heard)
    this.emit('heard', heard, this.#frame)
    this.#frame++
    while (this.#keys.length > 0 && this.#keys[0]!.frame <= this.#frame) this.#pressed(this.#keys.shift()!.digit)
  }

  #fellSilent(): void {
    this.note('person.silent')
    this.emit('silent')
  }

  #pressed(digit: string): void {
    this.note('person.pressed', digit)
    this.#listener?.pressed(digit)
    for (const fork of this.#forks) fork.pressed(digit)
  }

  #listen(): Buffer {
    const out = this.#outFrame
    if (this.prompt.waitingBytes > 0) {
      this.prompt.pull(out)
      // What a socket has to say waits until the announcement is over.
      return out
    }
    if (this.#peer) return this.#peer.#spokenFor(this.facts.format, out)
    if (this.#listener) this.#listener.speak(out)
    else out.fill(silenceByte(this.facts.format))
    return out
  }

  /** The last frame of this person as the other one's line writes it. */
  #spokenFor(format: LineFormat, out: Buffer): Buffer {
    transcode(this.#inFrame, this.facts.format, format).copy(out)
    return out
  }
}
