import type { Clock, Logger, ModelUsage, VendorId } from '@trunkline/core'
import type { Breakers, Permit } from './breaker.ts'
import type { AnswerOutcome, ModelEvent, ModelRequest, Recovery, Vendor, VendorState } from './contract.ts'
import { VendorError } from './failure.ts'
import type { FailureCode, VendorFailure } from './failure.ts'

/** One vendor with the model it is asked for. */
export type Link = { vendor: Vendor; model: string }

/**
 * All in milliseconds. `failoverMs` bounds the silence over all vendors: from the first request, or from the last token of a vendor that
 * died in mid-sentence, to the moment the rules take over. A vendor may use what is left of it, less `perFollowerMs` for each vendor behind.
 */
export type Deadlines = { firstTokenMs: number; perFollowerMs: number; failoverMs: number; stallMs: number; totalMs: number }
export const DEADLINES: Deadlines = { firstTokenMs: 4_000, perFollowerMs: 1_500, failoverMs: 4_600, stallMs: 3_000, totalMs: 60_000 }

/** A live consumer (web-chat preview, speech) gets text as it comes and takes it back on `discard`. */
export type Delta = { kind: 'text'; text: string } | { kind: 'discard' }

export type Skipped = { vendor: VendorId; model: string; reason: FailureCode | 'no_vendor'; failure: VendorFailure | null }
export type ToolCallRequest = { callId: string; name: string; argumentsJson: string }
export type Answer = { index: number; text: string; calls: ToolCallRequest[]; outcome: AnswerOutcome; state: VendorState | null }
export type ChainResult = {
  /** null: no vendor could answer; the rules do. */
  answer: Answer | null
  usage: ModelUsage[]
  recoveries: (Recovery & { vendor: VendorId })[]
  skipped: Skipped[]
}

export type ChainDeps = { clock: Clock; breakers: Breakers; log: Logger; deadlines?: Deadlines; onDelta?: (delta: Delta) => void }

/**
 * Asks the vendors in order, from `links[from]` on, until one gives a whole answer. A partial text of a failed vendor is never part of
 * the answer. Aborting `signal` ends it at once with `answer: null`; the caller looks at its signal.
 */
export async function askChain(requestFor: (link: Link) => ModelRequest, links: readonly Link[], from: number, deps: ChainDeps, signal: AbortSignal): Promise<ChainResult> {
  const result: ChainResult = { answer: null, usage: [], recoveries: [], skipped: [] }
  let silentSinceMs = deps.clock.nowMs()
  for (let index = from; index < links.length && !signal.aborted; index++) {
    const link = links[index]!
    const permit = deps.breakers.enter(breakerKey(link.vendor))
    if (!permit) {
      skip(result, link, new VendorError('breaker_open').failure, deps.log)
      continue
    }
    const heard = await listen(link, requestFor(link), silenceLeft(silentSinceMs, links.length - index - 1, deps), deps, signal)
    result.usage.push(...heard.usage)
    result.recoveries.push(...heard.recoveries)
    const failure = signal.aborted ? null : failureOf(heard)
    settle(permit, failure, signal.aborted)
    if (signal.aborted) return result
    if (!failure) {
      result.answer = { index, text: heard.text, calls: heard.calls, outcome: heard.outcome as AnswerOutcome, state: heard.state }
      return result
    }
    skip(result, link, failure, deps.log)
    if (heard.spoke) deps.onDelta?.({ kind: 'discard' })
    silentSinceMs = heard.lastTokenMs ?? silentSinceMs
  }
  return result
}

export const breakerKey = (vendor: Pick<Vendor, 'id' | 'baseUrl'>) => `${vendor.id} ${vendor.baseUrl}`

function silenceLeft(sinceMs: number, followers: number, deps: ChainDeps): number {
  const { failoverMs, perFollowerMs, firstTokenMs } = deps.deadlines ?? DEADLINES
  return Math.max(0, Math.min(firstTokenMs, failoverMs - (deps.clock.nowMs() - sinceMs) - followers * perFollowerMs))
}

function settle(permit: Permit, failure: VendorFailure | null, aborted: boolean): void {
  if (aborted) permit.released()
  else if (!failure) permit.succeeded()
  else if (failure.blame === 'vendor') permit.failed()
  else permit.released()
}

function skip(result: ChainResult, link: Link, failure: VendorFailure, log: Logger): void {
  result.skipped.push({ vendor: link.vendor.id, model: link.model, reason: failure.code, failure })
  log.warn({ vendor: link.vendor.id, model: link.model, ...failure }, 'model vendor skipped')
}

type Heard = {
  text: string
  calls: ToolCallRequest[]
  outcome: Extract<ModelEvent, { type: 'done' }>['outcome']
  failure: VendorFailure | null
  state: VendorState | null
  usage: ModelUsage[]
  recoveries: (Recovery & { vendor: VendorId })[]
  lastTokenMs: number | null
  spoke: boolean
}

/** An answer without a word and without a call is a failure: the customer would wait for ever. A refusal needs no words. */
function failureOf(heard: Heard): VendorFailure | null {
  if (heard.failure) return heard.failure
  const silent = heard.text.trim() === '' && heard.calls.length === 0 && heard.outcome !== 'refused'
  return silent ? new VendorError('empty').failure : null
}

/** Hears one vendor out, under deadlines: first token, silence between tokens, the whole. */
async function listen(link: Link, request: ModelRequest, firstTokenMs: number, deps: ChainDeps, signal: AbortSignal): Promise<Heard> {
  const heard: Heard = { text: '', calls: [], outcome: 'failed', failure: null, state: null, usage: [], recoveries: [], lastTokenMs: null, spoke: false }
  const watch = new Watch(deps.clock, deps.deadlines ?? DEADLINES, firstTokenMs, signal)
  try {
    for await (const event of link.vendor.stream(request, watch.signal)) {
      if (event.type === 'text_delta' || event.type === 'tool_call' || event.type === 'progress') {
        heard.lastTokenMs = deps.clock.nowMs()
        watch.progress()
      }
      note(heard, event, link.vendor.id, deps)
    }
  } finally {
    watch.stop()
  }
  if (watch.expired) {
    heard.failure = new VendorError(watch.expired).failure
    heard.usage = heard.usage.map((usage) => (usage.outcome === 'aborted' ? { ...usage, outcome: 'failed' as const } : usage))
  }
  return heard
}

function note(heard: Heard, event: ModelEvent, vendor: VendorId, deps: ChainDeps): void {
  switch (event.type) {
    case 'text_delta':
      heard.text += event.text
      heard.spoke = true
      deps.onDelta?.({ kind: 'text', text: event.text })
      return
    case 'discard':
      Object.assign(heard, { text: '', calls: [] })
      deps.onDelta?.({ kind: 'discard' })
      return
    case 'tool_call':
      heard.calls.push({ callId: event.callId, name: event.name, argumentsJson: event.argumentsJson })
      return
    case 'state':
      heard.state = event.state
      return
    case 'recovery':
      heard.recoveries.push({ code: event.code, action: event.action, vendor })
      deps.log.info({ vendor, code: event.code, action: event.action }, 'model vendor recovered')
      return
    case 'progress':
      return
    case 'done':
      Object.assign(heard, { outcome: event.outcome, failure: event.failure, usage: event.usage })
  }
}

/** A signal of its own for one call: fires with the caller's, or when a deadline passes. */
class Watch {
  expired: 'timeout' | 'stalled' | null = null
  readonly #controller = new AbortController()
  readonly #clock: Clock
  readonly #stallMs: number
  readonly #outer: AbortSignal
  readonly #onOuter = () => this.#controller.abort()
  readonly #cancelTotal: () => void
  #cancelStep: () => void
  #lastMs: number

  constructor(clock: Clock, deadlines: Deadlines, firstTokenMs: number, outer: AbortSignal) {
    this.#clock = clock
    this.#stallMs = deadlines.stallMs
    this.#outer = outer
    this.#lastMs = clock.nowMs()
    outer.addEventListener('abort', this.#onOuter, { once: true })
    if (outer.aborted) this.#controller.abort()
    this.#cancelStep = clock.after(firstTokenMs, () => this.#expire('timeout'))
    this.#cancelTotal = clock.after(deadlines.totalMs, () => this.#expire('timeout'))
  }

  get signal(): AbortSignal {
    return this.#controller.signal
  }

  /** The first token swaps the deadline for the stall watch; later ones only note the time: no timer per token. */
  progress(): void {
    const first = !this.#stalling
    this.#lastMs = this.#clock.nowMs()
    if (!first) return
    this.#stalling = true
    this.#cancelStep()
    this.#watchStall(this.#stallMs)
  }
  #stalling = false

  stop(): void {
    this.#cancelStep()
    this.#cancelTotal()
    this.#outer.removeEventListener('abort', this.#onOuter)
  }

  #watchStall(delayMs: number): void {
    this.#cancelStep = this.#clock.after(delayMs, () => {
      const leftMs = this.#stallMs - (this.#clock.nowMs() - this.#lastMs)
      if (leftMs <= 0) this.#expire('stalled')
      else this.#watchStall(leftMs)
    })
  }

  #expire(reason: 'timeout' | 'stalled'): void {
    this.expired ??= reason
    this.#controller.abort()
  }
}
