import type { Clock } from '@trunkline/core'
import { compactItems } from './compact.ts'
import type { AnswerOutcome, ModelRequest, PartEvent, RecoveryAction, RecoveryCode, VendorState } from './contract.ts'
import { NO_TOKENS } from './contract.ts'
import { VendorError, classifySdkError } from './failure.ts'
import type { VendorFailure } from './failure.ts'

/** A rate-limited vendor is worth waiting for only this long; past it the next vendor is faster. */
const WAIT_BOUND_MS = 1_500
const DEFAULT_WAIT_MS = 500
/** The other holder of a conversation lock usually ends within a moment; then we fork anyway, so that nothing interleaves. */
const LOCK_PAUSE_MS = 150
/** Over all codes: a call that needs more mending than this is broken, and the next vendor is better. */
const RECOVERIES_MAX = 2

type Plan = { code: RecoveryCode; action: RecoveryAction; pauseMs: number; next: ModelRequest }

/** One HTTP call: yields text and tool calls as they come, ends with `answer`. Throws when the call fails. */
export type Attempt = (request: ModelRequest) => AsyncIterable<PartEvent>

/**
 * Runs `attempt` and mends what can be mended: each fault exactly once, visibly (`recovery`), then it is a failure.
 * Text of a failed attempt is withdrawn (`discard`) before the next one speaks.
 */
export async function* withRecovery(request: ModelRequest, signal: AbortSignal, clock: Clock, attempt: Attempt): AsyncGenerator<PartEvent> {
  const used = new Set<RecoveryCode>()
  for (let current = request; ; ) {
    const call = new Call()
    try {
      for await (const event of attempt(current)) if (call.pass(event)) yield event
      if (call.usable()) {
        yield { type: 'answer', outcome: call.outcome! }
        return
      }
      throw new VendorError(call.outcome === null ? 'cut' : 'incomplete')
    } catch (error) {
      if (signal.aborted) throw error
      const failed = classifySdkError(error, clock.nowMs())
      if (!call.ended) yield { type: 'call_end', outcome: 'failed', tokens: { ...NO_TOKENS, requestId: failed.failure.requestId } }
      const plan = used.size < RECOVERIES_MAX ? planRecovery(failed.failure, current) : null
      if (!plan || used.has(plan.code)) throw failed
      used.add(plan.code)
      if (call.spoke) yield { type: 'discard' }
      yield { type: 'recovery', code: plan.code, action: plan.action }
      await pause(plan.pauseMs, clock, signal)
      if (signal.aborted) throw failed
      current = plan.next
    }
  }
}

/** What one attempt has said so far. An incomplete answer's tool call is half a call: never run. */
class Call {
  text = ''
  toolCalls = 0
  ended = false
  outcome: AnswerOutcome | null = null

  get spoke(): boolean {
    return this.text !== '' || this.toolCalls > 0
  }

  /** True when the event goes on to the caller; `answer` is ours to give. */
  pass(event: PartEvent): boolean {
    if (event.type === 'text_delta') this.text += event.text
    else if (event.type === 'tool_call') this.toolCalls++
    else if (event.type === 'call_end') this.ended = true
    else if (event.type === 'answer') this.outcome = event.outcome
    return event.type !== 'answer'
  }

  usable(): boolean {
    if (this.outcome === 'incomplete') return this.toolCalls === 0 && this.text.trim().length >= USABLE_TEXT_MIN
    return this.outcome !== null
  }
}

/** Shorter than this, a cut-off answer says nothing. */
const USABLE_TEXT_MIN = 20

function planRecovery(failure: VendorFailure, request: ModelRequest): Plan | null {
  const fresh = (state: VendorState | null = null) => ({ ...request, vendorState: state })
  switch (failure.code) {
    case 'conversation_locked':
      return { code: 'conversation_locked', action: 'fork', pauseMs: LOCK_PAUSE_MS, next: fresh() }
    case 'conversation_not_found':
      return { code: 'conversation_not_found', action: 'rebuild', pauseMs: 0, next: fresh() }
    case 'dangling_tool_call':
      return { code: 'dangling_tool_call', action: 'fork', pauseMs: 0, next: fresh() }
    case 'incomplete':
      return { code: 'incomplete', action: 'retry', pauseMs: 0, next: { ...fresh(), maxOutputTokens: request.maxOutputTokens * 2 } }
    case 'context_overflow':
      return { code: 'context_overflow', action: 'compact', pauseMs: 0, next: { ...fresh(), items: compactItems(request.items) } }
    case 'rate_limited': {
      const pauseMs = failure.retryAfterMs ?? DEFAULT_WAIT_MS
      return pauseMs > WAIT_BOUND_MS ? null : { code: 'rate_limited', action: 'wait', pauseMs, next: request }
    }
    case 'bad_request':
    case 'model_not_found':
      // OpenAI retires prompt objects on 30 November 2026; our copy of the instructions goes on without them.
      return request.legacyPrompt ? { code: 'legacy_prompt_gone', action: 'rebuild', pauseMs: 0, next: { ...request, legacyPrompt: undefined } } : null
    default:
      return null
  }
}

/** Resolves after `ms` or at once when the signal fires. */
function pause(ms: number, clock: Clock, signal: AbortSignal): Promise<void> {
  if (ms <= 0 || signal.aborted) return Promise.resolve()
  return new Promise((resolve) => {
    const finish = () => {
      cancel()
      signal.removeEventListener('abort', finish)
      resolve()
    }
    const cancel = clock.after(ms, finish)
    signal.addEventListener('abort', finish, { once: true })
  })
}
