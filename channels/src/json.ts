import { createHash } from 'node:crypto'
import { clip } from './text.ts'

/**
 * Narrow readers for JSON from outside. Each returns `undefined` for what is not of its type, so that a caller must say what then.
 * Hand-written because the hot path is here: a loose zod schema of the same payload costs several times as much.
 */
export type Json = Record<string, unknown>

export function record(value: unknown): Json | undefined {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Json) : undefined
}

export function list(value: unknown): unknown[] {
  return Array.isArray(value) ? value : []
}

/** Postgres stores neither U+0000 nor half a surrogate pair, and neither means anything in a message. */
function storable(value: string): string {
  const whole = value.isWellFormed() ? value : value.toWellFormed()
  return whole.includes('\u0000') ? whole.replaceAll('\u0000', '') : whole
}

/** A string for people, cut at `max` UTF-16 units; an empty one is `undefined`. */
export function text(value: unknown, max: number): string | undefined {
  if (typeof value !== 'string' || value.length === 0) return undefined
  return storable(clip(value, max)) || undefined
}

/** An identifier: a string of 1 to `max` characters without control characters, or a whole number. Never cut: half an id is another id. */
export function id(value: unknown, max = 512): string | undefined {
  if (typeof value === 'number' && Number.isSafeInteger(value)) return String(value)
  if (typeof value !== 'string' || value.length === 0 || value.length > max) return undefined
  // eslint-disable-next-line no-control-regex -- control characters are what is looked for
  return value.isWellFormed() && !/[\u0000-\u001f\u007f]/.test(value) ? value : undefined
}

/** A finite number, also from a numeric string (`1e999` is valid JSON and reads as Infinity). */
export function number(value: unknown): number | undefined {
  const parsed = typeof value === 'string' && value.length <= 32 && value.trim() !== '' ? Number(value) : value
  return typeof parsed === 'number' && Number.isFinite(parsed) ? parsed : undefined
}

/** An absolute http(s) address of at most 4,096 characters. */
export function webUrl(value: unknown): string | undefined {
  if (typeof value !== 'string' || value.length > 4096 || !/^https?:\/\//i.test(value) || /[\s\u0000-\u001f]/.test(value)) return undefined
  return value.isWellFormed() && URL.canParse(value) ? value : undefined
}

const YEAR_2000_MS = 946_684_800_000
const YEAR_2100_MS = 4_102_444_800_000

/** Unix milliseconds from seconds or milliseconds, number or string; `nowMs` when it is no plausible time. */
export function timeMs(value: unknown, nowMs: number): number {
  const parsed = number(value)
  if (parsed === undefined) return nowMs
  const ms = Math.round(parsed < 100_000_000_000 ? parsed * 1000 : parsed)
  return ms >= YEAR_2000_MS && ms <= YEAR_2100_MS ? ms : nowMs
}

const RAW_DEPTH_MAX = 24

function rawCopy(value: unknown, depth: number): unknown {
  if (typeof value === 'string') return storable(value)
  if (typeof value === 'number') return Number.isFinite(value) ? value : null
  if (typeof value !== 'object' || value === null) return value
  if (depth >= RAW_DEPTH_MAX) return '[nested too deeply]'
  if (Array.isArray(value)) return value.map((item) => rawCopy(item, depth + 1))
  const copy: Json = {}
  for (const [key, item] of Object.entries(value)) {
    if (key !== '__proto__') copy[storable(key)] = rawCopy(item, depth + 1)
  }
  return copy
}

/** A copy that can be stored and serialised whatever it was: bounded depth, no `__proto__`, no half characters. Something that is no object is wrapped. */
export function raw(value: unknown): Json {
  const copy = rawCopy(value, 0)
  return record(copy) ?? { value: copy }
}

/** The same content always gives the same id; for events that the supplier does not number. */
export function contentId(prefix: string, value: unknown): string {
  const digest = createHash('sha256').update(JSON.stringify(raw(value))).digest('hex')
  return `${clip(prefix, 200)}:${digest.slice(0, 40)}`
}

/** Parts joined with `:`, shortened to a digest where that would pass 512 characters. */
export function joinedId(...parts: (string | number)[]): string {
  const joined = parts.join(':')
  return joined.length <= 512 ? joined : contentId(String(parts[0]), joined)
}
