import type { ServerResponse } from 'node:http'
import { openStream } from './server.ts'
import type { Step } from './server.ts'

export type OutputPart =
  | { text: string; phase?: 'commentary' | 'final_answer'; /** The phase is told only at the end. */ latePhase?: boolean }
  | { call: { name: string; arguments: unknown; callId?: string } }
  | { refusal: string }
export type ResponseOptions = {
  status?: 'completed' | 'incomplete' | 'failed'
  reason?: 'max_output_tokens' | 'content_filter'
  errorCode?: string
  usage?: { input: number; cached: number; output: number }
  /** Stop after this many events: by tearing the socket, or by saying nothing more. */
  stopAfter?: { events: number; how: 'cut' | 'hang' | 'end' }
}

let ids = 0
const nextId = (prefix: string) => `${prefix}_${(++ids).toString(16).padStart(8, '0')}`

/** One response as the Responses API streams it: every event, in order, numbered. */
export const openaiResponse =
  (output: OutputPart[], options: ResponseOptions = {}): Step =>
  (response, request) => {
    const events = responseEvents(output, options, request.body)
    play(response, events, options)
  }

export const openaiText = (text: string, options?: ResponseOptions): Step => openaiResponse([{ text }], options)
export const openaiCall = (name: string, args: unknown, callId?: string): Step => openaiResponse([{ call: { name, arguments: args, callId } }])

type WireEvent = { type: string } & Record<string, unknown>

function play(response: ServerResponse, events: WireEvent[], options: ResponseOptions): void {
  const stream = openStream(response)
  const stop = options.stopAfter
  for (const [index, event] of events.entries()) {
    if (stop && index >= stop.events) {
      if (stop.how === 'cut') setImmediate(() => response.destroy())
      if (stop.how === 'end') response.end()
      return
    }
    stream.send({ ...event, sequence_number: index }, event.type)
  }
  response.end()
}

function responseEvents(output: OutputPart[], options: ResponseOptions, request: Record<string, unknown>): WireEvent[] {
  const base = { id: nextId('resp'), object: 'response', created_at: 1_790_000_000, model: request.model ?? 'from-prompt', conversation: request.conversation ? { id: request.conversation } : null, error: null, incomplete_details: null }
  const items = output.map((part) => itemOf(part, options))
  const status = options.status ?? 'completed'
  const usage = options.usage ?? { input: 20, cached: 0, output: 7 }
  const final = {
    ...base,
    status,
    output: items,
    error: status === 'failed' ? { code: options.errorCode ?? 'server_error', message: 'scripted' } : null,
    incomplete_details: status === 'incomplete' ? { reason: options.reason ?? 'max_output_tokens' } : null,
    usage: { input_tokens: usage.input, input_tokens_details: { cached_tokens: usage.cached }, output_tokens: usage.output, output_tokens_details: { reasoning_tokens: 0 }, total_tokens: usage.input + usage.output },
  }
  return [
    { type: 'response.created', response: { ...base, status: 'in_progress', output: [] } },
    { type: 'response.in_progress', response: { ...base, status: 'in_progress', output: [] } },
    ...items.flatMap((item, index) => itemEvents(item, index, output[index]!)),
    { type: `response.${status}`, response: final },
  ]
}

type WireItem = { id: string; type: string; status: string } & Record<string, unknown>

function itemOf(part: OutputPart, options: ResponseOptions): WireItem {
  const status = options.status === 'incomplete' ? 'incomplete' : 'completed'
  if ('call' in part) {
    const args = typeof part.call.arguments === 'string' ? part.call.arguments : JSON.stringify(part.call.arguments)
    return { id: nextId('fc'), type: 'function_call', status, call_id: part.call.callId ?? nextId('call'), name: part.call.name, arguments: args }
  }
  const content = 'text' in part ? { type: 'output_text', text: part.text, annotations: [], logprobs: [] } : { type: 'refusal', refusal: part.refusal }
  return { id: nextId('msg'), type: 'message', status, role: 'assistant', content: [content], ...('phase' in part && part.phase ? { phase: part.phase } : {}) }
}

function itemEvents(item: WireItem, index: number, part: OutputPart): WireEvent[] {
  const at = { output_index: index, item_id: item.id }
  const started = { ...item, status: 'in_progress', content: [], ...('arguments' in item ? { arguments: '' } : {}), ...('latePhase' in part && part.latePhase ? { phase: undefined } : {}) }
  return [
    { type: 'response.output_item.added', output_index: index, item: started },
    ...('call' in part ? callEvents(item, at) : messageEvents(part, at)),
    { type: 'response.output_item.done', output_index: index, item },
  ]
}

function callEvents(item: WireItem, at: Record<string, unknown>): WireEvent[] {
  const pieces = piecesOf(String(item.arguments), 2)
  return [
    ...pieces.map((delta) => ({ type: 'response.function_call_arguments.delta', ...at, delta })),
    { type: 'response.function_call_arguments.done', ...at, name: item.name, arguments: item.arguments },
  ]
}

function messageEvents(part: Exclude<OutputPart, { call: unknown }>, at: Record<string, unknown>): WireEvent[] {
  const place = { ...at, content_index: 0 }
  if ('refusal' in part) {
    return [
      { type: 'response.content_part.added', ...place, part: { type: 'refusal', refusal: '' } },
      { type: 'response.refusal.delta', ...place, delta: part.refusal },
      { type: 'response.refusal.done', ...place, refusal: part.refusal },
      { type: 'response.content_part.done', ...place, part: { type: 'refusal', refusal: part.refusal } },
    ]
  }
  const done = { type: 'output_text', text: part.text, annotations: [] }
  return [
    { type: 'response.content_part.added', ...place, part: { ...done, text: '' } },
    ...piecesOf(part.text, 4).map((delta) => ({ type: 'response.output_text.delta', ...place, delta, logprobs: [] })),
    { type: 'response.output_text.done', ...place, text: part.text, logprobs: [] },
    { type: 'response.content_part.done', ...place, part: done },
  ]
}

/** A text in about `count` pieces, like tokens arrive. */
export function piecesOf(text: string, count: number): string[] {
  const size = Math.max(1, Math.ceil(text.length / count))
  return Array.from({ length: Math.ceil(text.length / size) }, (_, index) => text.slice(index * size, (index + 1) * size))
}
