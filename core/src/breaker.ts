import type { Clock } from './clock.ts'

export type BreakerOptions = { failuresToOpen?: number; openMs?: number; max?: number }
export type BreakerState = 'closed' | 'open' | 'half_open'
type Line = { failures: number; openedAtMs: number | null; probing: boolean }

/** Leave to make one call. Exactly one of its methods is called when the call is over. */
export type Permit = { succeeded(): void; failed(): void; /** Aborted, or the tenant's own fault: says nothing about the vendor. */ released(): void }

/**
 * Circuit breakers by key (`vendor baseUrl`, a speech engine's id). Five failures in a row open one; after 30 s a single probe may pass; its success closes,
 * its failure opens for another 30 s. In memory: every process learns by itself, within five calls.
 */
export class Breakers {
  readonly #lines = new Map<string, Line>()
  readonly #clock: Clock
  readonly #failuresToOpen: number
  readonly #openMs: number
  readonly #max: number

  constructor(clock: Clock, options: BreakerOptions = {}) {
    this.#clock = clock
    this.#failuresToOpen = options.failuresToOpen ?? 5
    this.#openMs = options.openMs ?? 30_000
    this.#max = options.max ?? 10_000
  }

  state(key: string): BreakerState {
    const line = this.#lines.get(key)
    if (!line || line.openedAtMs === null) return 'closed'
    return this.#clock.nowMs() - line.openedAtMs >= this.#openMs ? 'half_open' : 'open'
  }

  /** null: the line is open, or its one probe is under way. */
  enter(key: string): Permit | null {
    const state = this.state(key)
    if (state === 'open') return null
    const line = this.#line(key)
    if (state === 'half_open') {
      if (line.probing) return null
      line.probing = true
    }
    return this.#permit(line, state === 'half_open')
  }

  #permit(line: Line, probe: boolean): Permit {
    const release = () => {
      if (probe) line.probing = false
    }
    return {
      released: release,
      succeeded: () => {
        release()
        // A late success of a call from before the opening does not close it: only the probe may.
        if (line.openedAtMs === null || probe) Object.assign(line, { failures: 0, openedAtMs: null })
      },
      failed: () => {
        release()
        line.failures++
        if (probe || (line.openedAtMs === null && line.failures >= this.#failuresToOpen)) line.openedAtMs = this.#clock.nowMs()
      },
    }
  }

  #line(key: string): Line {
    const found = this.#lines.get(key)
    if (found) return found
    if (this.#lines.size >= this.#max) this.#lines.delete(this.#lines.keys().next().value!)
    const line: Line = { failures: 0, openedAtMs: null, probing: false }
    this.#lines.set(key, line)
    return line
  }
}
