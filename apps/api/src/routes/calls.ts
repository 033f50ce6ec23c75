import { CallDirection, CallStatus, Id } from '@trunkline/core'
import { calls, type Tx } from '@trunkline/db'
import type { FastifyRequest } from 'fastify'
import { z } from 'zod'
import type { ApiApp, ApiDeps } from '../deps.ts'
import { decodeIdCursor, fromWire, IdParams, pageOf, PageQuery, Time } from '../wire.ts'
import { registerCallCommands } from './calls-commands.ts'
import { registerCallEvents } from './calls-events.ts'
import { registerCallPeople } from './calls-people.ts'
import { registerCallRecording } from './calls-recording.ts'
import { registerCallSupervision } from './calls-supervision.ts'
import { registerCallTranscript } from './calls-transcript.ts'
import { CallView, callView } from './calls-view.ts'
import { inProject, projectFilter } from './caller.ts'
import { wirePage } from './wire-schema.ts'

const ListQuery = PageQuery.extend({
  project_id: Id.optional(),
  number_id: Id.optional(),
  agent_id: Id.optional(),
  contact_id: Id.optional(),
  conversation_id: Id.optional(),
  direction: CallDirection.optional(),
  status: CallStatus.optional(),
  live: z.stringbool().optional().meta({ description: '`true`: those that are not over' }),
  address: z.string().min(1).max(255).optional().meta({ description: 'Exactly this address at either end', examples: ['+4799887766'] }),
  since: Time.optional().meta({ description: 'Begun at or after' }),
  until: Time.optional().meta({ description: 'Begun before' }),
})

const tags = ['calls']
const read = { access: { scope: 'calls:read' } } as const

const date = (text: string | undefined): Date | undefined => (text === undefined ? undefined : new Date(text))

/** The call of the caller's project; everything else does not exist. */
const findCall = async (tx: Tx, request: FastifyRequest, id: Id): Promise<calls.Call> => inProject(request.auth, await calls.get(tx, id))

/** `/v1/calls`: telephone calls, live and over. */
export function registerCalls(app: ApiApp, deps: ApiDeps): void {
  registerReads(app, deps)
  registerCallTranscript(app, deps, findCall)
  registerCallEvents(app, deps, findCall)
  registerCallRecording(app, deps, findCall)
  registerCallCommands(app, deps, findCall)
  registerCallSupervision(app, deps, findCall)
  registerCallPeople(app, deps, findCall)
}

function registerReads(app: ApiApp, deps: ApiDeps): void {
  const { db } = deps
  const view = callView(deps)
  app.get('/v1/calls', { config: read, schema: { tags, summary: 'List calls', description: 'Newest first. Calls that were refused are here, too, with the reason.', querystring: ListQuery, response: { 200: pageOf(CallView) } } }, async ({ auth, query }) => {
    const { limit, cursor, project_id, since, until, ...rest } = query
    const filter = { ...fromWire(rest), projectId: projectFilter(auth, project_id), since: date(since), until: date(until) }
    return wirePage(await db.tenant(auth.tenantId, (tx) => calls.list(tx, filter, { limit, before: decodeIdCursor(cursor) })), view)
  })

  app.get('/v1/calls/:id', { config: read, schema: { tags, summary: 'Read a call', params: IdParams, response: { 200: CallView } } }, async (request) =>
    view(await db.tenant(request.auth.tenantId, (tx) => findCall(tx, request, request.params.id))),
  )
}
