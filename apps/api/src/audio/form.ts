import { AppError } from '@trunkline/core'
import type { FastifyRequest } from 'fastify'
import { z } from 'zod'

/** As OpenAI's. */
export const FILE_BYTES_MAX = 25 * 1024 * 1024
const FIELD_BYTES_MAX = 64 * 1024
const FIELDS_MAX = 64
/** Around the file: the other fields and the boundaries. */
export const BODY_BYTES_MAX = FILE_BYTES_MAX + 1024 * 1024

const FORMATS = ['json', 'text', 'srt', 'verbose_json', 'vtt'] as const
const Granularity = z.enum(['word', 'segment'])
const language = z.string().regex(/^[a-zA-Z]{2,3}(-[a-zA-Z0-9]{2,8})*$/, 'a language tag: en, or en-GB')

/** What may stand in the form beside the file. Its names are OpenAI's. */
export const TranscriptionFields = z.strictObject({
  model: z.string().min(1).max(128).meta({ description: "`whisper-1`, `gpt-4o-transcribe`, `gpt-4o-mini-transcribe`, an engine's id (`deepgram`), or its model's name", examples: ['whisper-1'] }),
  language: language.optional().meta({ description: 'Not given: the recogniser finds out', examples: ['en'] }),
  prompt: z.string().max(4_000).optional().meta({ description: 'Names and words that are likely, separated by commas', examples: ['Trunkline, Ada'] }),
  response_format: z.enum(FORMATS).default('json'),
  temperature: z.coerce.number().min(0).max(1).default(0).meta({ description: 'Accepted for the sake of clients; recognisers here have none' }),
  timestamp_granularities: z.array(Granularity).max(2).default([]).meta({ description: 'With `verbose_json` only; not given: segments' }),
  stream: z.stringbool().default(false).meta({ description: 'Server-sent events: `transcript.text.delta` for each part as it is heard, `transcript.text.done` at the end' }),
  keywords: z.array(z.string().min(1).max(200)).max(100).default([]).meta({ description: 'Words and phrases that are likely' }),
  chunking_strategy: z.string().max(2_000).optional().meta({ description: 'Accepted for the sake of clients; files are cut where they are quiet' }),
})
export type TranscriptionFields = z.infer<typeof TranscriptionFields>

const LISTS: ReadonlySet<string> = new Set(['timestamp_granularities', 'keywords'])

export type TranscriptionForm = { file: Uint8Array<ArrayBuffer>; fields: TranscriptionFields }

/** Reads the whole form. Throws AppError with the field that is at fault. */
export async function readForm(request: FastifyRequest): Promise<TranscriptionForm> {
  if (!request.isMultipart()) throw new AppError('unsupported_media_type', { message: 'Send multipart/form-data with a file.', param: 'headers.content-type' })
  const raw: Record<string, unknown> = {}
  let file: Buffer | null = null
  try {
    const limits = { files: 1, fields: FIELDS_MAX, fieldSize: FIELD_BYTES_MAX, fileSize: FILE_BYTES_MAX }
    for await (const part of request.parts({ limits })) {
      if (part.type === 'field') addField(raw, part.fieldname, String(part.value))
      else if (part.fieldname === 'file') file = await part.toBuffer()
      else throw new AppError('invalid_request', { message: 'The file belongs into the field `file`.', param: `body.${part.fieldname.slice(0, 64)}` })
    }
  } catch (error) {
    throw refusal(error)
  }
  if (file === null) throw new AppError('invalid_request', { message: 'There is no file in the form: field `file`.', param: 'body.file' })
  if (file.length === 0) throw new AppError('invalid_request', { message: 'The file is empty.', param: 'body.file' })
  return { file: own(file), fields: checked(raw) }
}

/** It is given away to the thread that decodes: with its own memory, not a corner of a buffer that others use. */
const own = (bytes: Buffer): Uint8Array<ArrayBuffer> => (bytes.buffer instanceof ArrayBuffer && bytes.byteLength === bytes.buffer.byteLength ? new Uint8Array(bytes.buffer) : Uint8Array.from(bytes))

/** `name[]` and a name that comes again are lists. */
function addField(raw: Record<string, unknown>, name: string, value: string): void {
  const key = name.replace(/\[\d*\]$/, '')
  if (LISTS.has(key)) raw[key] = [...((raw[key] as string[] | undefined) ?? []), value]
  else if (key in raw) throw new AppError('invalid_request', { message: 'This field comes twice.', param: `body.${key.slice(0, 64)}` })
  else Object.defineProperty(raw, key, { value, enumerable: true, configurable: true, writable: true })
}

function checked(raw: Record<string, unknown>): TranscriptionFields {
  const parsed = TranscriptionFields.safeParse(raw)
  if (!parsed.success) {
    const [issue] = parsed.error.issues
    const name = issue?.code === 'unrecognized_keys' ? (issue.keys[0] ?? '') : (issue?.path.join('.') ?? '')
    const said = issue?.code === 'unrecognized_keys' ? 'This field is not known here.' : (issue?.message ?? 'Not valid.')
    throw new AppError('invalid_request', { message: `body.${name.slice(0, 64)}: ${said}`, param: `body.${name.slice(0, 64)}` })
  }
  const { timestamp_granularities: granularities, response_format: format } = parsed.data
  if (granularities.length > 0 && format !== 'verbose_json') throw new AppError('invalid_request', { message: 'Times are told with response_format verbose_json.', param: 'body.timestamp_granularities' })
  return parsed.data
}

/** The parser's errors carry codes (@fastify/multipart, README "Errors"). */
function refusal(error: unknown): unknown {
  if (error instanceof AppError) return error
  const code = (error as { code?: string }).code
  if (code === 'FST_REQ_FILE_TOO_LARGE') return new AppError('payload_too_large', { message: `The file is larger than ${FILE_BYTES_MAX / 1024 / 1024} MB.`, param: 'body.file', details: { limit_bytes: FILE_BYTES_MAX } })
  if (code === 'FST_FILES_LIMIT') return new AppError('invalid_request', { message: 'One file at a time.', param: 'body.file' })
  return new AppError('invalid_request', { message: 'The multipart body is malformed, or has too many fields.', param: 'body', cause: error })
}
