import type Anthropic from '@anthropic-ai/sdk'
import type { ModelItem, ModelRequest } from '../contract.ts'

type Block = Anthropic.ContentBlockParam
type Turn = { role: 'user' | 'assistant'; content: Block[] }

export function toAnthropicParams(request: ModelRequest): Anthropic.MessageCreateParamsStreaming {
  return {
    stream: true,
    model: request.model,
    system: [{ type: 'text', text: systemText(request), cache_control: { type: 'ephemeral' } }],
    messages: toTurns(request.items),
    max_tokens: request.maxOutputTokens,
    // Their scale ends at 1, ours (OpenAI's) at 2.
    ...(request.temperature === undefined ? {} : { temperature: Math.min(1, request.temperature) }),
    ...(request.tools.length > 0 ? { tools: request.tools.map(toTool) } : {}),
    ...(request.toolChoice && request.tools.length > 0 ? { tool_choice: { type: request.toolChoice } } : {}),
    ...(request.responseFormat ? { output_config: { format: { type: 'json_schema' as const, schema: request.responseFormat.schema } } } : {}),
    ...(request.safetyIdentifier ? { metadata: { user_id: request.safetyIdentifier } } : {}),
  }
}

const toTool = (tool: ModelRequest['tools'][number]): Anthropic.Tool => ({
  name: tool.name,
  description: tool.description,
  input_schema: { type: 'object', ...tool.parameters },
})

/** System notes (a summary of older messages) have no place between turns in this API: they follow the instructions. */
function systemText(request: ModelRequest): string {
  const notes = request.items.flatMap((item) => (item.type === 'message' && item.role === 'system' ? [item.text] : []))
  return [request.instructions, ...notes].join('\n\n')
}

/** Turns must alternate and begin with the user; tool results come first in the user turn that follows their calls (Messages API). */
function toTurns(items: readonly ModelItem[]): Turn[] {
  const turns: Turn[] = []
  for (const item of items) {
    const block = toBlock(item)
    if (!block) continue
    const role = block.type === 'tool_result' || (item.type === 'message' && item.role === 'user') ? 'user' : 'assistant'
    const last = turns.at(-1)
    if (last?.role === role) last.content.push(block)
    else turns.push({ role, content: [block] })
  }
  if (turns[0]?.role === 'assistant') turns.unshift({ role: 'user', content: [{ type: 'text', text: '(conversation begins)' }] })
  return turns
}

function toBlock(item: ModelItem): Block | null {
  if (item.type === 'tool_output') return { type: 'tool_result', tool_use_id: item.callId, content: item.output }
  if (item.type === 'tool_call') return { type: 'tool_use', id: item.callId, name: item.name, input: parsedArguments(item.argumentsJson) }
  // Empty text blocks are refused with a 400.
  return item.role === 'system' || item.text.trim() === '' ? null : { type: 'text', text: item.text }
}

function parsedArguments(json: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(json)
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Record<string, unknown>) : {}
  } catch {
    return {}
  }
}
