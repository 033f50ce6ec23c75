import { readdirSync, readFileSync } from 'node:fs'
import { z } from 'zod'
import type { Happening } from '../../src/realtime/index.ts'

/**
 * Recorded orders of events, written by hand from the reference. In a fixture `$name` stands for an id: the first time it
 * is learned, later it must be the same. Only the fields that are written are compared; lists are compared whole.
 */
const folder = new URL('../../src/realtime/fixtures/', import.meta.url)
const Json = z.record(z.string(), z.unknown())

export const Golden = z.strictObject({
  name: z.string(),
  playout: z.enum(['client', 'server']).default('client'),
  mode: z.enum(['realtime', 'transcription']).default('realtime'),
  /** The first scene has neither `send` nor `happen`: it is what the session says when it begins. */
  scenes: z.array(z.strictObject({ send: Json.optional(), happen: Json.optional(), expect: z.array(Json), effects: z.array(Json).optional() })),
})
export type Golden = z.infer<typeof Golden>

export const goldens = (): Golden[] =>
  readdirSync(folder)
    .filter((file) => file.endsWith('.json'))
    .map((file) => Golden.parse(JSON.parse(readFileSync(new URL(file, folder), 'utf8'))))

export type Names = Map<string, unknown>

/** Ids in place of their names, and `silence:<ms>` as that much PCM in base64. */
export function filled<Value>(value: Value, names: Names): Value {
  if (Array.isArray(value)) return value.map((entry: unknown) => filled(entry, names)) as Value
  if (typeof value === 'object' && value !== null) return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, filled(inner, names)])) as Value
  if (typeof value !== 'string') return value
  const silence = /^silence:(\d+)$/.exec(value)
  if (silence) return Buffer.alloc(Number(silence[1]) * 48).toString('base64') as Value
  return (value.startsWith('$') ? (names.get(value) ?? value) : value) as Value
}

/** Where the first difference is, or null. */
export function difference(expected: unknown, actual: unknown, names: Names, path = ''): string | null {
  if (typeof expected === 'string' && expected.startsWith('$')) {
    if (!names.has(expected)) names.set(expected, actual)
    return names.get(expected) === actual ? null : `${path}: expected ${expected} = ${String(names.get(expected))}, got ${String(actual)}`
  }
  if (typeof expected !== 'object' || expected === null)
    return Object.is(expected, actual) ? null : `${path}: expected ${JSON.stringify(expected)}, got ${JSON.stringify(actual)}`
  if (typeof actual !== 'object' || actual === null) return `${path}: expected an object, got ${JSON.stringify(actual)}`
  if (Array.isArray(expected) && (!Array.isArray(actual) || actual.length !== expected.length))
    return `${path}: expected ${expected.length} entries, got ${JSON.stringify(actual)}`
  for (const [key, inner] of Object.entries(expected)) {
    const found = difference(inner, (actual as Record<string, unknown>)[key], names, `${path}.${key}`)
    if (found) return found
  }
  return null
}

export const happeningOf = (value: Record<string, unknown>): Happening => value as Happening
