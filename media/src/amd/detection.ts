import { createBeepDetector, type BeepDetector } from '../dtmf/beep.ts'
import { durationMs, type Pcm, type SampleRateHz } from '../frame.ts'
import { monotonicClock, type MonotonicClock } from '../playout/monotonic.ts'
import type { SttEvent } from '../stt/contract.ts'
import type { SpeechEdge } from '../vad/speech-edges.ts'
import type { AmdEffect, AmdEvent, AmdSettings, AmdState, AmdVerdict } from './contract.ts'
import { nextAmdDueMs, openAmd, stepAmd } from './step.ts'

export type AnswerDetectionOptions = {
  sampleRateHz: SampleRateHz
  settings?: Partial<AmdSettings>
  onEffect: (effect: AmdEffect) => void
  clock?: MonotonicClock
}

/** Listens beside a call's ears from the moment it is answered: frames, edges and words in, who it is out. */
export class AnswerDetection {
  readonly #onEffect: (effect: AmdEffect) => void
  readonly #clock: MonotonicClock
  readonly #sampleRateHz: number
  readonly #beeps: BeepDetector
  #state: AmdState
  #heardMs = 0
  #cancelTimer: (() => void) | null = null

  constructor({ sampleRateHz, settings = {}, onEffect, clock = monotonicClock }: AnswerDetectionOptions) {
    this.#onEffect = onEffect
    this.#clock = clock
    this.#sampleRateHz = sampleRateHz
    this.#beeps = createBeepDetector({
      sampleRateHz,
      onStart: ({ atMs }) => this.#take({ type: 'tone_start', nowMs: this.#clock.nowMs(), atMs: this.#momentOf(atMs) }),
      onEnd: (beep) => this.#take({ type: 'tone', nowMs: this.#clock.nowMs(), hz: beep.hz, durationMs: beep.durationMs }),
    })
    this.#state = openAmd(settings, clock.nowMs())
    this.#setTimer()
  }

  get verdict(): AmdVerdict | null {
    return this.#state.verdict
  }

  frame(pcm: Pcm): void {
    if (this.#state.over) return
    this.#heardMs += durationMs(pcm, this.#sampleRateHz)
    this.#beeps.push(pcm)
  }

  edge({ type, atMs }: SpeechEdge): void {
    this.#take({ type: type === 'start' ? 'speech_start' : 'speech_stop', nowMs: this.#clock.nowMs(), atMs: this.#momentOf(atMs) })
  }

  words(event: SttEvent): void {
    if (event.type === 'partial' || event.type === 'final') this.#take({ type: event.type, nowMs: this.#clock.nowMs(), text: event.text })
  }

  /** Idempotent. */
  close(): void {
    this.#state = { ...this.#state, over: true }
    this.#cancelTimer?.()
    this.#cancelTimer = null
    this.#beeps.close()
  }

  /** Of a time in the sound: its end is now. */
  #momentOf(streamMs: number): number {
    return this.#clock.nowMs() - Math.max(0, this.#heardMs - streamMs)
  }

  #take(event: AmdEvent): void {
    const { state, effects } = stepAmd(this.#state, event)
    this.#state = state
    for (const effect of effects) this.#onEffect(effect)
    this.#setTimer()
  }

  #setTimer(): void {
    this.#cancelTimer?.()
    const dueMs = nextAmdDueMs(this.#state)
    this.#cancelTimer = dueMs === null ? null : this.#clock.after(Math.max(0, dueMs - this.#clock.nowMs()), () => this.#take({ type: 'timer', nowMs: Math.max(dueMs, this.#clock.nowMs()) }))
  }
}
