import { AppError, toWireError, type ErrorCode } from '@trunkline/core'

/** As much of JSON Schema 2020-12 as zod writes. */
export type JsonSchema = {
  $ref?: string
  examples?: unknown[]
  default?: unknown
  const?: unknown
  enum?: unknown[]
  type?: string | string[]
  format?: string
  pattern?: string
  minLength?: number
  maxLength?: number
  minimum?: number
  exclusiveMinimum?: number
  anyOf?: JsonSchema[]
  oneOf?: JsonSchema[]
  allOf?: JsonSchema[]
  properties?: Record<string, JsonSchema>
  items?: JsonSchema
  prefixItems?: JsonSchema[]
  minItems?: number
}

type Media = { schema?: JsonSchema; example?: unknown; examples?: unknown }
type Parameter = { name: string; in: 'header' | 'path' | 'query'; description: string; required: boolean; schema: JsonSchema; example?: unknown }
type Header = { description: string; schema: JsonSchema }
export type Operation = {
  parameters?: Parameter[]
  requestBody?: { content?: Record<string, Media> }
  responses?: Record<string, { headers?: Record<string, Header>; content?: Record<string, Media> }>
  'x-idempotent'?: boolean
}
export type OpenApi = { paths?: Record<string, Record<string, Operation>>; components?: { schemas?: Record<string, JsonSchema> } }

const FORMATS: Record<string, string> = {
  uuid: '0199a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b', 'date-time': '2026-11-20T09:30:00.000Z', date: '2026-11-20', email: 'ada@example.com', uri: 'https://example.com/hook',
}
const DEPTH_MAX = 8

/** The code that a status most often means. */
const ERRORS: Record<string, ErrorCode> = {
  400: 'invalid_request', 401: 'invalid_api_key', 402: 'insufficient_credit', 403: 'permission_denied', 404: 'not_found', 409: 'invalid_state', 413: 'payload_too_large', 415: 'unsupported_media_type',
  429: 'rate_limited', 500: 'internal', 502: 'upstream_failed', 503: 'unavailable', 504: 'upstream_timeout',
}
const REQUEST_ID = 'req_0199a1b2c3d47e5f8a9b0c1d2e3f4a5b'

/**
 * Gives every body and every answer an example: the schema's own where somebody wrote one, else one that is put together from
 * those of its parts. So a route cannot be without.
 */
export function addExamples(document: OpenApi): void {
  const schemas = document.components?.schemas ?? {}
  const complete = (media: Media, status: string) => {
    if (media.example !== undefined || media.examples !== undefined || media.schema === undefined) return
    const code = media.schema.$ref?.endsWith('/Error') ? ERRORS[status] : undefined
    media.example = code === undefined ? exampleOf(media.schema, schemas) : toWireError(new AppError(code), REQUEST_ID)
  }
  for (const { requestBody, responses = {} } of Object.values(document.paths ?? {}).flatMap((methods) => Object.values(methods))) {
    for (const [status, body] of [['', requestBody] as const, ...Object.entries(responses)]) {
      for (const media of Object.values(body?.content ?? {})) complete(media, status)
    }
  }
}

export function exampleOf(schema: JsonSchema, schemas: Record<string, JsonSchema>, depth = 0): unknown {
  const inner = (child: JsonSchema) => exampleOf(child, schemas, depth + 1)
  if (schema.$ref !== undefined) return inner(schemas[schema.$ref.split('/').at(-1)!] ?? {})
  const written = schema.examples?.[0] ?? schema.const ?? schema.enum?.[0] ?? schema.default
  if (written !== undefined) return written
  if (depth > DEPTH_MAX) return null
  if (schema.allOf !== undefined) return Object.assign({}, ...schema.allOf.map(inner)) as unknown
  const choices = schema.anyOf ?? schema.oneOf
  if (choices !== undefined) return inner(choices.find((choice) => choice.type !== 'null') ?? {})
  switch ([schema.type].flat().find((type) => type !== 'null')) {
    case 'object':
      return Object.fromEntries(Object.entries(schema.properties ?? {}).map(([name, child]) => [name, inner(child)]))
    case 'array':
      return schema.prefixItems?.map(inner) ?? (schema.items === undefined ? [] : Array.from({ length: Math.max(1, schema.minItems ?? 1) }, () => inner(schema.items!)))
    case 'string':
      return stringOf(schema)
    case 'integer':
    case 'number':
      return Math.max(1, schema.minimum ?? 1, (schema.exclusiveMinimum ?? 0) + 1)
    case 'boolean':
      return true
    default:
      return null
  }
}

function stringOf(schema: JsonSchema): string {
  const known = FORMATS[schema.format ?? '']
  if (known !== undefined) return known
  // Amounts are whole numbers in strings.
  if (schema.pattern?.includes('\\d')) return '1000000'
  return 'text'.padEnd(schema.minLength ?? 0, '.')
}
