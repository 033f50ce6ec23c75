import type { Pcm, SttEngine, SttStream } from '@trunkline/media'

const FRAME_MS = 20
/** 16-bit RMS: our own voices come without a line's noise. */
const SOUNDS_RMS = 150
/** Between the words of one who goes on speaking it is silent for less than this. */
const BREATH_MS = 400

export type Interruption = { atMs: number; silentAfterMs: number | null }

/** What a simulated caller hears: when the agent speaks, its words, and how long everything took. Times are the call's. */
export class CallerEar {
  readonly responsesMs: number[] = []
  readonly interruptions: Interruption[] = []
  readonly #stt: SttStream
  #nowMs = 0
  /** When the agent's present or last speech began and when it last sounded. */
  #beganMs = -Infinity
  #soundedMs = -Infinity
  #callerSoundedMs = -Infinity
  /** The caller has spoken and waits for the answer. */
  #awaits = false
  #callerWasSounding = false
  #interruption: Interruption | null = null
  #finals = ''
  #partial = ''
  #since = 0
  #finished: (() => void)[] = []
  readonly #ended: Promise<void>

  constructor(stt: SttEngine, language: string | null, signal: AbortSignal) {
    this.#stt = stt.open({ sampleRateHz: 8_000, language, keyterms: [], signal })
    this.#ended = this.#listen()
  }

  /** 20 ms of both. */
  frame(pcm: Pcm, callerSounds: boolean): void {
    this.#nowMs += FRAME_MS
    this.#stt.push(pcm)
    this.#callerFrame(callerSounds)
    if (rms(pcm) >= SOUNDS_RMS) this.#agentSounds()
    else if (this.#interruption && this.silentMs >= BREATH_MS) this.#fellSilent(this.#interruption)
  }

  /** How long the agent has been silent. */
  get silentMs(): number {
    return this.#nowMs - this.#soundedMs
  }

  /** How long the agent has been speaking, null while it is silent. */
  get speakingMs(): number | null {
    return this.silentMs < BREATH_MS ? this.#nowMs - this.#beganMs : null
  }

  /** The agent has said something since the caller last spoke. */
  get hasAnswered(): boolean {
    return this.#soundedMs > this.#callerSoundedMs && !this.#awaits
  }

  /** Words since the caller last spoke; the last ones may still change. */
  get words(): string {
    return this.#all.slice(this.#since).trim()
  }

  get everything(): string {
    return this.#all.trim()
  }

  /** The caller begins to speak. */
  turn(): void {
    this.#since = this.#all.length
    if (this.speakingMs === null) return
    this.#interruption = { atMs: this.#nowMs, silentAfterMs: null }
    this.interruptions.push(this.#interruption)
  }

  /** Resolves when all that was heard is words, or after `withinMs`. */
  async settle(withinMs: number): Promise<void> {
    await Promise.race([new Promise<void>((resolve) => {
      this.#finished.push(resolve)
      this.#stt.finish()
    }), this.#ended, new Promise<void>((resolve) => setTimeout(resolve, withinMs).unref())])
  }

  /** Idempotent. */
  close(): void {
    this.#stt.close()
  }

  get #all(): string {
    return `${this.#finals}${this.#partial}`
  }

  async #listen(): Promise<void> {
    for await (const event of this.#stt.events) {
      if (event.type === 'partial') this.#partial = event.text
      else if (event.type === 'final') {
        this.#finals += `${event.text} `
        this.#partial = ''
      } else if (event.type === 'finished') this.#finished.shift()?.()
    }
  }

  #callerFrame(sounds: boolean): void {
    if (sounds) this.#callerSoundedMs = this.#nowMs
    else if (this.#callerWasSounding) this.#awaits = true
    this.#callerWasSounding = sounds
  }

  #agentSounds(): void {
    const wasSilent = this.silentMs >= BREATH_MS
    if (wasSilent) this.#beganMs = this.#nowMs
    this.#soundedMs = this.#nowMs
    if (!this.#awaits || !(wasSilent || this.#beganMs > this.#callerSoundedMs)) return
    this.#awaits = false
    this.responsesMs.push(this.#nowMs - FRAME_MS - this.#callerSoundedMs)
  }

  #fellSilent(interruption: Interruption): void {
    interruption.silentAfterMs = this.#soundedMs - interruption.atMs
    this.#interruption = null
  }
}

function rms(pcm: Pcm): number {
  let sum = 0
  for (const sample of pcm) sum += sample * sample
  return Math.sqrt(sum / pcm.length)
}
