import type { CallTokens, ModelItem, ModelRequest, PartEvent } from './contract.ts'
import { VendorError } from './failure.ts'

/**
 * The chat-completions dialect that Groq, Ollama, vLLM and many others speak. Plain types of our own: the SDKs of these suppliers
 * disagree in details we do not use.
 */
export type ChatMessage =
  | { role: 'system' | 'user'; content: string }
  | { role: 'assistant'; content: string | null; tool_calls?: { id: string; type: 'function'; function: { name: string; arguments: string } }[] }
  | { role: 'tool'; tool_call_id: string; content: string }

export type ChatChunk = {
  choices?: {
    delta?: { content?: string | null; refusal?: string | null; tool_calls?: { index: number; id?: string; function?: { name?: string; arguments?: string } }[] }
    finish_reason?: string | null
  }[]
  usage?: ChatUsage | null
  x_groq?: { usage?: ChatUsage | null; error?: string | null } | null
}
type ChatUsage = { prompt_tokens?: number; completion_tokens?: number; prompt_tokens_details?: { cached_tokens?: number } | null }

export function toChatMessages(request: ModelRequest): ChatMessage[] {
  const messages: ChatMessage[] = [{ role: 'system', content: request.instructions }]
  for (const item of request.items) append(messages, item)
  return messages
}

/** Parallel calls belong into one assistant message: a call whose output is not in the next messages is refused by the servers. */
function append(messages: ChatMessage[], item: ModelItem): void {
  if (item.type === 'message') messages.push({ role: item.role, content: item.text })
  else if (item.type === 'tool_output') messages.push({ role: 'tool', tool_call_id: item.callId, content: item.output })
  else {
    const call = { id: item.callId, type: 'function' as const, function: { name: item.name, arguments: item.argumentsJson } }
    const last = messages.at(-1)
    if (last?.role === 'assistant') last.tool_calls = [...(last.tool_calls ?? []), call]
    else messages.push({ role: 'assistant', content: null, tool_calls: [call] })
  }
}

export const toChatTools = (request: ModelRequest) => request.tools.map((tool) => ({ type: 'function' as const, function: { ...tool } }))

export const toChatFormat = (request: ModelRequest) =>
  request.responseFormat ? { response_format: { type: 'json_schema' as const, json_schema: { strict: true, ...request.responseFormat } } } : {}

/** Reads one completion's chunks up to its end; tool calls come in pieces by index and are told whole. */
export async function* readChat(stream: AsyncIterable<ChatChunk>, requestId: string | null): AsyncGenerator<PartEvent> {
  const calls = new Map<number, { id: string; name: string; arguments: string }>()
  let finish: string | null = null
  let refused = false
  let usage: ChatUsage | null = null
  for await (const chunk of stream) {
    if (typeof chunk !== 'object' || chunk === null || (chunk.choices !== undefined && !Array.isArray(chunk.choices))) throw new VendorError('garbage', { requestId })
    if (chunk.x_groq?.error) throw new VendorError('server_error', { requestId })
    usage = chunk.usage ?? chunk.x_groq?.usage ?? usage
    const choice = chunk.choices?.[0]
    finish = choice?.finish_reason ?? finish
    if (choice?.delta?.refusal) refused = true
    for (const piece of choice?.delta?.tool_calls ?? []) {
      collect(calls, piece)
      yield { type: 'progress' }
    }
    if (choice?.delta?.content) yield { type: 'text_delta', text: choice.delta.content }
  }
  if (finish === null) throw new VendorError('cut', { requestId })
  const outcome = refused ? 'refused' : finish === 'length' || finish === 'content_filter' ? 'incomplete' : 'ok'
  for (const call of calls.values()) yield { type: 'tool_call', callId: call.id, name: call.name, argumentsJson: call.arguments }
  yield { type: 'call_end', outcome, tokens: tokensOf(usage, requestId) }
  yield { type: 'answer', outcome }
}

type CallPiece = { index: number; id?: string; function?: { name?: string; arguments?: string } }

function collect(calls: Map<number, { id: string; name: string; arguments: string }>, piece: CallPiece): void {
  const index = piece.index ?? 0
  const call = calls.get(index) ?? { id: piece.id ?? `call_${index}`, name: '', arguments: '' }
  call.name += piece.function?.name ?? ''
  call.arguments += piece.function?.arguments ?? ''
  calls.set(index, call)
}

function tokensOf(usage: ChatUsage | null, requestId: string | null): CallTokens {
  return {
    inputTokens: usage?.prompt_tokens ?? 0,
    cachedInputTokens: usage?.prompt_tokens_details?.cached_tokens ?? 0,
    outputTokens: usage?.completion_tokens ?? 0,
    requestId,
  }
}
