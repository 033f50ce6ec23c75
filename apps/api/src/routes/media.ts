import { AppError, Id } from '@trunkline/core'
import { holdObject, media, numbers, type Tx } from '@trunkline/db'
import multipart, { type MultipartFile } from '@fastify/multipart'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { z } from 'zod'
import { audit } from '../audit.ts'
import type { ApiApp, ApiDeps } from '../deps.ts'
import { decodeIdCursor, IdParams, pageOf, PageQuery, Time, toWire } from '../wire.ts'
import { inProject, projectFilter } from './caller.ts'
import { sendFile } from './file-answer.ts'
import { isFileLink } from './media-link.ts'
import { wirePage } from './wire-schema.ts'

const State = z.enum(['pending', 'stored', 'failed'])
const MediaView = z
  .object({
    id: Id,
    project_id: Id,
    number_id: Id,
    message_id: Id.nullable(),
    state: State,
    attempts: z.number().int(),
    next_attempt_at: Time.nullable(),
    error: z.string().nullable(),
    mime_type: z.string().nullable(),
    size_bytes: z.number().int().nullable(),
    sha256: z.string().nullable(),
    filename: z.string().nullable(),
    created_at: Time,
    stored_at: Time.nullable(),
  })
  .meta({ id: 'Media' })
const ListQuery = PageQuery.extend({ project_id: Id.optional(), number_id: Id.optional(), message_id: Id.optional(), state: State.optional() })
const LinkParams = z.object({ tenant_id: Id, id: Id, expires: z.string().regex(/^[0-9a-z]{1,10}$/), signature: z.string().regex(/^[\w-]{43}$/) })

/** The largest file that any channel takes (WhatsApp documents). */
const UPLOAD_BYTES_MAX = 100 * 1024 * 1024
/** What the channels can send; everything else would be refused by the supplier later. */
const UPLOAD_TYPES = /^(image\/(jpeg|png|webp|gif)|video\/(mp4|3gpp|quicktime)|audio\/(aac|amr|mpeg|mp4|ogg|wav|x-wav)|text\/(plain|csv)|application\/(pdf|zip|msword|vnd\.ms-(excel|powerpoint)|vnd\.openxmlformats-officedocument\.[a-z.]+))$/

/** For the document: files are streamed, not serialised. */
const FileAnswer = { description: 'The file', content: { 'application/octet-stream': { schema: z.string().meta({ format: 'binary' }) } } }

const tags = ['media']
const read = { access: { scope: 'media:read' } } as const
const write = { access: { scope: 'media:write' } } as const

const mediaView = ({ tenantId: _tenant, source: _source, storageKey: _key, ...row }: media.Media) => toWire(row)
const find = async (tx: Tx, request: FastifyRequest, id: Id): Promise<media.Media> => inProject(request.auth, await media.get(tx, id))

/** `/v1/media`: files of messages, in and out. */
export function registerMedia(app: ApiApp, deps: ApiDeps): void {
  // One byte more than we take: the store stops there and keeps nothing, where the parser would only cut the file short.
  void app.register(multipart, { limits: { files: 1, fields: 0, fileSize: UPLOAD_BYTES_MAX + 1, headerPairs: 50 } })
  registerReads(app, deps)
  registerUpload(app, deps)
}

function registerReads(app: ApiApp, deps: ApiDeps): void {
  const { db } = deps
  app.get('/v1/media', { config: read, schema: { tags, summary: 'List files', querystring: ListQuery, response: { 200: pageOf(MediaView) } } }, async ({ auth, query }) => {
    const filter = { projectId: projectFilter(auth, query.project_id), numberId: query.number_id, messageId: query.message_id, state: query.state }
    return wirePage(await db.tenant(auth.tenantId, (tx) => media.list(tx, filter, { limit: query.limit, before: decodeIdCursor(query.cursor) })), mediaView)
  })

  app.get('/v1/media/:id', { config: read, schema: { tags, summary: "Read a file's facts", params: IdParams, response: { 200: MediaView } } }, async (request) =>
    mediaView(await db.tenant(request.auth.tenantId, (tx) => find(tx, request, request.params.id))),
  )

  app.get('/v1/media/:id/content', { config: read, schema: { tags, summary: 'Download a file', description: 'Always as a download, never shown by the browser. Honours `Range` with one range.', params: IdParams, response: { 200: FileAnswer } } }, async (request, reply) => {
    const file = await db.tenant(request.auth.tenantId, (tx) => find(tx, request, request.params.id))
    return answerWith(deps, request, reply, file)
  })

  app.post('/v1/media/:id/retry', { config: { ...write, idempotent: false }, schema: { tags, summary: 'Fetch a file again whose download failed', params: IdParams, response: { 202: MediaView } } }, async (request, reply) => {
    const { id } = request.params
    const file = await db.tenant(request.auth.tenantId, async (tx) => {
      await find(tx, request, id)
      const due = await media.retry(tx, id)
      await audit(tx, request, { action: 'media.retried', target: { kind: 'media', id } })
      return due
    })
    await deps.ports.wakeMedia()
    return reply.code(202).send(mediaView(file))
  })

  // For suppliers, who fetch what we send. The signature stands for the right to read this one file for two days.
  app.get('/files/:tenant_id/:id/:expires/:signature', { config: { access: 'public' }, schema: { hide: true, params: LinkParams } }, async (request, reply) => {
    const { tenant_id: tenantId, id, expires, signature } = request.params
    if (!isFileLink(deps, { tenantId, id, expires, signature })) throw new AppError('not_found', { message: 'There is no such file, or the link has expired.' })
    return answerWith(deps, request, reply, await db.tenant(tenantId, (tx) => media.get(tx, id)))
  })
}

async function answerWith(deps: ApiDeps, request: FastifyRequest, reply: FastifyReply, file: media.Media): Promise<FastifyReply> {
  if (file.storageKey === null) throw new AppError('invalid_state', { message: `This file is ${file.state}.`, details: { state: file.state, error: file.error } })
  return sendFile(deps.ports.mediaStore, request, reply, { key: file.storageKey, mimeType: file.mimeType, filename: file.filename ?? file.id })
}

function registerUpload(app: ApiApp, deps: ApiDeps): void {
  const description = 'multipart/form-data with one file. The id goes into `content.media.media_id` of a message.'
  // Not idempotent by key: the fingerprint of a request does not cover a streamed file.
  const config = { ...write, idempotent: false }
  app.post('/v1/phone-numbers/:id/media', { config, bodyLimit: UPLOAD_BYTES_MAX + 65_536, schema: { tags, summary: 'Upload a file to send from this number', description, consumes: ['multipart/form-data'], params: IdParams, response: { 201: MediaView } } }, async (request, reply) => {
    const { auth, params } = request
    if (!request.isMultipart()) throw new AppError('unsupported_media_type', { message: 'Send multipart/form-data with one file.', param: 'headers.content-type' })
    const number = await deps.db.tenant(auth.tenantId, async (tx) => inProject(auth, await numbers.get(tx, params.id)))
    const part = await onlyFile(request)
    const stored = await store(deps, auth.tenantId, part)
    const file = await deps.db.tenant(auth.tenantId, async (tx) => {
      await holdObject(tx, deps.ports.mediaStore, stored.storageKey)
      const made = await media.insertStored(tx, { ...stored, tenantId: auth.tenantId, numberId: number.id, mimeType: part.mimetype, filename: safeName(part.filename) })
      await audit(tx, request, { action: 'media.uploaded', target: { kind: 'media', id: made.id }, changes: { mime_type: part.mimetype, size_bytes: stored.sizeBytes } })
      return made
    })
    return reply.code(201).send(mediaView(file))
  })
}

async function onlyFile(request: FastifyRequest): Promise<MultipartFile> {
  const part = await request.file().catch((cause: unknown) => {
    throw new AppError('invalid_request', { message: 'The multipart body is malformed.', param: 'body', cause })
  })
  if (part === undefined) throw new AppError('invalid_request', { message: 'There is no file in the body.', param: 'body' })
  if (UPLOAD_TYPES.test(part.mimetype)) return part
  // The rest of the body has to flow past, or the connection hangs.
  part.file.resume()
  throw new AppError('unsupported_media_type', { message: `Files of type ${part.mimetype.slice(0, 100)} are not accepted.`, param: 'body.file' })
}

async function store(deps: ApiDeps, tenantId: Id, part: MultipartFile) {
  const { key, sha256, sizeBytes } = await deps.ports.mediaStore.put(tenantId, part.file, { maxBytes: UPLOAD_BYTES_MAX })
  if (sizeBytes === 0) throw new AppError('invalid_request', { message: 'The file is empty.', param: 'body.file' })
  return { storageKey: key, sha256, sizeBytes }
}

/** The last part of a path, without control characters. */
const safeName = (name: string | undefined): string | null => name?.split(/[\\/]/).at(-1)?.replaceAll(/\p{Cc}/gu, '').slice(0, 255) || null
