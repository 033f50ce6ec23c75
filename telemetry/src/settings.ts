import { z } from 'zod'

// What operators tell processes: the pieces that the environment of every app is made of, and one way to say what is wrong with it.

export const webUrl = z.url({ protocol: /^https?$/ }).transform((url) => url.replace(/\/+$/, ''))
/** Separated by commas. */
export const list = z.string().transform((text) => text.split(',').map((part) => part.trim()).filter((part) => part !== ''))
export const count = (fallback: number, { min = 1, max = Number.MAX_SAFE_INTEGER }: { min?: number; max?: number } = {}) => z.coerce.number().int().min(min).max(max).default(fallback)
export const port = (fallback: number) => z.coerce.number().int().min(0).max(65_535).default(fallback)
export const logLevel = z.enum(['debug', 'info', 'warn', 'error', 'silent']).default('info')

/** Throws one Error that lists every fault by name. Values are never repeated: they may be secrets. What is set to nothing is not set. */
export function readSettings<Schema extends z.ZodType>(schema: Schema, source: Record<string, string | undefined>): z.output<Schema> {
  const given = Object.fromEntries(Object.entries(source).filter(([, value]) => value !== undefined && value !== ''))
  const parsed = schema.safeParse(given)
  if (parsed.success) return parsed.data
  const faults = parsed.error.issues.map((issue) => `  ${issue.path.join('.')}: ${given[String(issue.path[0])] === undefined ? 'is missing' : issue.message}`)
  throw new Error(`The environment is not complete:\n${faults.join('\n')}`)
}
