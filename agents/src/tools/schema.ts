import { Ajv } from 'ajv'
import type { ValidateFunction } from 'ajv'

const SCHEMA_BYTES_MAX = 32_768
const CACHE_MAX = 500

/**
 * Schemas come from tenants. `pattern` is not enforced here: a tenant's regular expression runs on our thread and one bad one would
 * stop every conversation; the model still reads it and the tool's own server decides. `$ref` to elsewhere is refused by the compiler.
 */
const ajv = new Ajv({ strict: false, allErrors: true, logger: false, validateFormats: false })
ajv.removeKeyword('pattern')
ajv.removeKeyword('patternProperties')

const compiled = new Map<string, ValidateFunction>()

/** Compiling costs about a millisecond, so validators are kept by the schema's text. */
function validatorFor(schema: Record<string, unknown>): ValidateFunction {
  const key = JSON.stringify(schema)
  const found = compiled.get(key)
  if (found) return found
  if (key.length > SCHEMA_BYTES_MAX) throw new Error(`the schema is larger than ${SCHEMA_BYTES_MAX} bytes`)
  // `$id` would register the schema under a name shared by all tenants.
  const { $id: _id, ...anonymous } = schema
  const validate = ajv.compile(anonymous)
  if (compiled.size >= CACHE_MAX) compiled.delete(compiled.keys().next().value!)
  compiled.set(key, validate)
  return validate
}

/** Null when the schema can be used for a tool, else what is wrong with it. */
export function schemaFault(schema: Record<string, unknown>): string | null {
  if (schema.type !== 'object') return 'the type of a tool\'s parameters is "object"'
  try {
    validatorFor(schema)
    return null
  } catch (error) {
    return error instanceof Error ? error.message.slice(0, 300) : 'not a JSON schema'
  }
}

export type CheckedArguments = { ok: true; args: Record<string, unknown> } | { ok: false; fault: string }

const ARGUMENTS_BYTES_MAX = 65_536

/** A model's arguments, parsed and checked. The fault goes back to the model, which usually corrects itself. */
export function checkArguments(json: string, schema: Record<string, unknown>): CheckedArguments {
  if (json.length > ARGUMENTS_BYTES_MAX) return { ok: false, fault: 'the arguments are too large' }
  const args = parseObject(json.trim() === '' ? '{}' : json)
  if (!args) return { ok: false, fault: 'the arguments are not a JSON object' }
  try {
    const validate = validatorFor(schema)
    if (validate(args)) return { ok: true, args }
    return { ok: false, fault: ajv.errorsText(validate.errors, { dataVar: 'arguments' }).slice(0, 500) }
  } catch {
    return { ok: false, fault: 'the tool has no usable schema' }
  }
}

function parseObject(json: string): Record<string, unknown> | null {
  try {
    const value: unknown = JSON.parse(json)
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Record<string, unknown>) : null
  } catch {
    return null
  }
}
