import { compilePattern, type GoalCaller } from '@trunkline/agents'
import type { SimulatedStep } from '@trunkline/core'
import type { CallerEar } from './ear.ts'
import type { SimulatedPhone } from './phone.ts'
import type { CallerVoice } from './voice.ts'

export type FailedStep = { step: number; why: string }
export type CallerParts = { phone: SimulatedPhone; ear: CallerEar; voice: CallerVoice; /** Fires when the line is gone. */ signal: AbortSignal }

/** Somebody who speaks leaves this much silence before they take it for finished. */
const DONE_MS = 900
/** Nobody waits longer for an answer, or for a greeting that does not come. */
const PATIENCE_MS = 15_000
const FIRST_PATIENCE_MS = 3_000
const KEY_MS = 200
const GOAL_TURNS_MAX = 25
/** Between the last word that was heard and the hand that hangs up. */
const HAND_MS = 300

type Wait = { until: () => boolean; resolve: (met: boolean) => void; dueMs: number }

class LineGone extends Error {}
class StepFailed extends Error {}

/** A person at a simulated telephone. */
export class Caller {
  readonly #parts: CallerParts
  #waiting: Wait[] = []
  #hasSpoken = false

  constructor(parts: CallerParts) {
    this.#parts = parts
    parts.signal.addEventListener('abort', () => this.#waiting.splice(0).forEach(({ resolve }) => resolve(false)), { once: true })
  }

  /** After each frame that was heard. */
  tick(): void {
    if (this.#waiting.length === 0) return
    const nowMs = this.#parts.phone.nowMs
    const over = this.#waiting.filter((wait) => wait.until() || wait.dueMs <= nowMs)
    if (over.length === 0) return
    this.#waiting = this.#waiting.filter((wait) => !over.includes(wait))
    for (const { resolve, until } of over) resolve(until())
  }

  /** Plays the script to its end and hangs up. Null: every step could be done. */
  async play(script: readonly SimulatedStep[]): Promise<FailedStep | null> {
    for (const [step, wish] of script.entries()) {
      try {
        await this.#do(wish)
      } catch (error) {
        if (error instanceof LineGone) return 'hang_up' in wish ? null : { step, why: 'the agent had hung up' }
        this.#parts.phone.hangUp()
        return { step, why: error instanceof StepFailed ? error.message : 'the caller has lost the voice' }
      }
    }
    await this.#hangUp().catch(() => {})
    return null
  }

  /** Talks until the caller has what it wants, or has had enough. */
  async pursue(goal: GoalCaller): Promise<FailedStep | null> {
    for (let turn = 0; turn < GOAL_TURNS_MAX; turn++) {
      try {
        await this.#untilDone()
        const { say, hangUp } = await goal.next(this.#parts.ear.words, this.#parts.signal)
        if (say !== '') await this.#say(say)
        if (hangUp) break
      } catch (error) {
        if (error instanceof LineGone || this.#parts.signal.aborted) return null
        this.#parts.phone.hangUp()
        return { step: turn, why: 'the caller does not know what to say' }
      }
    }
    await this.#hangUp().catch(() => {})
    return null
  }

  async #do(step: SimulatedStep): Promise<void> {
    if ('wait_for' in step) return this.#waitFor(step.wait_for, step.within_ms)
    if ('interrupt_after_ms' in step) return this.#interrupt(step.interrupt_after_ms, step.say)
    if ('say' in step) {
      await this.#untilDone()
      return this.#say(step.say)
    }
    if ('press' in step) return this.#press(step.press)
    if ('pause_ms' in step) return void (await this.#until(() => false, step.pause_ms))
    await this.#hangUp()
  }

  async #waitFor(source: string, withinMs: number): Promise<void> {
    const { find } = compilePattern(source)
    const { ear } = this.#parts
    if (await this.#until(() => find(ear.words) !== null, withinMs)) return
    throw new StepFailed(`${source} was not heard within ${withinMs} ms; heard: "${ear.words.slice(-300)}"`)
  }

  async #interrupt(afterMs: number, words: string): Promise<void> {
    const { ear, voice } = this.#parts
    const sound = await voice.speak(words)
    if (!(await this.#until(() => (ear.speakingMs ?? -1) >= afterMs, PATIENCE_MS + afterMs))) throw new StepFailed(`the agent never spoke for ${afterMs} ms`)
    await this.#utter(sound)
  }

  async #say(words: string): Promise<void> {
    await this.#utter(await this.#parts.voice.speak(words))
  }

  async #utter(sound: Int16Array): Promise<void> {
    const { ear, phone } = this.#parts
    this.#insist()
    ear.turn()
    this.#hasSpoken = true
    phone.say(sound)
    await this.#until(() => !phone.speaking, PATIENCE_MS * 4)
  }

  async #press(keys: string): Promise<void> {
    for (const key of keys) {
      this.#insist()
      this.#parts.phone.press(key)
      await this.#until(() => false, KEY_MS)
    }
    this.#hasSpoken = true
  }

  async #hangUp(): Promise<void> {
    await this.#untilDone()
    await this.#until(() => false, HAND_MS)
    await this.#parts.ear.settle(SETTLE_MS)
    this.#parts.phone.hangUp()
  }

  /** The agent has said what it had to say. Nobody waits for ever. */
  async #untilDone(): Promise<void> {
    const { ear } = this.#parts
    await this.#until(() => ear.hasAnswered, this.#hasSpoken ? PATIENCE_MS : FIRST_PATIENCE_MS)
    await this.#until(() => ear.silentMs >= DONE_MS, PATIENCE_MS * 4)
  }

  /** False: the time was over. Throws when the line is gone meanwhile. */
  async #until(condition: () => boolean, withinMs: number): Promise<boolean> {
    this.#insist()
    const met = condition() || (await new Promise<boolean>((resolve) => this.#waiting.push({ until: condition, resolve, dueMs: this.#parts.phone.nowMs + withinMs })))
    this.#insist()
    return met
  }

  #insist(): void {
    if (this.#parts.signal.aborted) throw new LineGone()
  }
}

/** A recogniser that makes nothing final of the last words does not hold up the end. */
export const SETTLE_MS = 1_500
