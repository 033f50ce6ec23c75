import type { Fault } from '../../faults/fault.ts'
import { think } from '../think.ts'
import { countTokens } from '../tokens.ts'
import type { ModelAnswer } from '../transcript.ts'
import type { ChatPlan } from './chat-request.ts'
import { newOpenAiId } from './ids.ts'

export type ChatCall = { id: string; type: 'function'; function: { name: string; arguments: string } }
export type ChatAnswer = {
  id: string
  created: number
  model: string
  text: string
  refusal: string | null
  calls: ChatCall[]
  finish: 'stop' | 'length' | 'tool_calls' | 'content_filter'
  usage: Record<string, unknown>
  /** Groq adds its own request id. */
  groqId: string | null
}

export function answerOf(plan: ChatPlan, fault: Fault | undefined, isGroq: boolean): ChatAnswer {
  const thought: ModelAnswer = fault?.action.text === undefined ? think(plan.transcript) : { text: fault.action.text, calls: [] }
  const calls = thought.calls.map((call): ChatCall => ({ id: newOpenAiId('call'), type: 'function', function: { name: call.name, arguments: call.arguments } }))
  const outcome = fault?.action.modelOutcome
  const isCut = outcome === 'incomplete' || countTokens(thought.text) > plan.maxTokens
  const text = isCut ? thought.text.slice(0, Math.min(plan.maxTokens * 4, Math.ceil(thought.text.length / 2))) : thought.text
  const finish = calls.length > 0 ? 'tool_calls' : isCut ? 'length' : outcome === 'failed' ? 'content_filter' : 'stop'
  const refusal = outcome === 'refusal' ? "I'm sorry, but I can't help with that." : null
  const said = calls.map((call) => call.function.arguments).join('') + text
  return { id: newOpenAiId('chatcmpl'), created: Math.floor(Date.now() / 1000), model: plan.model, text: refusal ? '' : text, refusal, calls, finish, usage: usageOf(plan.characters, said), groqId: isGroq ? newOpenAiId('req') : null }
}

function usageOf(characters: number, said: string) {
  const prompt = Math.ceil(characters / 4) + 8
  const completion = Math.max(1, countTokens(said))
  return {
    prompt_tokens: prompt, completion_tokens: completion, total_tokens: prompt + completion,
    prompt_tokens_details: { cached_tokens: 0, audio_tokens: 0 },
    completion_tokens_details: { reasoning_tokens: 0, audio_tokens: 0, accepted_prediction_tokens: 0, rejected_prediction_tokens: 0 },
  }
}

/** `chat.completion`, not streamed. */
export function wholeAnswer({ id, created, model, text, refusal, calls, finish, usage, groqId }: ChatAnswer) {
  const message = { role: 'assistant', content: calls.length > 0 || refusal ? null : text, refusal, annotations: [], ...(calls.length > 0 ? { tool_calls: calls } : {}) }
  return {
    id, object: 'chat.completion', created, model, choices: [{ index: 0, message, logprobs: null, finish_reason: finish }], usage,
    service_tier: 'default', system_fingerprint: 'fp_sandbox', ...(groqId ? { x_groq: { id: groqId } } : {}),
  }
}
