import { AppError, PromptContent } from '@trunkline/core'

/**
 * Import of an OpenAI prompt object (`pmpt_…`). OpenAI has no endpoint that returns one (openai 7.55 has no prompts resource; its guide
 * "Migrate from prompt objects" says to copy the text), so this reads what a person can get hold of:
 *  - the JSON of a Response that was made with the prompt: it echoes instructions, model, tools and temperature;
 *  - request code or JSON as the dashboard shows it (`{model, input | instructions | messages, tools, ...}`);
 *  - plain text: the instructions themselves.
 */
type Defaults = { model: string; promptId?: string; version?: string }
export type LegacyImport = { content: PromptContent; /** What could not be taken over, in plain words. */ notes: string[] }

const BYTES_MAX = 1_000_000

export function importLegacyPrompt(pasted: string, defaults: Defaults): LegacyImport {
  if (pasted.length > BYTES_MAX) throw new AppError('payload_too_large', { param: 'content', message: 'The pasted prompt is larger than 1 MB.' })
  const text = pasted.trim()
  if (text === '') throw new AppError('invalid_request', { param: 'content', message: 'The pasted prompt is empty.' })
  const json = text.startsWith('{') ? parseObject(text) : null
  return json ? fromJson(json, defaults) : finish({ instructions: text, model: defaults.model }, [], defaults)
}

type Json = Record<string, unknown>

function parseObject(text: string): Json {
  try {
    const value: unknown = JSON.parse(text)
    if (isObject(value)) return value
  } catch (cause) {
    throw new AppError('invalid_json', { param: 'content', message: 'The pasted prompt begins like JSON but is none.', cause })
  }
  throw new AppError('invalid_request', { param: 'content', message: 'The pasted prompt is not a JSON object.' })
}

const isObject = (value: unknown): value is Json => typeof value === 'object' && value !== null && !Array.isArray(value)

function fromJson(json: Json, defaults: Defaults): LegacyImport {
  const notes: string[] = []
  const prompt = isObject(json.prompt) ? json.prompt : json
  const instructions = instructionsOf(json, notes)
  if (instructions === '') {
    throw new AppError('invalid_request', { param: 'content', message: 'No instructions were found: expected `instructions`, or `input`/`messages` with a system or developer message.' })
  }
  const raw = {
    instructions,
    model: typeof json.model === 'string' ? json.model : defaults.model,
    ...numberField('temperature', json.temperature, 0, 2),
    ...numberField('maxOutputTokens', json.max_output_tokens, 16, 32_000),
    variables: { ...placeholders(instructions), ...stringValues(prompt.variables, notes) },
  }
  noteTools(json.tools, notes)
  const promptId = typeof prompt.id === 'string' && prompt.id.startsWith('pmpt_') ? prompt.id : defaults.promptId
  const version = typeof prompt.version === 'string' ? prompt.version : defaults.version
  return finish(raw, notes, { ...defaults, promptId, version })
}

/** System and developer texts become the instructions; example messages of other roles cannot be kept as such. */
function instructionsOf(json: Json, notes: string[]): string {
  const sources = [json.instructions, json.input, json.messages].filter((source) => source !== undefined && source !== null)
  const texts = sources.flatMap((source) => (typeof source === 'string' ? (source === json.input ? [] : [source]) : Array.isArray(source) ? source.flatMap((item) => textOfItem(item, notes)) : []))
  return texts.map((text) => text.trim()).filter(Boolean).join('\n\n')
}

function textOfItem(item: unknown, notes: string[]): string[] {
  if (!isObject(item)) return []
  if (item.role !== 'system' && item.role !== 'developer') {
    notes.push(`A message of the role ${typeof item.role === 'string' ? item.role : 'unknown'} was left out: our prompts have instructions only.`)
    return []
  }
  if (typeof item.content === 'string') return [item.content]
  const parts = Array.isArray(item.content) ? item.content : []
  return parts.flatMap((part) => (isObject(part) && typeof part.text === 'string' ? [part.text] : []))
}

/** `{{name}}` in the text without a value becomes an empty variable, so that the prompt passes its check and shows what to fill in. */
const placeholders = (instructions: string) => Object.fromEntries([...instructions.matchAll(/\{\{\s*([a-zA-Z_]\w{0,63})\s*\}\}/g)].map(([, name]) => [name!, '']))

function stringValues(variables: unknown, notes: string[]): Record<string, string> {
  if (!isObject(variables)) return {}
  const entries = Object.entries(variables)
  for (const [name, value] of entries) if (typeof value !== 'string') notes.push(`The variable ${name} is not a text and was left out.`)
  return Object.fromEntries(entries.filter((entry): entry is [string, string] => typeof entry[1] === 'string'))
}

/** Functions of a prompt object have no address: who runs them was the caller's code. */
function noteTools(tools: unknown, notes: string[]): void {
  if (!Array.isArray(tools)) return
  for (const tool of tools.filter(isObject)) {
    notes.push(tool.type === 'function' ? `The function ${String(tool.name)} was not taken over: add it as an HTTP tool with its address.` : `The tool ${String(tool.type)} runs at OpenAI and has no counterpart here.`)
  }
}

const numberField = (name: string, value: unknown, min: number, max: number): Json => (typeof value === 'number' && value >= min && value <= max ? { [name]: value } : {})

function finish(raw: Json, notes: string[], defaults: Pick<Defaults, 'promptId' | 'version'>): LegacyImport {
  const legacyPrompt = defaults.promptId ? { legacyPrompt: { id: defaults.promptId, ...(defaults.version ? { version: defaults.version } : {}) } } : {}
  const parsed = PromptContent.safeParse({ vendor: 'openai', ...raw, ...legacyPrompt })
  if (!parsed.success) {
    const issue = parsed.error.issues[0]!
    throw new AppError('invalid_request', { param: `content.${issue.path.join('.')}`, message: issue.message })
  }
  return { content: parsed.data, notes }
}
