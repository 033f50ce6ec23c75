/** A JSON object from outside: nothing is known of its fields. */
export type Loose = Record<string, unknown>

/** What is wrong with a message, in Graph's words. */
export type Fault100 = { code: 100 | 131008 | 131009 | 131051; details: string }

export const isObject = (value: unknown): value is Loose => typeof value === 'object' && value !== null && !Array.isArray(value)

export const missing = (param: string): Fault100 => ({ code: 131008, details: `Param ${param} is required.` })
export const invalid = (details: string): Fault100 => ({ code: 131009, details })

/** A required string of 1 to `max` characters. */
export function textFault(value: unknown, param: string, max: number): Fault100 | null {
  if (value === undefined || value === null || value === '') return missing(param)
  if (typeof value !== 'string') return invalid(`Param ${param} must be a string.`)
  return value.length > max ? { code: 100, details: `Param ${param} must be at most ${max} characters long.` } : null
}

export function optionalTextFault(value: unknown, param: string, max: number): Fault100 | null {
  return value === undefined ? null : textFault(value, param, max)
}

export function firstFault(...checks: (() => Fault100 | null)[]): Fault100 | null {
  for (const check of checks) {
    const fault = check()
    if (fault) return fault
  }
  return null
}
