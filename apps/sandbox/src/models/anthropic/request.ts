import type { FastifyRequest } from 'fastify'
import type { ToolChoice, ToolResult, ToolSpec, Transcript, Turn } from '../transcript.ts'
import { objects, plain } from '../../plain.ts'

type Loose = Record<string, unknown>

/** A refusal in Anthropic's words. */
export type AnthropicRefusal = { status: number; type: string; message: string }

export type MessagesPlan = { model: string; stream: boolean; maxTokens: number; transcript: Transcript; characters: number }

const invalid = (message: string): AnthropicRefusal => ({ status: 400, type: 'invalid_request_error', message })

/** Checks as `POST /v1/messages` does: key, version, required fields, tool results. */
export function planMessages(request: FastifyRequest): MessagesPlan | AnthropicRefusal {
  const body = (request.body ?? {}) as Loose
  const refusal = headerRefusal(request) ?? fieldRefusal(body)
  if (refusal) return refusal
  const messages = body.messages as Loose[]
  const fault = messagesRefusal(messages)
  if (fault) return fault
  const { characters, ...read } = readMessages(messages, body.system)
  const format = ((body.output_config as Loose | undefined)?.format ?? body.output_format) as Loose | undefined
  const schema = format?.type === 'json_schema' ? objects([format.schema])[0] : undefined
  const transcript = { ...read, tools: toolsOf(body.tools), toolChoice: toolChoiceOf(body.tool_choice), schema }
  return { model: body.model as string, stream: body.stream === true, maxTokens: body.max_tokens as number, transcript, characters }
}

export const isMessagesPlan = (value: MessagesPlan | AnthropicRefusal): value is MessagesPlan => 'transcript' in value

function headerRefusal({ headers }: FastifyRequest): AnthropicRefusal | null {
  const key = headers['x-api-key'] ?? headers.authorization?.replace(/^Bearer /, '')
  if (typeof key !== 'string' || key === '' || /invalid/i.test(key)) return { status: 401, type: 'authentication_error', message: key ? 'invalid x-api-key' : 'x-api-key header is required' }
  return headers['anthropic-version'] === undefined ? invalid('anthropic-version: header is required') : null
}

function fieldRefusal(body: Loose): AnthropicRefusal | null {
  if (typeof body.model !== 'string' || body.model === '') return invalid('model: Field required')
  if (!/^(?:claude-|sandbox)/.test(body.model)) return { status: 404, type: 'not_found_error', message: `model: ${body.model.slice(0, 128)}` }
  if (!Number.isInteger(body.max_tokens)) return invalid('max_tokens: Field required')
  if ((body.max_tokens as number) < 1) return invalid('max_tokens: must be greater than or equal to 1')
  if (!Array.isArray(body.messages)) return invalid('messages: Field required')
  return body.messages.length === 0 ? invalid('messages: at least one message is required') : null
}

function messagesRefusal(messages: readonly Loose[]): AnthropicRefusal | null {
  let open: string[] = []
  for (const [index, message] of messages.entries()) {
    if (message?.role !== 'user' && message?.role !== 'assistant') return invalid(`messages.${index}.role: Input should be 'user' or 'assistant'`)
    if (typeof message.content !== 'string' && !Array.isArray(message.content)) return invalid(`messages.${index}.content: Field required`)
    if (message.content.length === 0 && index < messages.length - 1) return invalid(`messages.${index}: all messages must have non-empty content except for the optional final assistant message`)
    const blocks = blocksOf(message)
    const answered = new Set(blocks.filter(({ type }) => type === 'tool_result').map(({ tool_use_id }) => String(tool_use_id)))
    const missing = open.filter((id) => !answered.has(id))
    if (missing.length > 0) return invalid(`messages.${index - 1}: \`tool_use\` ids were found without \`tool_result\` blocks immediately after: ${missing.join(', ')}. Each \`tool_use\` block must have a corresponding \`tool_result\` block in the next message.`)
    const stray = [...answered].find((id) => !open.includes(id))
    if (stray) return invalid(`messages.${index}.content.0: unexpected \`tool_use_id\` found in \`tool_result\` blocks: ${stray}. Each \`tool_result\` block must have a corresponding \`tool_use\` block in the previous message.`)
    open = message.role === 'assistant' ? blocks.filter(({ type }) => type === 'tool_use').map(({ id }) => String(id)) : []
  }
  return open.length > 0 ? invalid(`messages.${messages.length - 1}: \`tool_use\` ids were found without \`tool_result\` blocks immediately after: ${open.join(', ')}.`) : null
}

const blocksOf = ({ content }: Loose): Loose[] => (typeof content === 'string' ? [{ type: 'text', text: content }] : objects(content))

function readMessages(messages: readonly Loose[], system: unknown): { instructions: string; turns: Turn[]; results: ToolResult[]; characters: number } {
  const instructions = typeof system === 'string' ? system : objects(system).map(({ text }) => plain(text)).join('\n')
  const turns: Turn[] = []
  const calls = new Map<string, Loose>()
  let results: ToolResult[] = []
  let characters = instructions.length
  for (const message of messages) {
    const blocks = blocksOf(message)
    for (const block of blocks) if (block.type === 'tool_use') calls.set(String(block.id), block)
    const outputs = blocks.filter(({ type }) => type === 'tool_result')
    results.push(...outputs.map((block) => resultOf(block, calls.get(String(block.tool_use_id)))))
    const text = blocks.map((block) => (block.type === 'text' ? String(block.text) : block.type === 'image' ? '[image]' : '')).join('')
    characters += text.length
    if (text === '') continue
    if (message.role === 'user' && outputs.length === 0) results = []
    turns.push({ role: message.role as Turn['role'], text })
  }
  return { instructions, turns, results, characters }
}

function resultOf(block: Loose, call: Loose | undefined): ToolResult {
  const output = typeof block.content === 'string' ? block.content : objects(block.content).map(({ text }) => plain(text)).join('')
  return { name: plain(call?.name), arguments: JSON.stringify(call?.input ?? {}), output: block.is_error === true ? `error: ${output}` : output }
}

function toolsOf(tools: unknown): ToolSpec[] {
  return objects(tools).filter(({ name, input_schema }) => typeof name === 'string' && input_schema !== undefined).map((tool) => ({ name: String(tool.name), description: plain(tool.description), parameters: objects([tool.input_schema])[0] ?? {} }))
}

function toolChoiceOf(choice: unknown): ToolChoice {
  const { type, name } = (choice ?? {}) as { type?: string; name?: string }
  if (type === 'tool' && name !== undefined) return { name }
  return type === 'any' ? 'required' : type === 'none' ? 'none' : 'auto'
}
