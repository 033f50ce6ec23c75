import { z } from 'zod'
import { LIMITS } from './limits.ts'

/** Nesting of a value, counted until `limit` only: what is deeper is deep enough to refuse. */
function isDeeperThan(value: unknown, limit: number): boolean {
  if (typeof value !== 'object' || value === null) return false
  if (limit === 0) return true
  return Object.values(value).some((inner) => isDeeperThan(inner, limit - 1))
}

/**
 * Free-form JSON of the client's own (tool parameters, prompt variables). It is repeated in our events and in the stored
 * state, so its depth and size are bounded: `JSON.stringify` is recursive and would throw on what `JSON.parse` accepts.
 */
export const JsonObject = z.unknown().superRefine((value, context) => {
  const fault = faultOf(value)
  if (fault !== null) context.addIssue({ code: 'custom', message: fault, params: { code: fault === NOT_AN_OBJECT ? 'invalid_type' : 'invalid_value' } })
})

const NOT_AN_OBJECT = 'expected an object'

function faultOf(value: unknown): string | null {
  if (value === undefined) return null
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return NOT_AN_OBJECT
  if (isDeeperThan(value, LIMITS.jsonDepth)) return `expected at most ${LIMITS.jsonDepth} levels`
  return JSON.stringify(value).length > LIMITS.json ? `expected at most ${LIMITS.json} characters of JSON` : null
}

/** Text that JSON and Postgres can hold: whole characters, no U+0000. */
export const text = (max: number) =>
  z
    .string()
    .max(max)
    .refine((value) => value.isWellFormed() && !value.includes('\u0000'), 'expected well-formed text without U+0000')

/** An id that a client chose: it travels in URLs, logs and other ids. */
export const ClientId = z
  .string()
  .min(1)
  .max(LIMITS.id)
  .regex(/^[\w-]+$/, 'expected letters, digits, _ or -')

export const Metadata = z
  .record(z.string().min(1).max(LIMITS.metadataKey), text(LIMITS.metadataValue))
  .refine((pairs) => Object.keys(pairs).length <= LIMITS.metadataPairs, `expected at most ${LIMITS.metadataPairs} pairs`)
