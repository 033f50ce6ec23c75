import type { Transcript } from '../transcript.ts'
import { latestWords } from '../transcript.ts'
import { learn } from './details.ts'
import { findTime } from './when.ts'
import { plain } from '../../plain.ts'

type Schema = Record<string, unknown>

/** Arguments for a tool out of what the customer said; null when a required one was not said. */
export function fillArguments(parameters: Schema, transcript: Transcript): Record<string, unknown> | null {
  const properties = (parameters.properties ?? {}) as Record<string, Schema>
  const required = new Set((parameters.required as string[] | undefined) ?? [])
  const values: Record<string, unknown> = {}
  for (const [key, schema] of Object.entries(properties)) {
    const value = valueFor(key, schema, transcript)
    if (value !== undefined) values[key] = value
    else if (allowsNull(schema)) values[key] = null
    else if (required.has(key)) return null
  }
  return values
}

const typeOf = (schema: Schema): string => String(Array.isArray(schema.type) ? schema.type.find((type) => type !== 'null') : (schema.type ?? 'string'))
const allowsNull = (schema: Schema): boolean => (Array.isArray(schema.type) && schema.type.includes('null')) || (Array.isArray(schema.anyOf) && schema.anyOf.some((option: Schema) => option.type === 'null'))

function valueFor(key: string, schema: Schema, transcript: Transcript): unknown {
  const words = latestWords(transcript.turns)
  if (Array.isArray(schema.enum)) return schema.enum.find((option) => words.toLowerCase().includes(String(option).toLowerCase()))
  if (schema.const !== undefined) return schema.const
  switch (typeOf(schema)) {
    case 'integer':
    case 'number':
      return numberIn(words)
    case 'boolean':
      return !/\b(?:no|not|without|don't)\b/i.test(words)
    case 'string':
      return stringFor(key, schema, words, transcript)
    default:
      return undefined
  }
}

function numberIn(words: string): number | undefined {
  const digits = /(?<![\w+])-?\d+(?:\.\d+)?/.exec(words)?.[0]
  return digits === undefined ? undefined : Number(digits)
}

function stringFor(key: string, schema: Schema, words: string, transcript: Transcript): string | undefined {
  const details = learn(transcript.turns)
  const hint = `${key} ${plain(schema.description)}`.toLowerCase()
  if (/e-?mail/.test(hint)) return details.email
  if (/phone|mobile|telephone/.test(hint)) return details.phone
  if (/company|organi[sz]ation/.test(hint)) return details.company
  if (/(?:^|_|\b)(?:id|no|nr|number|code|reference|sku|order)(?:\b|_|$)/.test(hint)) return referenceIn(words)
  if (/date|time|when|slot/.test(hint)) return findTime(words, new Date())
  if (/name/.test(key)) return details.name
  if (/city|place|location/.test(hint)) return /\b(?:in|at|to|from|near)\s+(\p{Lu}[\p{L}-]+(?:\s\p{Lu}[\p{L}-]+)?)/u.exec(words)?.[1]
  return words.slice(0, 500)
}

/** `A-1001`, `#1001`, `ORD1001`, `1001`: the thing with a digit in it. */
function referenceIn(words: string): string | undefined {
  return /#?\b((?:[A-Z]{1,5}-?)?\d{1,12}(?:-[A-Z\d]+)*|[A-Za-z]+-\d[\w-]*)\b/.exec(words.replace(/[\w.+-]+@\S+/g, ' '))?.[1]
}
