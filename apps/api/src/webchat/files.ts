import type { MultipartFile } from '@fastify/multipart'
import { AppError, Id } from '@trunkline/core'
import { holdObject, webchat } from '@trunkline/db'
import { create as contentDisposition } from 'content-disposition'
import { fileTypeFromBuffer } from 'file-type'
import type { FastifyRequest } from 'fastify'
import { Readable } from 'node:stream'
import { z } from 'zod'
import type { ApiApp } from '../deps.ts'
import { ErrorResponse } from '../wire.ts'
import { ChatParams, openChat, visitorOf } from './chat.ts'
import type { ChatDeps } from './routes.ts'
import { assertRate } from './say.ts'
import { fileLink, isFileLink } from './view.ts'

/** What a visitor may send. The bytes decide, not the name and not what the browser says; nothing here can run in a page. */
const TYPES: ReadonlySet<string> = new Set([
  'image/jpeg', 'image/png', 'image/webp', 'image/gif', 'application/pdf', 'video/mp4', 'audio/mpeg', 'audio/ogg', 'audio/wav', 'audio/x-m4a',
  'application/vnd.openxmlformats-officedocument.wordprocessingml.document', 'application/vnd.openxmlformats-officedocument.spreadsheetml.sheet',
])
const SHOWN = /^image\/(jpeg|png|webp|gif)$/

const Uploaded = z
  .object({ media_id: Id, url: z.string(), mime_type: z.string(), size_bytes: z.number().int(), filename: z.string().nullable() })
  .meta({ id: 'VisitorFile', examples: [{ media_id: '0199a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b', url: 'https://api.example.com/v1/webchat/…/media/…', mime_type: 'image/png', size_bytes: 48_213, filename: 'receipt.png' }] })
const FileParams = ChatParams.extend({ media_id: Id })
const Proof = z.object({ visitor: z.string().regex(/^[\w-]{1,128}$/), expires: z.string().regex(/^[0-9a-z]{1,10}$/), signature: z.string().regex(/^[\w-]{43}$/) })

const tags = ['web chat']

export function registerFiles(app: ApiApp, deps: ChatDeps): void {
  registerUpload(app, deps)
  registerDownload(app, deps)
}

function registerUpload(app: ApiApp, { api, limits, tokens }: ChatDeps): void {
  const schema = {
    tags, summary: 'Upload a file as a visitor', description: 'multipart/form-data with one file of at most 10 MB. Its id goes into `media_id` of a message.', consumes: ['multipart/form-data'],
    params: ChatParams, response: { 201: Uploaded, 401: ErrorResponse, 403: ErrorResponse, 404: ErrorResponse, 413: ErrorResponse, 415: ErrorResponse },
  }
  app.post('/v1/webchat/:number_id/media', { config: { access: 'public', idempotent: false }, bodyLimit: limits.fileBytesMax + 65_536, schema }, async (request, reply) => {
    const chat = await openChat(api, request)
    const visitor = await visitorOf(tokens, chat, request)
    await assertRate(api, `webchat-file:${visitor.visitorId}`, limits.filesPerMinute)
    const { bytes, filename } = await readUpload(request, limits.fileBytesMax)
    const mimeType = await typeOf(bytes)
    const stored = await api.ports.mediaStore.put(visitor.tenantId, Readable.from([bytes]), { maxBytes: limits.fileBytesMax })
    const file = { storageKey: stored.key, sha256: stored.sha256, sizeBytes: stored.sizeBytes, mimeType, filename }
    const { id } = await api.db.tenant(visitor.tenantId, async (tx) => {
      await holdObject(tx, api.ports.mediaStore, file.storageKey)
      return webchat.insertFile(tx, visitor, file)
    })
    return reply.code(201).send({ media_id: id, url: fileLink(api, visitor, id), mime_type: mimeType, size_bytes: file.sizeBytes, filename })
  })
}

async function readUpload(request: FastifyRequest, maxBytes: number): Promise<{ bytes: Buffer; filename: string | null }> {
  if (!request.isMultipart()) throw new AppError('unsupported_media_type', { message: 'Send multipart/form-data with one file.', param: 'headers.content-type' })
  const part: MultipartFile | undefined = await request.file({ limits: { fileSize: maxBytes, files: 1, fields: 0 } }).catch((cause: unknown) => {
    throw new AppError('invalid_request', { message: 'The multipart body is malformed.', param: 'body', cause })
  })
  if (part === undefined) throw new AppError('invalid_request', { message: 'There is no file in the body.', param: 'body' })
  const bytes = await part.toBuffer().catch((cause: unknown) => {
    throw new AppError('payload_too_large', { details: { limit_bytes: maxBytes }, cause })
  })
  if (bytes.length === 0) throw new AppError('invalid_request', { message: 'The file is empty.', param: 'body.file' })
  return { bytes, filename: part.filename?.split(/[\\/]/).at(-1)?.replaceAll(/\p{Cc}/gu, '').toWellFormed().slice(0, 255) || null }
}

async function typeOf(bytes: Buffer): Promise<string> {
  const found = await fileTypeFromBuffer(bytes).catch(() => undefined)
  if (found !== undefined && TYPES.has(found.mime)) return found.mime
  throw new AppError('unsupported_media_type', { message: 'Pictures, PDF, Word, Excel, MP4 and sound are accepted; this file is none of them.', param: 'body.file' })
}

function registerDownload(app: ApiApp, { api }: ChatDeps): void {
  const description = 'The address comes with a message of the visitor and is good for a day. A page shows it in an `<img>`, which sends neither token nor origin: the signature is the proof.'
  const schema = { tags, summary: 'Download a file of a conversation', description, params: FileParams, querystring: Proof, produces: ['application/octet-stream'] }
  app.get('/v1/webchat/:number_id/media/:media_id', { config: { access: 'public' }, schema }, async (request, reply) => {
    const { number_id: numberId, media_id: mediaId } = request.params
    const missing = new AppError('not_found', { message: 'There is no such file, or the link has expired.' })
    if (!isFileLink(api, numberId, mediaId, request.query)) throw missing
    const number = await api.ports.routing.numberForRouting(numberId)
    if (!number || number.status === 'deleted') throw missing
    const file = await api.db.tenant(number.tenantId, (tx) => webchat.file(tx, numberId, mediaId))
    if (file === null) throw missing
    const shown = SHOWN.test(file.mimeType)
    void reply.headers({
      'content-type': file.mimeType,
      'content-length': file.sizeBytes,
      'content-disposition': contentDisposition(file.filename ?? file.id, { type: shown ? 'inline' : 'attachment' }),
      'content-security-policy': "default-src 'none'; sandbox",
      'cross-origin-resource-policy': 'cross-origin',
      'cache-control': 'private, max-age=86400, immutable',
    })
    return reply.send(await api.ports.mediaStore.get(file.storageKey))
  })
}
