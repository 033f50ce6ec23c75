import { AppError, ChannelId, Id, newId } from '@trunkline/core'
import { notices, numbers, openJson, sealJson, type archives, type Tx } from '@trunkline/db'
import type { FastifyRequest } from 'fastify'
import { z } from 'zod'
import { audit } from '../audit.ts'
import type { ApiApp, ApiDeps } from '../deps.ts'
import { decodeIdCursor, fromWire, IdParams, OpaqueJson, pageOf, PageQuery, Time, toWire } from '../wire.ts'
import { actorOf, inProject, projectFilter, projectFor } from './caller.ts'
import { describeCredentials, parseAt, rotated, webhookUrl } from './credentials.ts'
import { numberKind } from './number-kinds.ts'
import { wirePage } from './wire-schema.ts'

export const Name = z.string().trim().min(1).max(255)
const order = {
  order_mode: z.enum(['number', 'conversation']).meta({ description: '`number`: answers leave in the order of the whole number. `conversation`: of each conversation.' }),
  window_size: z.number().int().min(1).max(256).meta({ description: 'Turns under way at once on this number' }),
  coalesce_ms: z.number().int().min(0).max(60_000).meta({ description: 'Messages of one conversation that arrive within this time become one turn' }),
  head_deadline_ms: z.number().int().min(1_000).max(3_600_000).meta({ description: 'A turn that holds the line longer is parked and passed' }),
}
const Verify = z.boolean().default(true).meta({ description: 'Ask the supplier whether the credentials work before anything is stored' })

const NumberView = z
  .object({
    id: Id,
    project_id: Id,
    type: ChannelId,
    address: z.string(),
    name: z.string(),
    status: z.enum(['active', 'stopped', 'deleted']),
    stop_reason: z.string().nullable(),
    settings: OpaqueJson,
    ...order,
    created_at: Time,
  })
  .meta({ id: 'PhoneNumber' })
export const NumberDetail = NumberView.extend({
  credentials_set: z.array(z.object({ name: z.string(), last_four: z.string().nullable() })).meta({ description: 'Which secrets are set; they are never shown' }),
  webhook: z.object({ url: z.string(), verify_token: z.string().nullable() }).meta({ description: 'What to enter at the supplier. The token is shown to those who may write numbers.' }),
}).meta({
  id: 'PhoneNumberDetail',
  examples: [
    {
      id: '0199a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b', project_id: '0199a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a50', type: 'whatsapp', address: '106540352242922', name: 'Front desk', status: 'active', stop_reason: null,
      settings: { graph_version: 'v23.0' }, order_mode: 'number', window_size: 16, coalesce_ms: 1000, head_deadline_ms: 120000, created_at: '2026-11-20T09:30:00.000Z',
      credentials_set: [{ name: 'access_token', last_four: 'x7Qz' }], webhook: { url: 'https://api.example.com/webhooks/whatsapp/0199a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b', verify_token: 'h0V4…' },
    },
  ],
})

const CreateNumber = z
  .strictObject({
    project_id: Id.optional(),
    type: ChannelId,
    address: z.string().min(1).max(255).optional().meta({ description: 'Our address at the supplier (WhatsApp: phone_number_id, Instagram: account id, voice: the number in E.164). Web chat has none: it is the id.' }),
    name: Name,
    credentials: OpaqueJson.default({}),
    settings: OpaqueJson.default({}).meta({ description: 'By type. A telephone number has `carrier` and `carrier_settings`; at Telnyx these are the `connection_id` of its application and, where that is a TeXML application, `mode: texml` and the `account_sid`.' }),
    verify: Verify,
    assign: z.boolean().default(false).meta({ description: 'Telephone numbers: tell the carrier that its calls come here. Else enter the webhook there by hand.' }),
  })
  .extend(z.object(order).partial().shape)
  .meta({
    examples: [
      { type: 'whatsapp', address: '106540352242922', name: 'Front desk', credentials: { access_token: 'EAAG…', app_secret: '…' } },
      {
        type: 'voice', address: '+4722334455', name: 'Front desk', credentials: { account_sid: 'AC00000000000000000000000000000000', auth_token: '…' },
        settings: { carrier: 'twilio', greeting: 'Good morning, how can we help?', voice: { stt: ['deepgram'], tts: [{ engine: 'elevenlabs', voice_id: '…' }], language: 'en-GB' }, recording: { enabled: true, announcement: 'This call is recorded.' }, concurrency_limit: 20 },
      },
      {
        type: 'voice', address: '+4722334466', name: 'By TeXML', credentials: { api_key: 'KEY…', public_key: '…' }, assign: true,
        settings: { carrier: 'telnyx', carrier_settings: { mode: 'texml', connection_id: '1684641123236054245', account_sid: '19a75cea-02c6-4b9a-84fa-c9bc8341feb8' }, greeting: 'Good morning.' },
      },
    ],
  })
const UpdateNumber = z.strictObject({ name: Name.optional(), settings: OpaqueJson.optional().meta({ description: 'Replaces all settings' }) }).extend(z.object(order).partial().shape)
const RotateCredentials = z.strictObject({ credentials: OpaqueJson.meta({ description: 'The secrets that change; the others stay' }), verify: Verify })
const StopNumber = z.strictObject({ reason: z.string().trim().min(1).max(500).optional() }).nullish()
const ListQuery = PageQuery.extend({ project_id: Id.optional(), type: ChannelId.optional(), status: z.enum(['active', 'stopped']).optional() })

const Notice = z
  .object({ id: Id, number_id: Id, topic: z.string(), severity: z.enum(['info', 'warning', 'critical']), data: OpaqueJson, acknowledged_at: Time.nullable(), created_at: Time })
  .meta({ id: 'NumberNotice' })
const NoticeQuery = PageQuery.extend({ acknowledged: z.stringbool().optional(), severity: Notice.shape.severity.optional() })
const NoticeParams = IdParams.extend({ notice_id: Id })

const tags = ['phone numbers']
const read = { access: { scope: 'numbers:read' } } as const
const write = { access: { scope: 'numbers:write' } } as const
const creates = { ...write, idempotent: true } as const

const numberView = ({ channel, tenantId: _tenant, deletedAt: _deleted, ...row }: numbers.PhoneNumber) => ({ ...toWire(row), type: channel })
const noticeView = ({ tenantId: _tenant, data, ...row }: notices.Notice) => ({ ...toWire(row), data })

export type Desk = ReturnType<typeof createDesk>

/** What every route of a number does: find it in the caller's project, change it with an audit entry, show it. */
export function createDesk(deps: ApiDeps) {
  const { db, keyring, ports } = deps
  const get = async (tx: Tx, request: FastifyRequest, id: Id) => inProject(request.auth, await numbers.get(tx, id))
  const opened = async (tx: Tx, number: numbers.PhoneNumber) => openJson(keyring, await numbers.sealedCredentials(tx, number.id), number.tenantId) as Record<string, unknown>

  const detail = async (tx: Tx, request: FastifyRequest, number: numbers.PhoneNumber) => {
    const credentials = await opened(tx, number)
    const token = credentials['verify_token']
    const shown = request.auth.scopes.has('numbers:write') && typeof token === 'string' ? token : null
    const webhook = { url: webhookUrl(deps.config.publicUrl, number.channel, number.id), verify_token: shown }
    return { ...numberView(number), credentials_set: describeCredentials(credentials), webhook }
  }

  /** The routing cache hears of a change after its commit. */
  const change = async (request: FastifyRequest, id: Id, action: string, work: (tx: Tx) => Promise<{ number: numbers.PhoneNumber; changes?: Record<string, unknown> }>) => {
    const answer = await db.tenant(request.auth.tenantId, async (tx) => {
      await get(tx, request, id)
      const { number, changes } = await work(tx)
      await audit(tx, request, { action, target: { kind: 'number', id }, changes: changes ?? {} })
      return detail(tx, request, number)
    })
    await ports.routing.invalidateNumber(id)
    return answer
  }
  return { get, opened, detail, change }
}

/** `/v1/phone-numbers`: our addresses on the channels. */
export function registerNumbers(app: ApiApp, deps: ApiDeps): void {
  const desk = createDesk(deps)
  registerCreate(app, deps, desk)
  registerReads(app, deps, desk)
  registerChanges(app, deps, desk)
  registerRotation(app, deps, desk)
  registerDelete(app, deps, desk)
  registerNotices(app, deps, desk)
}

function registerCreate(app: ApiApp, deps: ApiDeps, desk: Desk): void {
  app.post('/v1/phone-numbers', { config: creates, schema: { tags, summary: 'Connect a number', body: CreateNumber, response: { 201: NumberDetail } } }, async (request, reply) => {
    const { body, auth } = request
    const kind = numberKind(deps, body.type, body.settings)
    const id = newId()
    const address = kind.address(body.address, id)
    const credentials = parseAt(kind.credentials, kind.complete(body.credentials), 'body.credentials')
    const settings = kind.settings(body.settings)
    const config = { numberId: id, address, credentials, settings }
    if (body.verify) await kind.check(config)
    const assign = body.assign ? await kind.assignment(config) : null
    const { projectId, orderMode, windowSize, coalesceMs, headDeadlineMs } = fromWire(body)
    const answer = await deps.db.tenant(auth.tenantId, async (tx) => {
      const place = { tenantId: auth.tenantId, projectId: await projectFor(tx, auth, projectId) }
      const credentialsSealed = sealJson(deps.keyring, credentials, auth.tenantId)
      const number = await numbers.insert(tx, { ...place, id, channel: body.type, address, name: body.name, settings, credentialsSealed, orderMode, windowSize, coalesceMs, headDeadlineMs })
      await audit(tx, request, { action: 'number.created', target: { kind: 'number', id }, changes: { type: body.type, address, name: body.name } })
      return desk.detail(tx, request, number)
    })
    if (assign) await assign(answer.webhook.url).catch(async (error: unknown) => {
      await deps.db.tenant(auth.tenantId, (tx) => numbers.discard(tx, id))
      throw error
    })
    return reply.code(201).send(answer)
  })
}

function registerReads(app: ApiApp, deps: ApiDeps, desk: Desk): void {
  app.get('/v1/phone-numbers', { config: read, schema: { tags, summary: 'List numbers', querystring: ListQuery, response: { 200: pageOf(NumberView) } } }, async ({ auth, query }) => {
    const filter = { projectId: projectFilter(auth, query.project_id), channel: query.type, status: query.status }
    const page = await deps.db.tenant(auth.tenantId, (tx) => numbers.list(tx, filter, { limit: query.limit, before: decodeIdCursor(query.cursor) }))
    return wirePage(page, numberView)
  })

  app.get('/v1/phone-numbers/:id', { config: read, schema: { tags, summary: 'Read a number', params: IdParams, response: { 200: NumberDetail } } }, async (request) =>
    deps.db.tenant(request.auth.tenantId, async (tx) => desk.detail(tx, request, await desk.get(tx, request, request.params.id))),
  )
}

function registerChanges(app: ApiApp, deps: ApiDeps, desk: Desk): void {
  app.patch('/v1/phone-numbers/:id', { config: write, schema: { tags, summary: 'Change a number', params: IdParams, body: UpdateNumber, response: { 200: NumberDetail } } }, async (request) => {
    const { params, body } = request
    return desk.change(request, params.id, 'number.updated', async (tx) => {
      const present = await numbers.get(tx, params.id)
      const settings = body.settings && numberKind(deps, present.channel, present.settings).settings(body.settings)
      return { number: await numbers.update(tx, params.id, { ...fromWire(body), settings }), changes: body }
    })
  })

  app.post('/v1/phone-numbers/:id/stop', { config: { ...write, idempotent: false }, schema: { tags, summary: 'Stop a number', description: 'Nothing is answered or sent; what customers write waits.', params: IdParams, body: StopNumber, response: { 200: NumberDetail } } }, async (request) =>
    desk.change(request, request.params.id, 'number.stopped', async (tx) => {
      const reason = request.body?.reason ?? 'stopped by a person'
      return { number: await numbers.stop(tx, request.params.id, reason), changes: { reason } }
    }),
  )

  app.post('/v1/phone-numbers/:id/resume', { config: { ...write, idempotent: false }, schema: { tags, summary: 'Let a stopped number go on', params: IdParams, response: { 200: NumberDetail } } }, async (request) =>
    desk.change(request, request.params.id, 'number.resumed', async (tx) => ({ number: await numbers.resume(tx, request.params.id) })),
  )
}

function registerRotation(app: ApiApp, deps: ApiDeps, desk: Desk): void {
  app.post(
    '/v1/phone-numbers/:id/credentials',
    { config: { ...write, idempotent: true }, schema: { tags, summary: 'Rotate credentials', description: 'Given secrets replace the present ones. The previous app secret stays valid for webhooks.', params: IdParams, body: RotateCredentials, response: { 200: NumberDetail } } },
    async (request) => {
      const { params, body, auth } = request
      const present = await deps.db.tenant(auth.tenantId, async (tx) => {
        const number = await desk.get(tx, request, params.id)
        return { number, credentials: await desk.opened(tx, number) }
      })
      const { channel, address, settings } = present.number
      const kind = numberKind(deps, channel, settings)
      const credentials = parseAt(kind.credentials, rotated(present.credentials, known(kind.credentials, body.credentials)), 'body.credentials')
      if (body.verify) await kind.check({ numberId: params.id, address, credentials, settings })
      return desk.change(request, params.id, 'number.credentials_rotated', async (tx) => ({
        number: await numbers.update(tx, params.id, { credentialsSealed: sealJson(deps.keyring, credentials, auth.tenantId) }),
        changes: { rotated: Object.keys(body.credentials) },
      }))
    },
  )
}

function registerDelete(app: ApiApp, deps: ApiDeps, desk: Desk): void {
  const Deleted = z.object({ id: Id, deleted: z.literal(true), archive_id: Id, archived_conversations: z.number().int() }).meta({ id: 'PhoneNumberDeleted' })
  app.delete('/v1/phone-numbers/:id', { config: write, schema: { tags, summary: 'Delete a number', description: 'Its agent ends and its conversations go into an archive, in one transaction.', params: IdParams, response: { 200: Deleted } } }, async (request) => {
    const { id } = request.params
    const archive = await deps.db.tenant(request.auth.tenantId, async (tx): Promise<archives.Archive> => {
      await desk.get(tx, request, id)
      const removed = await numbers.remove(tx, id, actorOf(request.auth))
      await audit(tx, request, { action: 'number.deleted', target: { kind: 'number', id }, changes: { archive_id: removed.archive.id } })
      return removed.archive
    })
    await deps.ports.routing.invalidateNumber(id)
    return { id, deleted: true as const, archive_id: archive.id, archived_conversations: archive.conversationCount }
  })
}

function registerNotices(app: ApiApp, deps: ApiDeps, desk: Desk): void {
  app.get('/v1/phone-numbers/:id/notices', { config: read, schema: { tags, summary: 'What the supplier said about a number', params: IdParams, querystring: NoticeQuery, response: { 200: pageOf(Notice) } } }, async (request) => {
    const { params, query, auth } = request
    return deps.db.tenant(auth.tenantId, async (tx) => {
      await desk.get(tx, request, params.id)
      const filter = { numberId: params.id, acknowledged: query.acknowledged, severity: query.severity }
      return wirePage(await notices.list(tx, filter, { limit: query.limit, before: decodeIdCursor(query.cursor) }), noticeView)
    })
  })

  app.post('/v1/phone-numbers/:id/notices/:notice_id/acknowledge', { config: { ...write, idempotent: false }, schema: { tags, summary: 'Acknowledge a notice', params: NoticeParams, response: { 200: Notice } } }, async (request) => {
    const { id, notice_id } = request.params
    return deps.db.tenant(request.auth.tenantId, async (tx) => {
      await desk.get(tx, request, id)
      const notice = await notices.acknowledge(tx, id, notice_id)
      await audit(tx, request, { action: 'notice.acknowledged', target: { kind: 'notice', id: notice_id } })
      return noticeView(notice)
    })
  })
}

/** The given secrets, none of which the supplier does not know. */
function known(schema: z.ZodType, given: Record<string, unknown>): Record<string, unknown> {
  const unknown = schema instanceof z.ZodObject ? Object.keys(given).find((key) => !(key in schema.shape)) : undefined
  if (unknown !== undefined) throw new AppError('invalid_request', { message: `body.credentials.${unknown}: This field is not known here.`, param: `body.credentials.${unknown}` })
  return given
}
