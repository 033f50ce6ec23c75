import type { FoundLead } from './lead.ts'
import { plain } from '../../plain.ts'

type Schema = Record<string, unknown>
type Defs = Record<string, Schema>

/** JSON that the schema allows, filled with what the lead tells; names of properties decide what goes where. */
export function fillSchema(schema: Schema, lead: FoundLead): unknown {
  return fill(schema, '', lead, (schema.$defs ?? schema.definitions ?? {}) as Defs)
}

function fill(given: Schema, key: string, lead: FoundLead, defs: Defs): unknown {
  const { schema, nullable } = resolve(given, defs)
  if (schema.const !== undefined) return schema.const
  if (isType(schema, 'object') || schema.properties) return fillObject(schema, lead, defs)
  const known = valueFor(key, lead)
  if (Array.isArray(schema.enum)) return fitEnum(schema.enum, known, nullable)
  if (isType(schema, 'array')) return fillArray(schema, key, lead, defs)
  if (isType(schema, 'boolean')) return typeof known === 'boolean' ? known : nullable ? null : known !== null && known !== undefined
  if (isType(schema, 'integer') || isType(schema, 'number')) return fitNumber(schema, known, nullable)
  if (isType(schema, 'null')) return null
  if (typeof known === 'string') return known.slice(0, Number(schema.maxLength ?? known.length))
  return nullable ? null : fallbackString(schema, lead)
}

/** Looks through $ref, anyOf/oneOf with null, and `type: [..., "null"]`. */
function resolve(given: Schema, defs: Defs): { schema: Schema; nullable: boolean } {
  if (typeof given.$ref === 'string') return resolve(defs[given.$ref.split('/').at(-1)!] ?? {}, defs)
  const options = (given.anyOf ?? given.oneOf) as Schema[] | undefined
  if (options) {
    const real = options.find((option) => option.type !== 'null') ?? { type: 'null' }
    return { schema: resolve(real, defs).schema, nullable: options.some((option) => option.type === 'null') }
  }
  const nullable = given.nullable === true || (Array.isArray(given.type) && given.type.includes('null')) || (Array.isArray(given.enum) && given.enum.includes(null))
  return { schema: given, nullable }
}

const isType = ({ type }: Schema, name: string): boolean => type === name || (Array.isArray(type) && type.includes(name) && type.find((one) => one !== 'null') === name)

function fillObject(schema: Schema, lead: FoundLead, defs: Defs): Record<string, unknown> {
  const properties = (schema.properties ?? {}) as Record<string, Schema>
  return Object.fromEntries(Object.entries(properties).map(([key, inner]) => [key, fill(inner, key, lead, defs)]))
}

function fillArray(schema: Schema, key: string, lead: FoundLead, defs: Defs): unknown[] {
  const max = Number(schema.maxItems ?? 100)
  if (/evidence|message_?ids|sources?$/i.test(key)) return lead.evidence.slice(0, max)
  const known = valueFor(key.replace(/s$/, ''), lead)
  if (known !== null && known !== undefined) return [known].slice(0, max)
  return Array.from({ length: Number(schema.minItems ?? 0) }, () => fill((schema.items ?? {}) as Schema, key, lead, defs))
}

/** What the lead knows under this name; undefined: nothing goes by that name. */
function valueFor(key: string, lead: FoundLead): string | number | boolean | null | undefined {
  const name = key.replace(/[A-Z]/g, (letter) => `_${letter}`).toLowerCase()
  if (/e_?mail/.test(name)) return lead.email
  if (/phone|mobile|telephone/.test(name)) return lead.phone
  if (/company|organi[sz]ation|employer|business_name/.test(name)) return lead.company
  if (/budget|spend/.test(name)) return lead.budget
  if (/urgen|priority/.test(name)) return lead.urgency
  if (/demo|appointment|meeting|datetime|scheduled/.test(name)) return lead.demoTime
  if (/notif/.test(name)) return lead.notification
  if (/summary|notes?$|reason|explanation|description/.test(name)) return lead.summary
  if (/intent|interest|need|request|goal/.test(name)) return lead.intent
  if (/^fit$|fit_|_fit|qualif/.test(name)) return lead.fit
  if (/engage|sentiment/.test(name)) return lead.engagement
  if (/first_name/.test(name)) return lead.name?.split(' ')[0] ?? null
  if (/last_name|surname/.test(name)) return lead.name?.split(' ').slice(1).join(' ') || null
  if (/name|customer|contact/.test(name)) return lead.name
  if (/score|confidence|probability/.test(name)) return { poor: 25, fair: 50, good: 75, excellent: 95 }[lead.fit ?? 'poor']
  return undefined
}

function fitEnum(options: unknown[], known: unknown, nullable: boolean): unknown {
  const match = options.find((option) => option !== null && plain(option) !== '' && plain(option).toLowerCase() === plain(known).toLowerCase())
  if (match !== undefined) return match
  return nullable ? null : options[0]
}

function fitNumber(schema: Schema, known: unknown, nullable: boolean): number | null {
  const wanted = typeof known === 'number' ? known : Number.parseFloat(plain(known).replace(/[^\d.]/g, ''))
  if (Number.isNaN(wanted)) return nullable ? null : Number(schema.minimum ?? 0)
  const max = Number(schema.maximum ?? Number.MAX_SAFE_INTEGER)
  const scaled = max <= 1 && wanted > 1 ? wanted / 100 : wanted
  const bounded = Math.min(max, Math.max(Number(schema.minimum ?? -Number.MAX_SAFE_INTEGER), scaled))
  return isType(schema, 'integer') ? Math.round(bounded) : bounded
}

/** A required string that nothing answers: formats are kept, else a summary. */
function fallbackString(schema: Schema, lead: FoundLead): string {
  if (schema.format === 'date-time') return new Date(0).toISOString()
  if (schema.format === 'date') return '1970-01-01'
  if (schema.format === 'email') return 'unknown@example.com'
  if (schema.format === 'uuid') return '00000000-0000-4000-8000-000000000000'
  return lead.summary.slice(0, Number(schema.maxLength ?? 1000))
}
