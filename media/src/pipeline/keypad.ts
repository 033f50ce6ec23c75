import type { DtmfDigit } from '../dtmf/contract.ts'
import { DigitCollector, type DigitOutcome, type DigitState } from '../dtmf/collector.ts'
import { monotonicClock } from '../playout/monotonic.ts'
import type { Expectation } from '../turn/expectation.ts'

/** One key may choose from a menu; a number goes on for a moment after each digit. */
const INTER_DIGIT_MS = 1_500
const DIGITS_MAX = 64

/** What a caller keys in, collected until it is whole: as many digits as were asked for, the `#` key, or a pause. */
export class Keypad {
  readonly #onDone: (digits: string) => void
  #collector: DigitCollector | null = null
  #state: DigitState | null = null
  #timer: NodeJS.Timeout | null = null

  constructor(onDone: (digits: string) => void) {
    this.#onDone = onDone
  }

  /** True for the first key of an input. What is no key is passed over. */
  press(digit: string, { kind, count }: Expectation): boolean {
    if (!/^[0-9A-D*#]$/.test(digit)) return false
    const nowMs = monotonicClock.nowMs()
    const isFirst = this.#collector === null
    this.#collector ??= new DigitCollector({ maxDigits: (kind === 'digits' ? count : undefined) ?? DIGITS_MAX, interDigitMs: INTER_DIGIT_MS, firstDigitMs: INTER_DIGIT_MS })
    this.#state = this.#collector.step(this.#state ?? this.#collector.open(nowMs), { type: 'digit', digit: digit as DtmfDigit, nowMs })
    this.#wait()
    return isFirst
  }

  close(): void {
    if (this.#timer) clearTimeout(this.#timer)
    this.#collector = null
    this.#state = null
  }

  #wait(): void {
    if (this.#timer) clearTimeout(this.#timer)
    const { outcome } = this.#state!
    if (outcome) return this.#end(outcome)
    const dueMs = this.#collector!.nextDueMs(this.#state!)!
    this.#timer = setTimeout(() => {
      this.#state = this.#collector!.step(this.#state!, { type: 'timer', nowMs: monotonicClock.nowMs() })
      this.#wait()
    }, Math.max(0, Math.ceil(dueMs - monotonicClock.nowMs())))
  }

  #end({ digits }: DigitOutcome): void {
    this.close()
    if (digits !== '') this.#onDone(digits)
  }
}
