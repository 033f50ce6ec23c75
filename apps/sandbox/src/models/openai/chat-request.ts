import type { FastifyRequest } from 'fastify'
import type { ToolResult, Transcript, Turn } from '../transcript.ts'
import type { OpenAiRefusal } from './errors.ts'
import { invalidRequest, keyOf } from './errors.ts'
import { modelRefusal } from './models.ts'
import { objects, plain } from '../../plain.ts'
import { toolChoiceOf, toolsOf } from './request.ts'

type Loose = Record<string, unknown>

export type ChatPlan = { model: string; stream: boolean; includeUsage: boolean; maxTokens: number; transcript: Transcript; characters: number }

const ROLES = new Set(['system', 'developer', 'user', 'assistant', 'tool'])

/** A sound request of `POST .../chat/completions`, or what the API says about it. */
export function planChat(request: FastifyRequest, anyModel: boolean): ChatPlan | OpenAiRefusal {
  const auth = keyOf(request)
  if ('refusal' in auth) return auth.refusal
  const body = (request.body ?? {}) as Loose
  const refusal = modelRefusal(body.model, anyModel) ?? messagesRefusal(body.messages)
  if (refusal) return refusal
  const { characters, ...read } = readMessages(body.messages as Loose[])
  const format = body.response_format as Loose | undefined
  const schema = format?.type === 'json_schema' ? objects([(format.json_schema as Loose | undefined)?.schema])[0] : undefined
  return {
    model: body.model as string,
    stream: body.stream === true,
    includeUsage: (body.stream_options as Loose | undefined)?.include_usage === true,
    maxTokens: Number(body.max_completion_tokens ?? body.max_tokens ?? Infinity),
    transcript: { ...read, tools: toolsOf(body.tools), toolChoice: toolChoiceOf(body.tool_choice), schema },
    characters,
  }
}

export const isChatPlan = (value: ChatPlan | OpenAiRefusal): value is ChatPlan => 'transcript' in value

function messagesRefusal(messages: unknown): OpenAiRefusal | null {
  if (!Array.isArray(messages)) return invalidRequest("Missing required parameter: 'messages'.", 'messages', 'missing_required_parameter')
  if (messages.length === 0) return invalidRequest("Invalid 'messages': empty array. Expected an array with minimum length 1, but got an empty array instead.", 'messages', 'empty_array')
  let open = new Set<string>()
  for (const [index, message] of (messages as Loose[]).entries()) {
    if (!ROLES.has(message?.role as string)) return invalidRequest(`Invalid value: '${String(message?.role)}'. Supported values are: 'system', 'assistant', 'user', 'function', 'tool', and 'developer'.`, `messages[${index}].role`, 'invalid_value')
    if (message.role === 'tool') {
      if (!open.delete(String(message.tool_call_id))) return invalidRequest("Invalid parameter: messages with role 'tool' must be a response to a preceeding message with 'tool_calls'.", `messages.[${index}].role`)
      continue
    }
    if (open.size > 0) return unanswered(open)
    open = new Set(objects(message.tool_calls).map(({ id }) => String(id)))
  }
  return open.size > 0 ? unanswered(open) : null
}

const unanswered = (open: ReadonlySet<string>): OpenAiRefusal =>
  invalidRequest(`An assistant message with 'tool_calls' must be followed by tool messages responding to each 'tool_call_id'. The following tool_call_ids did not have response messages: ${[...open].join(', ')}`, 'messages')

function readMessages(messages: readonly Loose[]): { instructions: string; turns: Turn[]; results: ToolResult[]; characters: number } {
  const turns: Turn[] = []
  const told: string[] = []
  const calls = new Map<string, { name: string; arguments: string }>()
  let results: ToolResult[] = []
  let characters = 0
  for (const message of messages) {
    const text = textOf(message.content)
    characters += text.length
    for (const { id, function: spec } of objects(message.tool_calls)) calls.set(plain(id), { name: plain((spec as Loose | undefined)?.name), arguments: plain((spec as Loose | undefined)?.arguments) })
    if (message.role === 'tool') {
      const call = calls.get(String(message.tool_call_id))
      results.push({ name: call?.name ?? '', arguments: call?.arguments ?? '', output: text })
    } else if (message.role === 'user') {
      results = []
      turns.push({ role: 'user', text })
    } else if (message.role === 'assistant') {
      if (text !== '') turns.push({ role: 'assistant', text })
    } else told.push(text)
  }
  return { instructions: told.join('\n'), turns, results, characters }
}

function textOf(content: unknown): string {
  if (typeof content === 'string') return content
  return objects(content).map((part) => (typeof part.text === 'string' ? part.text : part.type === 'image_url' ? '[image]' : '')).join('')
}
