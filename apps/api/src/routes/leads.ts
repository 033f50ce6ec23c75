import { Id } from '@trunkline/core'
import { happened, leads, messages, type Tx } from '@trunkline/db'
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { Readable } from 'node:stream'
import { z } from 'zod'
import { audit } from '../audit.ts'
import type { ApiApp, ApiDeps } from '../deps.ts'
import { decodeIdCursor, IdParams, pageOf, PageQuery, Time, toWire } from '../wire.ts'
import { inProject, projectFilter } from './caller.ts'
import { leadsAsCsv } from './lead-csv.ts'
import { messageView, MessageView } from './message-view.ts'
import { wirePage } from './wire-schema.ts'

const EXPORT_PAGE = 500

const Status = z.enum(leads.LEAD_STATUSES)
const text = z.string().nullable()
export const LeadView = z
  .object({
    id: Id, project_id: Id, conversation_id: Id, number_id: Id, contact_id: Id, status: Status,
    name: text, email: text, phone: text, company: text, intent: text, urgency: text, budget: text, fit: text, engagement: text,
    demo_datetime: Time.nullable(),
    smart_notification: text.meta({ description: 'One sentence for the person who follows up' }),
    evidence_message_ids: z.array(Id).meta({ description: 'The messages that say so' }),
    extracted_seq: z.number().int(),
    extracted_by: z.string(),
    created_at: Time,
    updated_at: Time,
  })
  .meta({ id: 'Lead' })
const Filter = z.object({
  project_id: Id.optional(),
  number_id: Id.optional(),
  contact_id: Id.optional(),
  conversation_id: Id.optional(),
  status: Status.optional(),
  urgency: z.enum(['low', 'medium', 'high']).optional(),
  fit: z.enum(['poor', 'fair', 'good', 'excellent']).optional(),
  since: Time.optional(),
  until: Time.optional(),
})
const ListQuery = PageQuery.extend(Filter.shape)
const UpdateLead = z.strictObject({ status: Status }).meta({ examples: [{ status: 'contacted' }] })
const Evidence = z.object({ data: z.array(MessageView) }).meta({ id: 'LeadEvidence' })

/** For the document: lines are streamed, not serialised. */
const Csv = { description: 'One line a lead', content: { 'text/csv': { schema: z.string().meta({ examples: ['id,status,name\r\n0199a1b2…,new,Ada\r\n'] }) } } }

const tags = ['leads']
const read = { access: { scope: 'leads:read' } } as const
const write = { access: { scope: 'leads:write' } } as const

export const leadView = ({ tenantId: _tenant, ...row }: leads.Lead) => toWire(row)
const find = async (tx: Tx, request: FastifyRequest, id: Id): Promise<leads.Lead> => inProject(request.auth, await leads.get(tx, id))

function filterOf(auth: FastifyRequest['auth'], query: z.infer<typeof Filter>): leads.LeadFilter {
  return {
    projectId: projectFilter(auth, query.project_id),
    numberId: query.number_id,
    contactId: query.contact_id,
    conversationId: query.conversation_id,
    status: query.status,
    urgency: query.urgency,
    fit: query.fit,
    since: query.since === undefined ? undefined : new Date(query.since),
    until: query.until === undefined ? undefined : new Date(query.until),
  }
}

/** `/v1/leads`: what extraction found in conversations. */
export function registerLeads(app: ApiApp, deps: ApiDeps): void {
  const { db, keyring } = deps
  app.get('/v1/leads', { config: read, schema: { tags, summary: 'List leads', querystring: ListQuery, response: { 200: pageOf(LeadView) } } }, async ({ auth, query }) =>
    wirePage(await db.tenant(auth.tenantId, (tx) => leads.list(tx, filterOf(auth, query), { limit: query.limit, before: decodeIdCursor(query.cursor) })), leadView),
  )

  app.get('/v1/leads/export.csv', { config: read, schema: { tags, summary: 'Export leads as CSV', querystring: Filter, response: { 200: Csv } } }, async ({ auth, query }, reply) => {
    const pages = everyPage(deps, auth.tenantId, filterOf(auth, query))
    return sendCsv(reply, leadsAsCsv(pages))
  })

  app.get('/v1/leads/:id', { config: read, schema: { tags, summary: 'Read a lead', params: IdParams, response: { 200: LeadView } } }, async (request) =>
    leadView(await db.tenant(request.auth.tenantId, (tx) => find(tx, request, request.params.id))),
  )

  app.patch('/v1/leads/:id', { config: write, schema: { tags, summary: 'Change the status of a lead', params: IdParams, body: UpdateLead, response: { 200: LeadView } } }, async (request) => {
    const { id } = request.params
    return db.tenant(request.auth.tenantId, async (tx) => {
      const before = await find(tx, request, id)
      const lead = await leads.setStatus(tx, id, request.body.status)
      await audit(tx, request, { action: 'lead.status_changed', target: { kind: 'lead', id }, changes: { status: [before.status, lead.status] } })
      if (before.status !== lead.status) happened(tx, lead.tenantId, { type: 'lead.updated', projectId: lead.projectId, data: { lead_id: id } })
      return leadView(lead)
    })
  })

  app.get('/v1/leads/:id/evidence', { config: read, schema: { tags, summary: 'Read the messages a lead was found in', params: IdParams, response: { 200: Evidence } } }, async (request) => {
    const found = await db.tenant(request.auth.tenantId, async (tx) => messages.byIds(tx, (await find(tx, request, request.params.id)).evidenceMessageIds))
    return { data: found.map((message) => messageView(keyring, request.auth, message)) }
  })
}

const sendCsv = (reply: FastifyReply, lines: Readable): FastifyReply => reply.header('content-disposition', 'attachment; filename="leads.csv"').type('text/csv; charset=utf-8').send(lines)

/** A short transaction for each page: a slow download holds no connection. */
async function* everyPage(deps: ApiDeps, tenantId: Id, filter: leads.LeadFilter): AsyncGenerator<leads.Lead[]> {
  for (let before: Id | undefined; ; ) {
    const page = await deps.db.tenant(tenantId, (tx) => leads.list(tx, filter, { limit: EXPORT_PAGE, before }))
    yield page.items
    if (page.next === null) return
    before = page.next
  }
}
