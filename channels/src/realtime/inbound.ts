import type { z } from 'zod'
import { CLIENT_EVENTS, type ClientEvent, type ClientEventType } from './client-events.ts'
import { quoted, refuse, type Refusal, type RealtimeErrorCode } from './errors.ts'
import { LIMITS } from './limits.ts'

/** One message of a client, understood or refused. `eventId` is the client's own and goes into the error event. */
export type Parsed = { ok: true; event: ClientEvent } | { ok: false; refusal: Refusal; eventId: string | null }

/** Never throws. The host limits the size of a message before (`LIMITS.messageBytes`). */
export function parseClientMessage(message: string): Parsed {
  let value: unknown
  try {
    value = JSON.parse(message)
  } catch {
    return { ok: false, refusal: refuse('invalid_json', 'The message is not valid JSON.'), eventId: null }
  }
  return parseClientEvent(value)
}

export function parseClientEvent(value: unknown): Parsed {
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    return { ok: false, refusal: refuse('invalid_type', 'Invalid type: an event is a JSON object.'), eventId: null }
  const eventId = eventIdOf(value)
  const type: unknown = Object.hasOwn(value, 'type') ? (value as { type: unknown }).type : undefined
  if (typeof type !== 'string' || !isClientEventType(type)) return { ok: false, refusal: wrongType(type), eventId }
  const parsed = CLIENT_EVENTS[type].safeParse(value)
  if (parsed.success) return { ok: true, event: parsed.data }
  return { ok: false, refusal: refusalOf(parsed.error, value), eventId }
}

export const isClientEventType = (type: string): type is ClientEventType => Object.hasOwn(CLIENT_EVENTS, type)

function eventIdOf(value: object): string | null {
  const id: unknown = (value as { event_id?: unknown }).event_id
  return typeof id === 'string' && id.length <= LIMITS.eventId ? id.toWellFormed() : null
}

function wrongType(type: unknown): Refusal {
  if (type === undefined) return refuse('missing_required_parameter', "Missing required parameter: 'type'.", 'type')
  if (typeof type !== 'string') return refuse('invalid_type', "Invalid type for 'type': expected a string.", 'type')
  return refuse('invalid_value', `Invalid value: ${quoted(type)}. Supported values are: ${listed(Object.keys(CLIENT_EVENTS))}.`, 'type')
}

const listed = (values: readonly unknown[]): string => values.map((value) => `'${String(value)}'`).join(', ')

/** The first fault, as OpenAI words it: what, where, and what would be right. */
export function refusalOf(error: z.ZodError, value: unknown, prefix = ''): Refusal {
  const issue = error.issues[0]
  if (!issue) return refuse('invalid_value', 'The event is not valid.')
  return describe(issue, value, prefix)
}

type Issue = z.core.$ZodIssue

function describe(issue: Issue, root: unknown, prefix: string): Refusal {
  const param = paramOf(issue.path, prefix)
  const given = at(root, issue.path)
  if (issue.code === 'unrecognized_keys') return unknownKey(issue.keys[0] ?? '', param)
  if (given === undefined && !isOurs(issue)) return refuse('missing_required_parameter', `Missing required parameter: '${param}'.`, param)
  if (issue.code === 'invalid_type')
    return refuse('invalid_type', `Invalid type for '${param}': expected ${named(issue.expected)}, but got ${kindOf(given)} instead.`, param)
  if (issue.code === 'invalid_value') return refuse('invalid_value', `Invalid value${shown(given)}. Supported values are: ${listed(issue.values)}.`, param)
  if (issue.code === 'invalid_union') return ofUnion(issue, given, param, root, prefix)
  if (issue.code === 'too_big' || issue.code === 'too_small') return ofSize(issue, param)
  return refuse(codeOf(issue), `Invalid '${param}': ${issue.message}.`, param)
}

function unknownKey(key: string, parent: string): Refusal {
  const param = parent === '' ? quoted(key).slice(1, -1) : `${parent}.${quoted(key).slice(1, -1)}`
  return refuse('unknown_parameter', `Unknown parameter: '${param}'.`, param)
}

/** A discriminator that names no branch has options; in a union by shape the branch that came furthest tells what is wrong. */
function ofUnion(issue: Extract<Issue, { code: 'invalid_union' }>, given: unknown, param: string, root: unknown, prefix: string): Refusal {
  if ('options' in issue && Array.isArray(issue.options))
    return refuse('invalid_value', `Invalid value${shown(given)}. Supported values are: ${listed(issue.options)}.`, param)
  const inner = issue.errors.map((issues) => issues[0]).filter((first) => first !== undefined)
  const deepest = inner.toSorted((a, b) => rank(b) - rank(a))[0]
  if (!deepest) return refuse('invalid_value', `Invalid value for '${param}'.`, param)
  return describe({ ...deepest, path: [...issue.path, ...deepest.path] }, root, prefix)
}

/** A branch that got past the type of the value itself knows more. */
const rank = (issue: Issue): number => issue.path.length * 2 + (issue.code === 'invalid_type' ? 0 : 1)

function ofSize(issue: Extract<Issue, { code: 'too_big' | 'too_small' }>, param: string): Refusal {
  const limit = issue.code === 'too_big' ? issue.maximum : issue.minimum
  const [side, bound] = issue.code === 'too_big' ? ['above_max', 'maximum'] : ['below_min', 'minimum']
  if (issue.origin === 'string') return refuse(`string_${side}_length` as RealtimeErrorCode, `Invalid '${param}': the ${bound} length is ${limit}.`, param)
  if (issue.origin === 'array')
    return refuse(`array_${side}_length` as RealtimeErrorCode, `Invalid '${param}': the ${bound} number of elements is ${limit}.`, param)
  const kind = FRACTIONS.test(param) ? 'decimal' : 'integer'
  return refuse(`${kind}_${side}_value` as RealtimeErrorCode, `Invalid '${param}': the ${bound} value is ${limit}.`, param)
}

/** Numbers that need not be whole; zod does not say which were meant to be. */
const FRACTIONS = /\.(threshold|speed|strength|retention_ratio)$/

const isOurs = (issue: Issue): boolean => issue.code === 'custom' && issue.params !== undefined

function codeOf(issue: Issue): RealtimeErrorCode {
  const code: unknown = issue.code === 'custom' ? issue.params?.code : undefined
  return code === 'not_supported' || code === 'invalid_type' ? code : 'invalid_value'
}

/** `session.tools[2].name`, as OpenAI writes it. */
function paramOf(path: readonly PropertyKey[], prefix: string): string {
  const written = path.reduce<string>(
    (text, key) => text + (typeof key === 'number' ? `[${key}]` : `${text === '' ? '' : '.'}${quoted(String(key)).slice(1, -1)}`),
    prefix,
  )
  return written
}

function at(root: unknown, path: readonly PropertyKey[]): unknown {
  return path.reduce<unknown>(
    (value, key) => (typeof value === 'object' && value !== null && Object.hasOwn(value, key) ? (value as Record<PropertyKey, unknown>)[key] : undefined),
    root,
  )
}

const shown = (given: unknown): string =>
  typeof given === 'string' ? `: ${quoted(given)}` : typeof given === 'number' || typeof given === 'boolean' ? `: ${given}` : ''
const named = (expected: string): string => (expected === 'int' ? 'an integer' : /^[aeiou]/.test(expected) ? `an ${expected}` : `a ${expected}`)
const kindOf = (given: unknown): string =>
  given === null ? 'null' : Array.isArray(given) ? 'an array' : /^[ou]/.test(typeof given) ? `an ${typeof given}` : `a ${typeof given}`
