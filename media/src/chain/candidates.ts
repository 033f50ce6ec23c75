import type { Breakers, Permit } from '@trunkline/core'
import type { SpeechFailure, SpeechFailureCode } from '../stt/contract.ts'

/** Failures that say something about the supplier. The others (key, request, rate) are the tenant's, and must not close it for the rest. */
const SUPPLIERS_FAULT: ReadonlySet<SpeechFailureCode> = new Set(['unavailable', 'timeout', 'silent', 'cut'])
/** A second try may mend these: the socket was cut, the network had a hole. */
const WORTH_ANOTHER_TRY: ReadonlySet<SpeechFailureCode> = new Set(['unavailable', 'timeout', 'silent', 'cut'])
const TRIES = 2

/** An engine, and whose account it is asked by. */
type Asked = { id: string; account?: string | undefined }

/** One engine at work, on trial until it has brought something. */
export type Trial<Engine> = { engine: Engine; index: number; permit: Permit | null }

/**
 * Who is asked next. In the order of preference; who failed comes again only after all others did, and twice at most between two results.
 * Breakers are shared by all calls of the process; a trial that brings a result closes one, a failure counts.
 */
export class Candidates<Engine extends Asked> {
  readonly #engines: readonly Engine[]
  readonly #breakers: Breakers
  readonly #kind: string
  readonly #tries: number[]

  constructor(kind: 'stt' | 'tts', engines: readonly Engine[], breakers: Breakers) {
    this.#kind = kind
    this.#engines = engines
    this.#breakers = breakers
    this.#tries = engines.map(() => 0)
  }

  /** null: nobody is left. `before`: only engines that are preferred to this one. */
  next(before = Infinity): Trial<Engine> | null {
    const order = [...this.#engines.entries()].filter(([index]) => this.#tries[index]! < TRIES && index < before).sort(([a], [b]) => this.#tries[a]! - this.#tries[b]! || a - b)
    for (const [index, engine] of order) {
      const permit = this.#breakers.enter(breakerKey(this.#kind, engine))
      if (permit) return { engine, index, permit }
    }
    return null
  }

  /** It brought a result: everybody has all tries again, but those whose fault no try mends. */
  succeeded(trial: Trial<Engine>): void {
    trial.permit?.succeeded()
    trial.permit = null
    for (const [index, tries] of this.#tries.entries()) if (tries !== Infinity) this.#tries[index] = 0
  }

  failed(trial: Trial<Engine>, { code }: SpeechFailure): void {
    this.#tries[trial.index] = WORTH_ANOTHER_TRY.has(code) ? this.#tries[trial.index]! + 1 : Infinity
    const permit = trial.permit ?? this.#breakers.enter(breakerKey(this.#kind, trial.engine))
    trial.permit = null
    if (SUPPLIERS_FAULT.has(code)) permit?.failed()
    else permit?.released()
  }

  /** Called off: says nothing about the supplier. */
  released(trial: Trial<Engine>): void {
    trial.permit?.released()
    trial.permit = null
  }
}

/** A tenant's own key has a breaker of its own: what becomes of it says nothing about the installation's. */
export const breakerKey = (kind: string, { id, account }: Asked): string => (account === undefined ? `${kind} ${id}` : `${kind} ${id} ${account}`)
