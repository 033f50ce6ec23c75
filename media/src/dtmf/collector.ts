import type { DtmfDigit } from './contract.ts'

export type DigitSettings = {
  /** Complete with so many; 1 to 64. */
  maxDigits: number
  /** Ends the input and is not part of it; null: only number and time end it. Default `#`. */
  terminator?: DtmfDigit | null
  /** Throws away what was pressed, to begin anew; null (default): there is no such key. */
  clear?: DtmfDigit | null
  /** Silence after a digit that ends the input. */
  interDigitMs: number
  /** Wait for the first digit. */
  firstDigitMs: number
  /** Fewer are no answer. Default 1. */
  minDigits?: number
  /** Whether these digits are an answer (a check digit, a choice of a menu). Default: any are. */
  validate?: (digits: string) => boolean
}

/** `invalid`: ended, and `validate` or `minDigits` refuses it. `timeout`: nothing was pressed. `cancelled`: the caller spoke instead, or the line is gone. */
export type DigitOutcome = { type: 'complete' | 'invalid' | 'timeout' | 'cancelled'; digits: string }

export type DigitEvent = { nowMs: number } & ({ type: 'digit'; digit: DtmfDigit } | { type: 'timer' } | { type: 'cancel' })

/** Digits that are being keyed in. Data: it can be kept anywhere, and the same events give the same outcome. */
export type DigitState = { digits: string; dueMs: number; outcome: DigitOutcome | null }

const MOST_DIGITS = 64

/** A number that the caller keys in, from the question to the answer. Pure; times are monotonic milliseconds and come with the events. */
export class DigitCollector {
  readonly #settings: Required<DigitSettings>

  constructor({ terminator = '#', clear = null, minDigits = 1, validate = () => true, ...settings }: DigitSettings) {
    const { maxDigits, interDigitMs, firstDigitMs } = settings
    if (!(Number.isInteger(maxDigits) && maxDigits >= 1 && maxDigits <= MOST_DIGITS && minDigits <= maxDigits)) throw new RangeError(`${minDigits} to ${maxDigits} digits: expected at most ${MOST_DIGITS}, and no more at least than at most.`)
    if (!(interDigitMs > 0 && firstDigitMs > 0)) throw new RangeError('Waits for digits are longer than 0 ms.')
    this.#settings = { ...settings, terminator, clear, minDigits, validate }
  }

  open(nowMs: number): DigitState {
    return { digits: '', dueMs: nowMs + this.#settings.firstDigitMs, outcome: null }
  }

  /** When a `timer` is wanted; null once there is an outcome. */
  nextDueMs(state: DigitState): number | null {
    return state.outcome ? null : state.dueMs
  }

  /** The given state is not changed. After the outcome nothing changes it any more. */
  step(state: DigitState, event: DigitEvent): DigitState {
    if (state.outcome) return state
    // A timer that came late does not make a late digit early.
    if (event.nowMs >= state.dueMs && event.type !== 'cancel') return this.#timedOut(state)
    if (event.type === 'digit') return this.#pressed(state, event.digit, event.nowMs)
    return event.type === 'cancel' ? { ...state, outcome: { type: 'cancelled', digits: state.digits } } : state
  }

  #pressed(state: DigitState, digit: DtmfDigit, nowMs: number): DigitState {
    const { terminator, clear, maxDigits, interDigitMs } = this.#settings
    if (digit === clear) return this.open(nowMs)
    if (digit === terminator) return this.#ended(state)
    const next = { digits: state.digits + digit, dueMs: nowMs + interDigitMs, outcome: null }
    return next.digits.length >= maxDigits ? this.#ended(next) : next
  }

  #timedOut(state: DigitState): DigitState {
    return state.digits === '' ? { ...state, outcome: { type: 'timeout', digits: '' } } : this.#ended(state)
  }

  #ended(state: DigitState): DigitState {
    const { minDigits, validate } = this.#settings
    const { digits } = state
    return { ...state, outcome: { type: digits.length >= minDigits && validate(digits) ? 'complete' : 'invalid', digits } }
  }
}
