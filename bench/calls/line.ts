import { WebSocket } from 'ws'
import { sharedMs } from './clock.ts'
import { Listener, type Findings } from './listener.ts'
import { keyOf } from './script.ts'
import { CONNECTED, IDENTITY_FRAMES, identityPayload, markMessage, mediaMessage, QUIET_PAYLOAD, startMessage, stopMessage, streamSid, withIdentity } from './twilio.ts'

/** What one caller sees of one question, by its key; times of `sharedMs`. */
export type Sighting = {
  /** The last loud frame of the question left. */
  spokenMs?: number
  /** The first frame of the answer came. */
  answerMs?: number
  /** A question that interrupts: its first frame left; the first `clear` came (the voice becomes softer), the last one, and the last sound before the answer. */
  interruptMs?: number
  duckMs?: number
  clearMs?: number
  soundMs?: number
}

/** The question's sound as frames in base64, and which frame is the last loud one. */
export type Question = { payloads: string[]; lastLoud: number }

export type LinePlan = {
  index: number
  url: string
  signature: string
  question: Question
  /** Every so many questions come while the agent still speaks; 0: never. */
  interruptEvery: number
  findings: Findings
  see: (key: string, what: keyof Sighting, atMs: number) => void
}

/** Silence for so long: the agent has said everything. */
const OVER_MS = 700
const PATIENCE_MS = 8_000
const PAUSE_MS = [300, 1_300] as const
const INTERRUPT_AFTER_MS = [1_500, 3_500] as const

type Phase = 'waiting' | 'listening' | 'pausing' | 'asking'

/** One caller at a carrier that plays what it gets and returns its marks: listens, asks, interrupts now and then, asks again. */
export class Line {
  readonly #plan: LinePlan
  readonly #socket: WebSocket
  readonly #listener: Listener
  readonly #sid: string
  readonly #identity: string
  readonly #marks: { name: string; dueMs: number }[] = []
  #phase: Phase = 'waiting'
  /** When this phase ends by itself. */
  #untilMs = sharedMs() + 2 * PATIENCE_MS
  #interruptMs = Infinity
  #frame = 0
  #sequence = 0
  #askedFrame = 0
  #question = 0
  #headBytes = 0
  isOpen = false
  /** Why it is no more; null while it is. */
  end: string | null = null
  answered = 0
  unanswered = 0

  constructor(plan: LinePlan) {
    this.#plan = plan
    this.#listener = new Listener(plan.findings)
    this.#sid = streamSid(plan.index)
    this.#identity = identityPayload(plan.index)
    this.#socket = new WebSocket(plan.url, { perMessageDeflate: false, headers: { 'x-twilio-signature': plan.signature } })
    this.#socket.on('open', () => {
      this.#socket.send(CONNECTED)
      this.#socket.send(startMessage(plan.index))
      this.isOpen = true
    })
    this.#socket.on('message', (data: Buffer) => this.#take(data, sharedMs()))
    this.#socket.on('error', (error) => this.#over(error.message))
    this.#socket.on('close', (code) => this.#over(`closed with ${code}`))
  }

  /** Every 20 ms. */
  tick(nowMs: number): void {
    if (!this.isOpen || this.end !== null) return
    this.#returnMarks(nowMs)
    this.#live(nowMs)
    this.#socket.send(mediaMessage(this.#sid, this.#frame, this.#payload(nowMs)))
    this.#frame += 1
    this.#sequence = this.#frame + 2
  }

  /** The caller hangs up. */
  hangUp(): void {
    if (this.end !== null) return
    this.#listener.over()
    if (this.isOpen) this.#socket.send(stopMessage(this.#plan.index, this.#sequence))
    this.#over('hung up')
    this.#socket.close(1000)
  }

  // ── What is heard ───────────────────────────────────────────────────────────────────────────────────────────────────
  /** `{"event":"me…`, `"ma…`, `"cl…`: one character tells which it is; sound is not decoded. */
  #take(data: Buffer, nowMs: number): void {
    if (data[11] === 0x65) return this.#sound(data, nowMs)
    if (data[10] === 0x63) return this.#clear(nowMs)
    const { name } = (JSON.parse(data.toString('utf8')) as { mark: { name: string } }).mark
    this.#marks.push({ name, dueMs: Math.max(nowMs, this.#listener.endsMs) })
  }

  #sound(data: Buffer, nowMs: number): void {
    if (this.#headBytes === 0) this.#headBytes = data.indexOf('"payload":"') + 11
    const padding = data[data.length - 4] !== 0x3d ? 0 : data[data.length - 5] === 0x3d ? 2 : 1
    const bytes = ((data.length - this.#headBytes - 3) / 4) * 3 - padding
    if (this.#phase === 'waiting') this.#answerBegins(nowMs)
    if (this.#phase === 'asking') this.#plan.see(this.#key, 'soundMs', nowMs)
    this.#listener.sound(nowMs, bytes / 8)
  }

  #answerBegins(nowMs: number): void {
    if (this.#question > 0) this.#plan.see(this.#key, 'answerMs', nowMs)
    this.#listener.over()
    this.#phase = 'listening'
    const { interruptEvery } = this.#plan
    const interrupts = interruptEvery > 0 && this.#question > 0 && this.#question % interruptEvery === 0
    this.#interruptMs = interrupts ? nowMs + between(INTERRUPT_AFTER_MS) : Infinity
  }

  #clear(nowMs: number): void {
    if (this.#phase === 'asking' || this.#phase === 'waiting') {
      this.#plan.see(this.#key, 'duckMs', nowMs)
      this.#plan.see(this.#key, 'clearMs', nowMs)
    }
    this.#listener.clear(nowMs)
    for (const mark of this.#marks) mark.dueMs = nowMs
    this.#returnMarks(nowMs)
  }

  #returnMarks(nowMs: number): void {
    while (this.#marks.length > 0 && this.#marks[0]!.dueMs <= nowMs) this.#socket.send(markMessage(this.#plan.index, ++this.#sequence, this.#marks.shift()!.name))
  }

  // ── What is said ────────────────────────────────────────────────────────────────────────────────────────────────────
  #live(nowMs: number): void {
    if (this.#phase === 'listening') {
      if (nowMs >= this.#interruptMs) this.#ask(nowMs, true)
      else if (nowMs - this.#listener.endsMs >= OVER_MS) this.#pause(nowMs)
    } else if (this.#phase === 'pausing' && nowMs >= this.#untilMs) this.#ask(nowMs, false)
    else if (this.#phase === 'waiting' && nowMs >= this.#untilMs) {
      this.unanswered += 1
      this.#ask(nowMs, false)
    }
  }

  #pause(nowMs: number): void {
    this.answered += 1
    this.#listener.over()
    this.#phase = 'pausing'
    this.#untilMs = nowMs + between(PAUSE_MS)
  }

  #ask(nowMs: number, interrupts: boolean): void {
    this.#question += 1
    this.#askedFrame = 0
    this.#phase = 'asking'
    if (interrupts) this.#plan.see(this.#key, 'interruptMs', nowMs)
    else this.#listener.over()
  }

  #payload(nowMs: number): string {
    if (this.#frame < IDENTITY_FRAMES) return this.#identity
    if (this.#phase !== 'asking') return QUIET_PAYLOAD
    const { payloads, lastLoud } = this.#plan.question
    const payload = payloads[this.#askedFrame]!
    if (this.#askedFrame === lastLoud) this.#plan.see(this.#key, 'spokenMs', nowMs)
    this.#askedFrame += 1
    if (this.#askedFrame === payloads.length) {
      this.#phase = 'waiting'
      this.#untilMs = nowMs + PATIENCE_MS
    }
    // In every frame it would be a buzz.
    return this.#askedFrame === 1 ? withIdentity(this.#identity, payload) : payload
  }

  get #key(): string {
    return keyOf(this.#plan.index, this.#question)
  }

  #over(why: string): void {
    this.end ??= why
  }
}

const between = ([least, most]: readonly [number, number]): number => least + Math.random() * (most - least)
