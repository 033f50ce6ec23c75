import type { LogFields, Logger } from '@trunkline/core'
import { pino, type DestinationStream } from 'pino'

/** Values under these names are never written, whatever they are. */
const SECRET_NAME = /pass(word|phrase)|secret|token|authorization|cookie|credential|api_?key|private_?key|signature|^key$/i
/** Names that only look like it. */
const HARMLESS_NAME = /(secret|token)_?(name|count)s?$|tokens$/i
const PERSONAL_NAME = /pii/i

// What gives itself away wherever it stands: our keys and links, JWTs, bearer tokens, vendor keys, e-mail addresses.
const PATTERNS: [RegExp, string][] = [
  [/\btl_(?:live|stage|dev)_[0-9A-Za-z]+_?[0-9A-Za-z]*/g, '[api key]'],
  [/\btl[rvpi]_[\w-]{20,}/g, '[token]'],
  [/\beyJ[\w-]{8,}\.[\w-]+\.[\w-]*/g, '[jwt]'],
  [/\bBearer\s+[^\s"\\]+/gi, 'Bearer [redacted]'],
  [/\b(?:sk|gsk|xai|EAA|IGAA)[-_A-Za-z0-9]{16,}/g, '[vendor key]'],
  [/\b(?:password|pwd|access_token|secret)=[^&\s"\\]+/gi, '[redacted]'],
  [/:\/\/[^/\s:@"]+:[^/\s@"]+@/g, '://[redacted]@'],
  [/[\w.+-]+@[\w-]+\.[\w.-]+/g, '[e-mail]'],
]

const DEPTH_MAX = 6

/** JSON lines: a static message, and fields without secrets. `level` is pino's. */
export function createLog({ level = 'info', name, destination }: { level?: string; name: string; destination?: DestinationStream }): Logger {
  const options = {
    level,
    base: { name },
    timestamp: pino.stdTimeFunctions.isoTime,
    messageKey: 'message',
    hooks: { streamWrite: scrub },
  }
  const out = destination === undefined ? pino(options) : pino(options, destination)
  const clean = (fields: LogFields) => redact(fields, 0) as object
  return {
    debug: (fields, message) => out.debug(clean(fields), message),
    info: (fields, message) => out.info(clean(fields), message),
    warn: (fields, message) => out.warn(clean(fields), message),
    error: (fields, message) => out.error(clean(fields), message),
  }
}

const scrub = (line: string): string => PATTERNS.reduce((text, [pattern, instead]) => text.replace(pattern, instead), line)

function redact(value: unknown, depth: number): unknown {
  if (value instanceof Error) return describe(value, depth)
  if (typeof value === 'bigint') return value.toString()
  if (Buffer.isBuffer(value) || value instanceof Uint8Array) return `[${value.length} bytes]`
  if (typeof value !== 'object' || value === null || value instanceof Date) return value
  if (depth >= DEPTH_MAX) return '[deeper]'
  if (Array.isArray(value)) return value.slice(0, 50).map((item) => redact(item, depth + 1))
  return Object.fromEntries(Object.entries(value).map(([name, child]) => [name, redactNamed(name, child, depth)]))
}

function redactNamed(name: string, value: unknown, depth: number): unknown {
  if (PERSONAL_NAME.test(name)) return mask(value)
  if (SECRET_NAME.test(name) && !HARMLESS_NAME.test(name) && value !== null && value !== undefined) return '[redacted]'
  return redact(value, depth + 1)
}

/** Enough to recognise what one knows, not enough to learn it. */
function mask(value: unknown): unknown {
  if (typeof value !== 'string') return value === null || value === undefined ? value : '[masked]'
  return value.length <= 4 ? '***' : `${value.slice(0, 1)}***${value.slice(-2)}`
}

/** Of an error only what is ours: `detail` and `parameters` of a database error quote rows. */
function describe(error: Error, depth: number): Record<string, unknown> {
  const { code } = error as { code?: unknown }
  return {
    type: error.name,
    message: withoutParameters(error.message),
    code: typeof code === 'string' ? code : undefined,
    stack: withoutParameters(error.stack ?? ''),
    cause: error.cause === undefined || depth >= DEPTH_MAX ? undefined : redact(error.cause, depth + 1),
  }
}

/** drizzle-orm writes the values of a failed query behind its text. */
const withoutParameters = (text: string): string => text.replace(/\nparams:[^\n]*/g, '')
