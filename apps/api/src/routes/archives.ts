import { Id } from '@trunkline/core'
import { archives, conversations, type Tx } from '@trunkline/db'
import type { FastifyRequest } from 'fastify'
import { z } from 'zod'
import type { ApiApp, ApiDeps } from '../deps.ts'
import { decodeIdCursor, IdParams, pageOf, PageQuery, Time, toWire } from '../wire.ts'
import { inProject, projectFilter } from './caller.ts'
import { ConversationView, conversationView } from './conversation-view.ts'
import { wirePage } from './wire-schema.ts'

const Reason = z.enum(['relink', 'number_deleted'])
const ArchiveView = z
  .object({
    id: Id,
    project_id: Id,
    number_id: Id,
    agent_id: Id.nullable().meta({ description: 'The agent that ended' }),
    prompt_id: Id.nullable(),
    reason: Reason,
    conversation_count: z.number().int(),
    archived_by: z.string(),
    created_at: Time,
  })
  .meta({ id: 'Archive' })
const ListQuery = PageQuery.extend({
  project_id: Id.optional(),
  number_id: Id.optional(),
  agent_id: Id.optional(),
  prompt_id: Id.optional(),
  reason: Reason.optional(),
  since: Time.optional(),
  until: Time.optional(),
})

const tags = ['archives']
const read = { access: { scope: 'archives:read' } } as const
const archiveView = ({ tenantId: _tenant, ...row }: archives.Archive) => toWire(row)
const find = async (tx: Tx, request: FastifyRequest, id: Id): Promise<archives.Archive> => inProject(request.auth, await archives.get(tx, id))

/** `/v1/archives`: conversations that a relink or a deleted number closed for ever. Their messages are read where all messages are. */
export function registerArchives(app: ApiApp, deps: ApiDeps): void {
  const { db } = deps
  app.get('/v1/archives', { config: read, schema: { tags, summary: 'List archives', querystring: ListQuery, response: { 200: pageOf(ArchiveView) } } }, async ({ auth, query }) => {
    const filter: archives.ArchiveFilter = {
      projectId: projectFilter(auth, query.project_id),
      numberId: query.number_id,
      agentId: query.agent_id,
      promptId: query.prompt_id,
      reason: query.reason,
      since: query.since === undefined ? undefined : new Date(query.since),
      until: query.until === undefined ? undefined : new Date(query.until),
    }
    return wirePage(await db.tenant(auth.tenantId, (tx) => archives.list(tx, filter, { limit: query.limit, before: decodeIdCursor(query.cursor) })), archiveView)
  })

  app.get('/v1/archives/:id', { config: read, schema: { tags, summary: 'Read an archive', params: IdParams, response: { 200: ArchiveView } } }, async (request) =>
    archiveView(await db.tenant(request.auth.tenantId, (tx) => find(tx, request, request.params.id))),
  )

  app.get('/v1/archives/:id/conversations', { config: read, schema: { tags, summary: 'List the conversations of an archive', params: IdParams, querystring: PageQuery, response: { 200: pageOf(ConversationView) } } }, async (request) =>
    db.tenant(request.auth.tenantId, async (tx) => {
      const { id } = await find(tx, request, request.params.id)
      const { limit, cursor } = request.query
      return wirePage(await conversations.list(tx, { archiveId: id }, { limit, before: decodeIdCursor(cursor) }), conversationView(deps.channels))
    }),
  )
}
