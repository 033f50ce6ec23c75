import type { Fault } from '../../faults/fault.ts'
import { think } from '../think.ts'
import { countTokens } from '../tokens.ts'
import { newOpenAiId } from './ids.ts'
import type { Item } from './items.ts'
import type { ResponsePlan } from './request.ts'
import type { ResponseState } from './response-json.ts'
import { responseWriter, usageOf } from './response-json.ts'

/** A response that is decided but not yet told. */
export type Decided = { id: string; plan: ResponsePlan; items: Item[]; state: ResponseState; write: (state: ResponseState) => string }

/** What the response will be: the model's answer, bent by a fault or cut by the token limit. */
export function decide(plan: ResponsePlan, fault: Fault | undefined): Decided {
  const id = newOpenAiId('resp')
  const write = responseWriter(id, plan)
  const outcome = fault?.action.modelOutcome
  if (outcome === 'failed') {
    const error = { code: String(fault!.action.errorCode ?? 'server_error'), message: 'The model failed to generate a response. (Scripted by the sandbox.)' }
    return { id, plan, items: [], write, state: { status: 'failed', output: [], usage: usageOf(plan.inputCharacters, ''), error } }
  }
  const answer = fault?.action.text === undefined ? think(plan.transcript) : { text: fault.action.text, calls: [] }
  if (outcome === 'refusal') return whole(id, plan, write, [messageItem('refusal', "I'm sorry, but I can't help with that.")])
  if (answer.calls.length > 0) return whole(id, plan, write, answer.calls.map(callItem))
  const max = Number(plan.body.max_output_tokens ?? Infinity)
  const isCut = outcome === 'incomplete' || countTokens(answer.text) > max
  if (!isCut) return whole(id, plan, write, [messageItem('output_text', answer.text)])
  const kept = answer.text.slice(0, Math.min(max * 4, Math.ceil(answer.text.length / 2)))
  const decided = whole(id, plan, write, [messageItem('output_text', kept, 'incomplete')])
  decided.state.status = 'incomplete'
  decided.state.incompleteReason = 'max_output_tokens'
  return decided
}

export const textOf = (item: Item): string => {
  const [part] = item.content as { text?: string; refusal?: string }[]
  return part!.text ?? part!.refusal ?? ''
}

function whole(id: string, plan: ResponsePlan, write: Decided['write'], items: Item[]): Decided {
  const output = items.map((item) => JSON.stringify(item))
  const said = items.map((item) => (item.type === 'function_call' ? String(item.arguments) : textOf(item))).join('')
  return { id, plan, items, write, state: { status: 'completed', output, usage: usageOf(plan.inputCharacters, said) } }
}

function messageItem(kind: 'output_text' | 'refusal', text: string, status: 'completed' | 'incomplete' = 'completed'): Item {
  const part = kind === 'refusal' ? { type: kind, refusal: text } : { type: kind, annotations: [], logprobs: [], text }
  return { id: newOpenAiId('msg'), type: 'message', status, role: 'assistant', phase: 'final_answer', content: [part] }
}

function callItem(call: { name: string; arguments: string }): Item {
  return { id: newOpenAiId('fc'), type: 'function_call', status: 'completed', arguments: call.arguments, call_id: newOpenAiId('call'), name: call.name }
}
