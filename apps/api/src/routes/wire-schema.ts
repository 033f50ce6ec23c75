import type { Page } from '@trunkline/db'
import { z } from 'zod'
import { encodeCursor, OPAQUE, type ToWire, toWire } from '../wire.ts'

/** A list's answer from a repository's page. */
export function wirePage<Row, Item>(page: Page<Row>, item: (row: Row) => Item): { data: Item[]; has_more: boolean; next_cursor: string | null } {
  return { data: page.items.map(item), has_more: page.next !== null, next_cursor: page.next === null ? null : encodeCursor(page.next) }
}

const snakeKey = (key: string): string => key.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)
const opaque: ReadonlySet<string> = new Set(OPAQUE)

/**
 * The wire's view of one of core's schemas: the same rules under snake_case names, and strict, so that a misspelt field is
 * refused with its path. Values under the keys of OPAQUE stay as they are. It keeps core the single source of what a prompt
 * or a message may be, in OpenAPI too.
 */
export function wireSchema<Schema extends z.ZodType>(schema: Schema): z.ZodType<ToWire<z.output<Schema>>, ToWire<z.input<Schema>>> {
  return convert(schema) as unknown as z.ZodType<ToWire<z.output<Schema>>, ToWire<z.input<Schema>>>
}

function convert(schema: z.core.$ZodType): z.core.$ZodType {
  if (schema instanceof z.ZodObject) {
    const shape = Object.entries(schema.shape as z.core.$ZodShape).map(([key, value]) => [snakeKey(key), opaque.has(key) ? value : convert(value)])
    return schema.clone({ ...schema.def, shape: Object.fromEntries(shape), catchall: z.never() })
  }
  if (schema instanceof z.ZodArray) return schema.clone({ ...schema.def, element: convert(schema.element) })
  if (schema instanceof z.ZodDiscriminatedUnion) return schema.clone({ ...schema.def, options: schema.options.map((option) => convert(option)) })
  if (schema instanceof z.ZodUnion) return schema.clone({ ...schema.def, options: schema.options.map((option) => convert(option)) })
  // The value of a default is the same under both spellings (arrays, empty objects, scalars).
  if (schema instanceof z.ZodOptional || schema instanceof z.ZodNullable || schema instanceof z.ZodDefault || schema instanceof z.ZodPrefault) {
    return z.core.clone<z.core.$ZodType>(schema, { ...schema.def, innerType: convert(schema.def.innerType) } as never)
  }
  return schema
}

/** Content of a message on the wire. Form data of a customer keeps the supplier's own keys. */
export function contentToWire(content: Record<string, unknown>): Record<string, unknown> {
  const wire = toWire(content) as Record<string, unknown>
  return 'data' in content ? { ...wire, data: content['data'] } : wire
}
