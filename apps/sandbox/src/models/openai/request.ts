import type { FastifyRequest } from 'fastify'
import type { World } from '../../world.ts'
import type { ToolChoice, ToolSpec, Transcript } from '../transcript.ts'
import type { Conversation } from './conversation-store.ts'
import type { OpenAiRefusal } from './errors.ts'
import { invalidRequest, keyOf, locked, notFound } from './errors.ts'
import type { Item } from './items.ts'
import { danglingRefusal, isRefusal, itemsOf, readItems } from './items.ts'
import { modelRefusal } from './models.ts'
import { objects, plain } from '../../plain.ts'

type Loose = Record<string, unknown>

/** A sound request of `POST /v1/responses`, with all that it refers to. */
export type ResponsePlan = {
  body: Loose
  owner: string
  model: string
  conversation: Conversation | null
  previous: string | null
  input: Item[]
  transcript: Transcript
  inputCharacters: number
}

/** Checks in the order of the real API: key, model, references, items. */
export function planResponse(world: World, request: FastifyRequest): ResponsePlan | OpenAiRefusal {
  const auth = keyOf(request)
  if ('refusal' in auth) return auth.refusal
  const body = (request.body ?? {}) as Loose
  const model = body.model ?? modelOfPrompt(body.prompt)
  const refusal = modelRefusal(model, false) ?? parameterRefusal(body)
  if (refusal) return refusal
  const input = itemsOf(body.input)
  if (isRefusal(input)) return input
  const context = contextOf(world, auth.key, body)
  if ('status' in context) return context
  const all = context.items.length === 0 ? input : [...context.items, ...input]
  const dangling = danglingRefusal(all)
  if (dangling) return dangling
  const { characters, ...read } = readItems(all, typeof body.instructions === 'string' ? body.instructions : '')
  const transcript = { ...read, tools: toolsOf(body.tools), toolChoice: toolChoiceOf(body.tool_choice), schema: schemaOf(body.text) }
  return { body, owner: auth.key, model: model as string, conversation: context.conversation, previous: context.previous, input, transcript, inputCharacters: characters }
}

/** A reusable prompt object (`pmpt_…`, served until 30 November 2026) brings its own model. */
const modelOfPrompt = (prompt: unknown): string | undefined => (plain((prompt as Loose | undefined)?.id).startsWith('pmpt_') ? 'gpt-5.2' : undefined)

export const isPlan = (value: ResponsePlan | OpenAiRefusal): value is ResponsePlan => 'transcript' in value

function parameterRefusal(body: Loose): OpenAiRefusal | null {
  if (body.conversation !== undefined && body.conversation !== null && body.previous_response_id) {
    return invalidRequest("Mutually exclusive parameters: 'previous_response_id' and 'conversation'. Ensure you are only providing one of them.", 'previous_response_id', 'mutually_exclusive_parameters')
  }
  if (body.background === true) return invalidRequest('The sandbox does not play background responses.', 'background', 'unsupported_parameter')
  const max = body.max_output_tokens
  if (max !== undefined && max !== null && (!Number.isInteger(max) || (max as number) < 16)) return invalidRequest("Invalid 'max_output_tokens': integer below minimum value. Expected a value >= 16.", 'max_output_tokens', 'integer_below_min_value')
  if (body.metadata && Object.keys(body.metadata).length > 16) return invalidRequest("Invalid 'metadata': too many properties. Expected an object with at most 16 properties.", 'metadata', 'object_above_max_properties')
  const format = (body.text as Loose | undefined)?.format as Loose | undefined
  if (format?.type === 'json_schema') return schemaRefusal(format)
  return hasAnything(body) ? null : invalidRequest("One of 'input', 'previous_response_id', 'prompt' or 'conversation' must be provided.", 'input', 'missing_required_parameter')
}

const hasAnything = (body: Loose): boolean => body.input !== undefined || Boolean(body.previous_response_id ?? body.prompt ?? body.conversation)

/** Strict mode wants every object closed and every property required. */
export function schemaRefusal(format: Loose): OpenAiRefusal | null {
  if (typeof format.name !== 'string' || !/^[\w-]{1,64}$/.test(format.name)) return invalidRequest("Missing required parameter: 'text.format.name'.", 'text.format.name', 'missing_required_parameter')
  const fault = format.strict === true ? strictFault(format.schema as Loose | undefined, []) : null
  return fault === null ? null : invalidRequest(`Invalid schema for response_format '${format.name}': ${fault}`, 'text.format.schema', 'invalid_json_schema')
}

function strictFault(schema: Loose | undefined, path: string[]): string | null {
  if (typeof schema !== 'object' || schema === null) return null
  const where = `In context=(${path.map((part) => `'${part}'`).join(', ')})`
  const properties = schema.properties as Record<string, Loose> | undefined
  if (properties) {
    if (schema.additionalProperties !== false) return `${where}, 'additionalProperties' is required to be supplied and to be false.`
    const required = new Set((schema.required as string[] | undefined) ?? [])
    const missing = Object.keys(properties).find((key) => !required.has(key))
    if (missing) return `${where}, 'required' is required to be supplied and to be an array including every key in properties. Missing '${missing}'.`
    for (const [key, inner] of Object.entries(properties)) {
      const fault = strictFault(inner, [...path, 'properties', key])
      if (fault) return fault
    }
  }
  return strictFault(schema.items as Loose | undefined, [...path, 'items'])
}

type Context = { conversation: Conversation | null; previous: string | null; items: Item[] }

function contextOf(world: World, owner: string, body: Loose): Context | OpenAiRefusal {
  const given = body.conversation as string | { id?: string } | null | undefined
  if (given) {
    const id = typeof given === 'string' ? given : String(given.id)
    const conversation = world.conversations.get(owner, id)
    if (!conversation) return notFound(`Conversation with id '${id}' not found.`)
    return conversation.locked ? locked : { conversation, previous: null, items: conversation.items }
  }
  const previous = body.previous_response_id
  if (typeof previous !== 'string') return { conversation: null, previous: null, items: [] }
  const stored = world.responses.get(owner, previous)
  if (!stored) return invalidRequest(`Previous response with id '${previous}' not found.`, 'previous_response_id', 'previous_response_not_found')
  return { conversation: null, previous, items: world.responses.contextOf(stored) }
}

export function toolsOf(tools: unknown): ToolSpec[] {
  return objects(tools).flatMap((tool) => {
    // Chat completions wrap the function, responses do not.
    const spec = objects([tool.function ?? tool])[0]
    if (tool.type !== 'function' || typeof spec?.name !== 'string') return []
    return [{ name: spec.name, description: plain(spec.description), parameters: objects([spec.parameters])[0] ?? {} }]
  })
}

export function toolChoiceOf(choice: unknown): ToolChoice {
  if (choice === 'none' || choice === 'required') return choice
  const given = choice as { name?: string; function?: { name?: string } } | undefined
  const name = given?.name ?? given?.function?.name
  return name === undefined ? 'auto' : { name }
}

function schemaOf(text: unknown): Loose | undefined {
  const format = (text as Loose | undefined)?.format as Loose | undefined
  return format?.type === 'json_schema' ? objects([format.schema])[0] : undefined
}
