import type { Clock, ModelUsage, VendorId } from '@trunkline/core'
import { VendorError, classifySdkError } from './failure.ts'
import type { VendorFailure } from './failure.ts'

/** One thing a model reads. Oldest first; a tool output stands somewhere after its call. */
export type ModelItem =
  | { type: 'message'; role: 'user' | 'assistant' | 'system'; text: string; /** Said beside a tool call; not an answer. */ phase?: 'commentary' }
  | { type: 'tool_call'; callId: string; name: string; argumentsJson: string }
  | { type: 'tool_output'; callId: string; output: string }

/** A function the model may call. `parameters` is a JSON Schema of type object. */
export type ModelTool = { name: string; description: string; parameters: Record<string, unknown> }

/** What a vendor wants to be reminded of next time (OpenAI: its conversation id). A cache: losing it costs tokens, never truth. */
export type VendorState = Record<string, unknown>

export type ModelRequest = {
  purpose: ModelUsage['purpose']
  model: string
  instructions: string
  /** The whole context, always: a vendor with memory of its own decides what it still has to send. */
  items: readonly ModelItem[]
  tools: readonly ModelTool[]
  /** `none`: the tools are shown (their earlier calls are in the items) but may not be called any more. */
  toolChoice?: 'none'
  temperature?: number
  maxOutputTokens: number
  /** Strict JSON schema of the answer. */
  responseFormat?: { name: string; schema: Record<string, unknown> }
  /** null or absent: nothing remembered. Ignored when `remember` is false. */
  vendorState?: VendorState | null
  /** false: a call that leaves nothing behind at the vendor (no conversation, not stored). */
  remember: boolean
  /** Stable hash of tenant and contact, so that one abuser does not take a tenant down. */
  safetyIdentifier?: string
  /** Same for requests that share their beginning (OpenAI `prompt_cache_key`). */
  cacheKey?: string
  /** At most 16 pairs; ids only, no personal data. */
  metadata?: Record<string, string>
  legacyPrompt?: { id: string; version?: string }
  promptVariables?: Record<string, string>
}

export type RecoveryCode = 'conversation_locked' | 'conversation_not_found' | 'dangling_tool_call' | 'incomplete' | 'rate_limited' | 'context_overflow' | 'legacy_prompt_gone'
export type RecoveryAction = 'fork' | 'rebuild' | 'retry' | 'wait' | 'compact'
/** A fault that was mended without the customer noticing. Each code at most once per call. */
export type Recovery = { code: RecoveryCode; action: RecoveryAction }

/** One HTTP call's figures as the vendor told them. */
export type CallTokens = { inputTokens: number; cachedInputTokens: number; outputTokens: number; requestId: string | null }
export const NO_TOKENS: CallTokens = { inputTokens: 0, cachedInputTokens: 0, outputTokens: 0, requestId: null }

export type AnswerOutcome = 'ok' | 'incomplete' | 'refused'

/** What a vendor's own part yields. It throws VendorError (or whatever its SDK throws) when a call fails. */
export type PartEvent =
  | { type: 'call_start' }
  | { type: 'call_end'; outcome: AnswerOutcome | 'failed'; tokens: CallTokens }
  | { type: 'text_delta'; text: string }
  /** All text since the beginning is withdrawn: a recovery starts again. */
  | { type: 'discard' }
  | { type: 'tool_call'; callId: string; name: string; argumentsJson: string }
  /** The model works on something that is not text yet (reasoning, arguments of a call): feeds the deadlines, means nothing else. */
  | { type: 'progress' }
  | { type: 'state'; state: VendorState | null }
  | ({ type: 'recovery' } & Recovery)
  | { type: 'answer'; outcome: AnswerOutcome }

export type ModelEvent =
  | Exclude<PartEvent, { type: 'call_start' } | { type: 'call_end' } | { type: 'answer' }>
  /** Always the last event, exactly once. `usage` holds one entry per HTTP call, failed and aborted ones too. */
  | { type: 'done'; outcome: AnswerOutcome | 'failed' | 'aborted'; usage: ModelUsage[]; failure: VendorFailure | null }

/**
 * A supplier of language models. `stream` never throws and never hangs past its signal: it ends with one `done`.
 * It does not retry beyond its visible recoveries, does not fail over and does not run tools.
 */
export type Vendor = {
  id: VendorId
  /** Without credentials; the circuit breaker's key together with `id`. */
  baseUrl: string
  stream(request: ModelRequest, signal: AbortSignal): AsyncIterable<ModelEvent>
}

/** What a vendor's folder implements. Only `metered` makes a Vendor of it, so that no call goes unmeasured. */
export type VendorPart = {
  id: VendorId
  baseUrl: string
  stream(request: ModelRequest, signal: AbortSignal): AsyncIterable<PartEvent>
}

/** Measures every call of `part`: tokens as told, latency and first token by `clock`. */
export function metered(part: VendorPart, clock: Clock): Vendor {
  return { id: part.id, baseUrl: part.baseUrl, stream: (request, signal) => measure(part, clock, request, signal) }
}

async function* measure(part: VendorPart, clock: Clock, request: ModelRequest, signal: AbortSignal): AsyncGenerator<ModelEvent> {
  const meter = new Meter(part.id, request, clock)
  const iterator = part.stream(request, signal)[Symbol.asyncIterator]()
  let outcome: AnswerOutcome | null = null
  let failure: VendorFailure | null = null
  try {
    for (;;) {
      const step = await orAbort(iterator.next(), signal)
      if (step === ABORTED || step.done) break
      const event = step.value
      if (event.type === 'answer') outcome = event.outcome
      else if (!meter.note(event)) yield event
    }
    if (!signal.aborted && outcome === null) throw new VendorError('cut')
  } catch (error) {
    failure = signal.aborted ? null : classifySdkError(error, clock.nowMs()).failure
  } finally {
    // Not awaited: a part that hangs in a read ends when its socket notices the abort, and the turn must not wait for that.
    void Promise.resolve(iterator.return?.()).catch(() => undefined)
  }
  const end = signal.aborted ? 'aborted' : failure ? 'failed' : outcome!
  meter.close(end, failure?.requestId ?? null)
  yield { type: 'done', outcome: end, usage: meter.usage, failure }
}

const ABORTED = Symbol('aborted')

/** The promise, or ABORTED as soon as the signal fires. */
function orAbort<T>(promise: Promise<T>, signal: AbortSignal): Promise<T | typeof ABORTED> {
  if (signal.aborted) {
    promise.catch(() => undefined)
    return Promise.resolve(ABORTED)
  }
  return new Promise((resolve, reject) => {
    const onAbort = () => resolve(ABORTED)
    signal.addEventListener('abort', onAbort, { once: true })
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort))
  })
}

/** Turns call_start/call_end into ModelUsage; a call that never ended is closed with the stream. */
class Meter {
  readonly usage: ModelUsage[] = []
  readonly #vendor: VendorId
  readonly #request: ModelRequest
  readonly #clock: Clock
  #open: { startMs: number; firstTokenMs: number | null } | null = null

  constructor(vendor: VendorId, request: ModelRequest, clock: Clock) {
    this.#vendor = vendor
    this.#request = request
    this.#clock = clock
  }

  /** True when the event was only for the meter. */
  note(event: PartEvent): event is Extract<PartEvent, { type: 'call_start' | 'call_end' }> {
    if (event.type === 'call_start') this.#open = { startMs: this.#clock.nowMs(), firstTokenMs: null }
    else if (event.type === 'call_end') this.#push(event.outcome, event.tokens)
    else if ((event.type === 'text_delta' || event.type === 'tool_call') && this.#open) this.#open.firstTokenMs ??= this.#clock.nowMs() - this.#open.startMs
    return event.type === 'call_start' || event.type === 'call_end'
  }

  close(outcome: ModelUsage['outcome'], requestId: string | null): void {
    if (this.#open) this.#push(outcome, { ...NO_TOKENS, requestId })
  }

  #push(outcome: ModelUsage['outcome'], tokens: CallTokens): void {
    const open = this.#open ?? { startMs: this.#clock.nowMs(), firstTokenMs: null }
    this.#open = null
    this.usage.push({
      vendor: this.#vendor,
      model: this.#request.model,
      purpose: this.#request.purpose,
      inputTokens: tokens.inputTokens,
      cachedInputTokens: tokens.cachedInputTokens,
      outputTokens: tokens.outputTokens,
      latencyMs: this.#clock.nowMs() - open.startMs,
      firstTokenMs: open.firstTokenMs,
      outcome,
      requestId: tokens.requestId,
    })
  }
}
