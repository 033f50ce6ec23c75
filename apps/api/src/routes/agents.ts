import { AppError, Id } from '@trunkline/core'
import { agents, numbers, type Tx } from '@trunkline/db'
import type { FastifyRequest } from 'fastify'
import { z } from 'zod'
import { audit } from '../audit.ts'
import type { ApiApp, ApiDeps } from '../deps.ts'
import { decodeIdCursor, fromWire, IdParams, pageOf, PageQuery, Time, toWire } from '../wire.ts'
import { actorOf, inProject, projectFilter } from './caller.ts'
import { wirePage } from './wire-schema.ts'

const Name = z.string().trim().min(1).max(255)
const Pinned = z.number().int().min(1).max(2_147_483_647).nullable().meta({ description: 'Null follows the current version of the prompt' })
const AgentView = z
  .object({ id: Id, project_id: Id, name: z.string(), number_id: Id, prompt_id: Id, pinned_version: Pinned, ended_at: Time.nullable(), created_at: Time })
  .meta({ id: 'Agent' })
const CreateAgent = z
  .strictObject({ name: Name, number_id: Id, prompt_id: Id, pinned_version: Pinned.optional() })
  .meta({ examples: [{ name: 'Receptionist', number_id: '0199a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b', prompt_id: '0199a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5c' }] })
const UpdateAgent = z.strictObject({ name: Name.optional(), pinned_version: Pinned.optional() })
const RelinkAgent = z.strictObject({
  prompt_id: Id,
  pinned_version: Pinned.optional(),
  name: Name.optional(),
  force: z.boolean().default(false).meta({ description: 'Also when it is the same prompt: archives the conversations and starts afresh' }),
})
const Archived = { archive_id: Id, archived_conversations: z.number().int() }
const Relinked = z.object({ agent: AgentView, ended_agent_id: Id, ...Archived }).meta({ id: 'Relinked' })
const Unlinked = z.object({ agent: AgentView, ...Archived }).meta({ id: 'Unlinked' })
const ListQuery = PageQuery.extend({ project_id: Id.optional(), number_id: Id.optional(), prompt_id: Id.optional(), ended: z.stringbool().optional() })

const tags = ['agents']
const read = { access: { scope: 'agents:read' } } as const
const write = { access: { scope: 'agents:write' } } as const
const creates = { ...write, idempotent: true } as const

const agentView = ({ tenantId: _tenant, ...row }: agents.Agent) => toWire(row)
const find = async (tx: Tx, request: FastifyRequest, id: Id): Promise<agents.Agent> => inProject(request.auth, await agents.get(tx, id))

/** `/v1/agents`: which prompt answers on which number. */
export function registerAgents(app: ApiApp, deps: ApiDeps): void {
  registerReads(app, deps)
  registerChanges(app, deps)
  registerRelink(app, deps)
}

function registerReads(app: ApiApp, { db }: ApiDeps): void {
  app.get('/v1/agents', { config: read, schema: { tags, summary: 'List agents', querystring: ListQuery, response: { 200: pageOf(AgentView) } } }, async ({ auth, query }) => {
    const filter = { projectId: projectFilter(auth, query.project_id), numberId: query.number_id, promptId: query.prompt_id, ended: query.ended }
    return wirePage(await db.tenant(auth.tenantId, (tx) => agents.list(tx, filter, { limit: query.limit, before: decodeIdCursor(query.cursor) })), agentView)
  })

  app.get('/v1/agents/:id', { config: read, schema: { tags, summary: 'Read an agent', params: IdParams, response: { 200: AgentView } } }, async (request) =>
    agentView(await db.tenant(request.auth.tenantId, (tx) => find(tx, request, request.params.id))),
  )
}

function registerChanges(app: ApiApp, { db, ports }: ApiDeps): void {
  app.post('/v1/agents', { config: creates, schema: { tags, summary: 'Link a prompt to a number', body: CreateAgent, response: { 201: AgentView } } }, async (request, reply) => {
    const { auth, body } = request
    const agent = await db.tenant(auth.tenantId, async (tx) => {
      inProject(auth, await numbers.get(tx, body.number_id).catch(at('body.number_id')))
      const made = await agents.link(tx, fromWire(body))
      await audit(tx, request, { action: 'agent.created', target: { kind: 'agent', id: made.id }, changes: body })
      return made
    })
    await ports.routing.invalidateNumber(agent.numberId)
    return reply.code(201).send(agentView(agent))
  })

  app.patch('/v1/agents/:id', { config: write, schema: { tags, summary: 'Rename an agent, pin or unpin its version', description: 'Its conversations go on as they are.', params: IdParams, body: UpdateAgent, response: { 200: AgentView } } }, async (request) => {
    const { id } = request.params
    const agent = await db.tenant(request.auth.tenantId, async (tx) => {
      await find(tx, request, id)
      const changed = await agents.update(tx, id, fromWire(request.body))
      await audit(tx, request, { action: 'agent.updated', target: { kind: 'agent', id }, changes: request.body })
      return changed
    })
    await ports.routing.invalidateNumber(agent.numberId)
    return agentView(agent)
  })
}

function registerRelink(app: ApiApp, { db, ports }: ApiDeps): void {
  const description = 'One transaction: the agent ends, its conversations go into an archive, a new agent begins. If archiving fails, nothing has happened. Answers under way end in the archive.'
  app.post('/v1/agents/:id/relink', { config: creates, schema: { tags, summary: 'Give the number another prompt', description, params: IdParams, body: RelinkAgent, response: { 201: Relinked } } }, async (request, reply) => {
    const { id } = request.params
    const { agent, archive } = await db.tenant(request.auth.tenantId, async (tx) => {
      await find(tx, request, id)
      const done = await agents.relink(tx, id, { ...fromWire(request.body), actor: actorOf(request.auth) })
      const changes = { prompt_id: request.body.prompt_id, new_agent_id: done.agent.id, archive_id: done.archive.id, archived_conversations: done.archive.conversationCount }
      await audit(tx, request, { action: 'agent.relinked', target: { kind: 'agent', id }, changes })
      return done
    })
    await ports.routing.invalidateNumber(agent.numberId)
    return reply.code(201).send({ agent: agentView(agent), ended_agent_id: id, archive_id: archive.id, archived_conversations: archive.conversationCount })
  })

  app.delete('/v1/agents/:id', { config: write, schema: { tags, summary: 'Unlink: end an agent and archive its conversations', params: IdParams, response: { 200: Unlinked } } }, async (request) => {
    const { id } = request.params
    const { agent, archive } = await db.tenant(request.auth.tenantId, async (tx) => {
      await find(tx, request, id)
      const done = await agents.unlink(tx, id, actorOf(request.auth))
      await audit(tx, request, { action: 'agent.unlinked', target: { kind: 'agent', id }, changes: { archive_id: done.archive.id } })
      return done
    })
    await ports.routing.invalidateNumber(agent.numberId)
    return { agent: agentView(agent), archive_id: archive.id, archived_conversations: archive.conversationCount }
  })
}

/** Names the field behind a `not_found`. */
const at = (param: string) => (error: unknown): never => {
  throw error instanceof AppError ? new AppError(error.code, { message: error.message, param, cause: error }) : error
}
