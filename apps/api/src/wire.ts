import { AppError, ERROR_STATUS, Id, type ErrorType } from '@trunkline/core'
import { z } from 'zod'

// The wire is snake_case, the code camelCase, and this file is the only place that maps one to the other.
// Schemas of routes describe the WIRE: they are written in snake_case. A handler reads `fromWire(request.body)` and answers
// `toWire(row)`. Both map keys at every depth, except below the keys of OPAQUE: those values belong to somebody else (a
// supplier's settings, a JSON schema, a tenant's own fields) and pass unchanged. Dates become ISO 8601 strings, bigints decimal strings.

/** Keys whose value is passed as it is. Written in camelCase. */
export const OPAQUE = ['settings', 'credentials', 'changes', 'details', 'fields', 'metadata', 'variables', 'parameters', 'headers', 'raw', 'source', 'vendorState', 'capabilities'] as const
type Opaque = (typeof OPAQUE)[number]
const opaque: ReadonlySet<string> = new Set(OPAQUE)

type CamelKey<S extends string> = S extends `${infer Head}_${infer Tail}` ? `${Head}${Capitalize<CamelKey<Tail>>}` : S
type SnakeKey<S extends string> = S extends `${infer Head}${infer Tail}` ? (Head extends Lowercase<Head> ? `${Head}${SnakeKey<Tail>}` : `_${Lowercase<Head>}${SnakeKey<Tail>}`) : S

export type FromWire<T> = T extends readonly (infer Item)[]
  ? FromWire<Item>[]
  : T extends object
    ? { [K in keyof T as K extends string ? CamelKey<K> : K]: K extends string ? (CamelKey<K> extends Opaque ? T[K] : FromWire<T[K]>) : T[K] }
    : T

export type ToWire<T> = T extends Date | bigint
  ? string
  : T extends readonly (infer Item)[]
    ? ToWire<Item>[]
    : T extends object
      ? { [K in keyof T as K extends string ? SnakeKey<K> : K]: K extends Opaque ? T[K] : ToWire<T[K]> }
      : T

const camelKey = (key: string) => key.replace(/_([a-z0-9])/g, (_, letter: string) => letter.toUpperCase())
const snakeKey = (key: string) => key.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)

export const fromWire = <T>(value: T): FromWire<T> => mapKeys(value, camelKey, (mapped) => mapped) as FromWire<T>
export const toWire = <T>(value: T): ToWire<T> => mapKeys(value, snakeKey, (_, original) => original) as ToWire<T>

function mapKeys(value: unknown, rename: (key: string) => string, camelOf: (mapped: string, original: string) => string): unknown {
  if (value instanceof Date) return value.toISOString()
  if (typeof value === 'bigint') return value.toString()
  if (Array.isArray(value)) return value.map((item) => mapKeys(item, rename, camelOf))
  if (typeof value !== 'object' || value === null) return value
  const mapped: Record<string, unknown> = {}
  for (const [key, child] of Object.entries(value)) {
    const name = rename(key)
    mapped[name] = opaque.has(camelOf(name, key)) ? child : mapKeys(child, rename, camelOf)
  }
  return mapped
}

/** `{ id }` of a path. */
export const IdParams = z.object({ id: Id.meta({ description: 'The id of the thing', examples: ['0199a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b'] }) })

/** A point in time on the wire: ISO 8601 in UTC. */
export const Time = z.iso.datetime().meta({ examples: ['2026-11-20T09:30:00.000Z'] })

/** Opaque JSON that nobody maps; use it for the keys in OPAQUE. */
export const OpaqueJson = z.record(z.string(), z.unknown())

// ── Pages ────────────────────────────────────────────────────────────────────────────────────────────────────────────
/** Query of every list. Spread `.shape` into a larger query, or `.extend` it with filters. */
export const PageQuery = z.object({
  limit: z.coerce.number().int().min(1).max(100).default(20).meta({ description: 'Items in a page', examples: [20] }),
  cursor: z.string().min(1).max(512).optional().meta({ description: '`next_cursor` of the page before' }),
})

/** Answer of every list. Newest first unless the route says otherwise. */
export const pageOf = <Item extends z.ZodType>(item: Item) =>
  z.object({ data: z.array(item), has_more: z.boolean(), next_cursor: z.string().nullable().meta({ description: 'Null on the last page' }) })

const CURSOR_VERSION = '1'
export const encodeCursor = (...parts: string[]): string => Buffer.from(JSON.stringify([CURSOR_VERSION, ...parts])).toString('base64url')

/** The parts of a cursor of ours, or `invalid_request`. `parts` describes them, e.g. `z.tuple([Id])`. */
export function decodeCursor<Parts extends z.ZodType>(cursor: string | undefined, parts: Parts): z.infer<Parts> | undefined {
  if (cursor === undefined) return undefined
  try {
    const [version, ...rest] = z.array(z.string()).parse(JSON.parse(Buffer.from(cursor, 'base64url').toString('utf8')))
    if (version === CURSOR_VERSION) return parts.parse(rest)
  } catch {
    // Falls through: whatever is wrong with it, it is not one of ours.
  }
  throw new AppError('invalid_request', { message: 'This cursor is not one that a page gave out.', param: 'query.cursor' })
}

/** Cursor of lists that are ordered by id alone. */
export const decodeIdCursor = (cursor: string | undefined): string | undefined => decodeCursor(cursor, z.tuple([Id]))?.[0]

/** A page of rows: ask the repository for `limit + 1` and hand over what came. Rows are mapped by `toWire`. */
export function toPage<Row>(rows: Row[], limit: number, cursorOf: (row: Row) => string): { data: ToWire<Row>[]; has_more: boolean; next_cursor: string | null } {
  const page = rows.slice(0, limit)
  const last = page.at(-1)
  const more = rows.length > limit && last !== undefined
  return { data: page.map((row) => toWire(row)), has_more: more, next_cursor: more ? cursorOf(last) : null }
}

// ── Errors ───────────────────────────────────────────────────────────────────────────────────────────────────────────
const TYPES = Object.keys(ERROR_STATUS) as [ErrorType, ...ErrorType[]]

/** Added to every route by the server; routes list their successes only. */
export const ErrorResponse = z
  .object({
    error: z.object({
      type: z.enum(TYPES),
      code: z.string(),
      message: z.string(),
      param: z.string().nullable(),
      request_id: z.string(),
      retry_after_ms: z.number().int().optional(),
      details: z.record(z.string(), z.unknown()).optional(),
    }),
  })
  .meta({
    id: 'Error',
    examples: [{ error: { type: 'invalid_request_error', code: 'invalid_request', message: 'Must be 1 to 255 characters.', param: 'body.name', request_id: 'req_0199a1b2c3d4' } }],
  })

/** Answer of a DELETE and of actions that have nothing to tell. */
export const Done = z.object({ ok: z.literal(true) }).meta({ id: 'Done', examples: [{ ok: true }] })
