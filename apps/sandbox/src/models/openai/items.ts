import type { ToolResult, Turn } from '../transcript.ts'
import type { OpenAiRefusal } from './errors.ts'
import { invalidRequest } from './errors.ts'
import { newOpenAiId } from './ids.ts'
import { objects, plain } from '../../plain.ts'

/** An item of a conversation or of an input, as OpenAI keeps it. */
export type Item = Record<string, unknown> & { id: string; type: string }
type Loose = Record<string, unknown>

const ROLES = new Set(['user', 'assistant', 'system', 'developer'])
const PREFIX: Record<string, string> = { message: 'msg', function_call: 'fc', function_call_output: 'fco', reasoning: 'rs' }

/** Input of a request as items with ids, or a refusal that names the place. */
export function itemsOf(input: unknown): Item[] | OpenAiRefusal {
  if (input === undefined || input === null) return []
  if (typeof input === 'string') return [messageItem('user', input)]
  if (!Array.isArray(input)) return invalidRequest("Invalid type for 'input': expected one of a string or array.", 'input', 'invalid_type')
  const items: Item[] = []
  for (const [index, raw] of input.entries()) {
    const item = itemOf(raw, index)
    if ('status' in item && typeof item.status === 'number') return item as unknown as OpenAiRefusal
    items.push(item as Item)
  }
  return items
}

export const isRefusal = (value: Item[] | OpenAiRefusal): value is OpenAiRefusal => !Array.isArray(value)

function itemOf(raw: unknown, index: number): Item | OpenAiRefusal {
  if (typeof raw !== 'object' || raw === null) return invalidRequest(`Invalid type for 'input[${index}]': expected an object.`, `input[${index}]`, 'invalid_type')
  const item = raw as Loose
  const type = plain(item.type ?? 'message')
  if (type === 'message') return easyMessage(item, index)
  if (type === 'function_call' && (typeof item.call_id !== 'string' || typeof item.name !== 'string')) return missing(`input[${index}].call_id`)
  if (type === 'function_call_output' && typeof item.call_id !== 'string') return missing(`input[${index}].call_id`)
  if (type === 'function_call_output' && item.output === undefined) return missing(`input[${index}].output`)
  return { ...item, type, id: typeof item.id === 'string' ? item.id : newOpenAiId(PREFIX[type] ?? 'item') }
}

const missing = (param: string): OpenAiRefusal => invalidRequest(`Missing required parameter: '${param}'.`, param, 'missing_required_parameter')

function easyMessage(item: Loose, index: number): Item | OpenAiRefusal {
  const role = String(item.role)
  if (!ROLES.has(role)) return invalidRequest(`Invalid value: '${role}'. Supported values are: 'assistant', 'system', 'developer', and 'user'.`, `input[${index}].role`, 'invalid_value')
  if (typeof item.content !== 'string' && !Array.isArray(item.content)) return missing(`input[${index}].content`)
  return { ...messageItem(role, item.content), ...(typeof item.id === 'string' ? { id: item.id } : {}) }
}

function messageItem(role: string, content: string | unknown[]): Item {
  const part = typeof content === 'string' ? [role === 'assistant' ? { type: 'output_text', text: content, annotations: [], logprobs: [] } : { type: 'input_text', text: content }] : content
  return { id: newOpenAiId('msg'), type: 'message', status: 'completed', role, content: part }
}

function textOf(item: Item): string {
  let text = ''
  for (const part of objects(item.content)) text += plain(part.text ?? part.refusal) || (part.type === 'input_image' ? '[image]' : part.type === 'input_file' ? '[file]' : '')
  return text
}

/** What the model reads: instructions (with system and developer messages), turns, and tool results since the customer last wrote. */
export function readItems(items: Iterable<Item>, instructions: string): { instructions: string; turns: Turn[]; results: ToolResult[]; characters: number } {
  const turns: Turn[] = []
  const calls = new Map<string, Item>()
  let results: ToolResult[] = []
  let told = instructions
  let characters = instructions.length
  for (const item of items) {
    if (item.type === 'function_call') calls.set(String(item.call_id), item)
    if (item.type === 'function_call_output') {
      const call = calls.get(String(item.call_id))
      const output = typeof item.output === 'string' ? item.output : JSON.stringify(item.output)
      characters += output.length
      results.push({ name: plain(call?.name), arguments: plain(call?.arguments), output })
    }
    if (item.type !== 'message') continue
    const text = textOf(item)
    characters += text.length
    if (item.role === 'user') results = []
    if (item.role === 'user' || item.role === 'assistant') turns.push({ role: item.role, text })
    else told = told === '' ? text : `${told}\n${text}`
  }
  return { instructions: told, turns, results, characters }
}

/** Every call needs its output and every output its call, or the API refuses. */
export function danglingRefusal(items: Iterable<Item>): OpenAiRefusal | null {
  const open = new Set<string>()
  const called = new Set<string>()
  for (const item of items) {
    if (item.type === 'function_call') {
      open.add(String(item.call_id))
      called.add(String(item.call_id))
    } else if (item.type === 'function_call_output') {
      if (!called.has(String(item.call_id))) return invalidRequest(`No tool call found for function call output with call_id ${String(item.call_id)}.`, 'input')
      open.delete(String(item.call_id))
    }
  }
  const [first] = open
  return first === undefined ? null : invalidRequest(`No tool output found for function call ${first}.`, 'input')
}
