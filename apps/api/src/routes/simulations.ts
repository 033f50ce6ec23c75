import { compilePattern } from '@trunkline/agents'
import { AppError, Id, newId, SimulatedCall, Simulation, SIMULATIONS_BELL, SimulationStatus } from '@trunkline/core'
import { agents, numbers, openJson, simulations, type Tx } from '@trunkline/db'
import type { FastifyRequest } from 'fastify'
import { z } from 'zod'
import { audit } from '../audit.ts'
import type { ApiApp, ApiDeps } from '../deps.ts'
import { decodeIdCursor, fromWire, IdParams, pageOf, PageQuery, Time } from '../wire.ts'
import { actorOf, inProject, projectFilter } from './caller.ts'
import { wirePage } from './wire-schema.ts'

const CreateSimulation = Simulation.meta({
  examples: [
    {
      agent_id: '0199a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a52', name: 'Opening hours, interrupted, in traffic', repeat: 3,
      callers: [
        {
          name: 'In a hurry', voice: { speed: 1.2 }, noise: { kind: 'street', snr_db: 15 }, packet_loss: 0.02, jitter_ms: 40,
          script: [{ wait_for: 'how can we help' }, { say: 'Which repairs do you do?' }, { interrupt_after_ms: 1500, say: 'Sorry, when do you open?' }, { wait_for: '/nine|9:00/' }, { hang_up: true }],
        },
        { goal: 'You want to rent two city bikes on Saturday and to know the price.' },
      ],
      assertions: [{ heard: '/nine|9:00/' }, { not_heard: 'I do not know' }, { max_response_ms: 1500 }, { interrupted_within_ms: 800 }, { ended_by: 'caller' }],
    },
  ],
})

const whole = z.number().int().nonnegative()
const SimulationView = z
  .object({
    id: Id,
    project_id: Id,
    agent_id: Id,
    number_id: Id,
    name: z.string().nullable(),
    status: SimulationStatus,
    passed: z.boolean().nullable().meta({ description: 'Every call passed. null: not all are over.' }),
    failure: z.string().nullable().meta({ description: 'Why it could not be carried out' }),
    progress: z.object({ calls: whole, done: whole }),
    created_by: z.string(),
    created_at: Time,
    started_at: Time.nullable(),
    ended_at: Time.nullable(),
  })
  .meta({
    id: 'Simulation',
    examples: [
      {
        id: '0199a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b', project_id: '0199a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a50', agent_id: '0199a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a52', number_id: '0199a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a51',
        name: 'Opening hours', status: 'running', passed: null, failure: null, progress: { calls: 6, done: 4 }, created_by: 'api_key:0199a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a56',
        created_at: '2026-11-20T09:30:00.000Z', started_at: '2026-11-20T09:30:00.100Z', ended_at: null,
      },
    ],
  })
const ResultView = SimulatedCall.extend({ recording_url: z.url().nullable().meta({ description: 'With your credentials: stereo, the caller at the left' }) }).meta({ id: 'SimulatedCall' })
const SimulationDetail = SimulationView.extend({
  spec: z.record(z.string(), z.unknown()).meta({ description: 'What was asked for' }),
  results: z.array(ResultView).meta({ description: 'One a call, in the order in which they ended' }),
}).meta({
  id: 'SimulationDetail',
  examples: [
    {
      id: '0199a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b', project_id: '0199a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a50', agent_id: '0199a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a52', number_id: '0199a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a51',
      name: 'Opening hours', status: 'completed', passed: false, failure: null, progress: { calls: 1, done: 1 }, created_by: 'api_key:0199a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a56',
      created_at: '2026-11-20T09:30:00.000Z', started_at: '2026-11-20T09:30:00.100Z', ended_at: '2026-11-20T09:30:21.000Z',
      spec: { agent_id: '0199a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a52', callers: [{ script: [{ say: 'When do you open?' }] }], assertions: [{ heard: 'ten' }] },
      results: [
        {
          caller: 0, repetition: 0, call_id: '0199a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a57', ended_by: 'caller', reason: 'caller_hung_up', duration_ms: 9_400, turns: 2, response: { p50_ms: 620, p95_ms: 700, each_ms: [620, 700] }, interruptions: [],
          transcript: [{ by: 'agent', text: 'We open at nine.', start_ms: 5_200, end_ms: 6_400, interrupted: false }], listened: 'we open at nine', intelligibility: 1,
          waterfall: [{ turn: 1, speech_end_ms: 4_580, endpoint_ms: 4_880, first_token_ms: 4_920, first_audio_ms: 5_040, first_sent_ms: 5_050, first_heard_ms: 5_190 }], tools: [], failed_step: null,
          assertions: [{ assertion: { heard: 'ten' }, passed: false, evidence: 'the agent said: "We open at nine."' }], passed: false,
          recording_key: '0199a1b2/0199a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a58', recording_url: 'https://api.example.com/v1/calls/0199a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a57/recording',
        },
      ],
    },
  ],
})
const ListQuery = PageQuery.extend({ project_id: Id.optional(), agent_id: Id.optional(), status: SimulationStatus.optional() })

const tags = ['simulations']
const read = { access: { scope: 'calls:read' } } as const
const write = { access: { scope: 'calls:write' } } as const
/** Simulations of one tenant that are not over. */
const OPEN_MAX = 10

const Named = z.object({ name: z.string().optional() })
const view = (row: simulations.KeptSimulation): z.infer<typeof SimulationView> => ({
  id: row.id, project_id: row.projectId, agent_id: row.agentId, number_id: row.numberId, name: Named.parse(row.spec).name ?? null, status: row.status, passed: row.passed, failure: row.failure,
  progress: { calls: row.callsTotal, done: row.callsDone }, created_by: row.createdBy,
  created_at: row.createdAt.toISOString(), started_at: row.startedAt?.toISOString() ?? null, ended_at: row.endedAt?.toISOString() ?? null,
})

const find = async (tx: Tx, request: FastifyRequest, id: Id): Promise<simulations.KeptSimulation> => inProject(request.auth, await simulations.get(tx, id))

/** `/v1/simulations`: simulated callers put an agent under test. */
export function registerSimulations(app: ApiApp, deps: ApiDeps): void {
  registerCreating(app, deps)
  registerReading(app, deps)
}

function registerCreating(app: ApiApp, deps: ApiDeps): void {
  const { db, ports } = deps
  const description = 'Callers ring the agent’s number within the voice: by sound, through the same turns, tools and speech engines as a customer’s call, without a carrier. What engines and models use is charged, no minutes are; no lead and no summary comes of it; tools are really called. Ask again until `status` is `completed`: `passed` is the verdict.'
  app.post('/v1/simulations', { config: { ...write, idempotent: true }, schema: { tags, summary: 'Put an agent under test', description, body: CreateSimulation, response: { 202: SimulationView } } }, async (request, reply) => {
    const { auth, body } = request
    checkPatterns(body)
    const made = await db.tenant(auth.tenantId, async (tx) => {
      const agent = await agentOf(tx, request, body.agent_id)
      if ((await simulations.open(tx)) >= OPEN_MAX) throw new AppError('rate_limited', { message: `${OPEN_MAX} simulations are not over yet.`, retryAfterMs: 10_000 })
      const row = await simulations.insert(tx, {
        id: newId(), tenantId: auth.tenantId, projectId: agent.projectId, numberId: agent.numberId, agentId: agent.id, spec: body, callsTotal: body.callers.length * body.repeat, createdBy: actorOf(auth),
      })
      await audit(tx, request, { action: 'simulation.created', target: { kind: 'simulation', id: row.id }, changes: { agent_id: agent.id, calls: row.callsTotal } })
      return row
    })
    ports.bell.ring(SIMULATIONS_BELL)
    return reply.code(202).send(view(made))
  })

  app.post('/v1/simulations/:id/cancel', { config: { ...write, idempotent: false }, schema: { tags, summary: 'Cancel a simulation', description: 'Calls under way are hung up within seconds. One that is over stays as it is.', params: IdParams, response: { 200: SimulationView } } }, async (request) => {
    const answer = await db.tenant(request.auth.tenantId, async (tx) => {
      await find(tx, request, request.params.id)
      if (await simulations.cancel(tx, request.params.id)) await audit(tx, request, { action: 'simulation.cancelled', target: { kind: 'simulation', id: request.params.id }, changes: {} })
      return view(await simulations.get(tx, request.params.id))
    })
    ports.bell.ring(SIMULATIONS_BELL)
    return answer
  })
}

/** An agent of the caller's project that answers a telephone. */
async function agentOf(tx: Tx, request: FastifyRequest, agentId: Id): Promise<agents.Agent> {
  const agent = await agents.get(tx, agentId).then((found) => inProject(request.auth, found)).catch((error: unknown) => {
    throw error instanceof AppError && error.code === 'not_found' ? new AppError('not_found', { message: 'There is no such agent.', param: 'body.agent_id' }) : error
  })
  const { channel } = await numbers.get(tx, agent.numberId)
  if (channel !== 'voice') throw new AppError('invalid_state', { message: 'This agent answers no telephone number.', param: 'body.agent_id' })
  if (agent.endedAt) throw new AppError('invalid_state', { message: 'This agent does not answer its number any more.', param: 'body.agent_id' })
  return agent
}

/** What cannot be looked for is refused before anybody is called. */
function checkPatterns({ callers, assertions }: Simulation): void {
  const check = (pattern: string, param: string) => {
    try {
      compilePattern(pattern)
    } catch (cause) {
      throw new AppError('invalid_request', { message: `${param}: ${cause instanceof Error ? cause.message : 'This cannot be looked for.'}`, param, cause })
    }
  }
  callers.forEach(({ script }, caller) => script?.forEach((step, index) => 'wait_for' in step && check(step.wait_for, `body.callers.${caller}.script.${index}.wait_for`)))
  assertions.forEach((assertion, index) => {
    if ('heard' in assertion) check(assertion.heard, `body.assertions.${index}.heard`)
    if ('not_heard' in assertion) check(assertion.not_heard, `body.assertions.${index}.not_heard`)
  })
}

function registerReading(app: ApiApp, deps: ApiDeps): void {
  const { db, keyring, config } = deps
  app.get('/v1/simulations', { config: read, schema: { tags, summary: 'List simulations', description: 'Newest first, without their results.', querystring: ListQuery, response: { 200: pageOf(SimulationView) } } }, async ({ auth, query }) => {
    const { limit, cursor, project_id, ...rest } = query
    const filter = { ...fromWire(rest), projectId: projectFilter(auth, project_id) }
    return wirePage(await db.tenant(auth.tenantId, (tx) => simulations.list(tx, filter, { limit, before: decodeIdCursor(cursor) })), view)
  })

  app.get('/v1/simulations/:id', { config: read, schema: { tags, summary: 'Read a simulation and its results', params: IdParams, response: { 200: SimulationDetail } } }, async (request) => {
    const { row, sealed } = await db.tenant(request.auth.tenantId, async (tx) => ({ row: await find(tx, request, request.params.id), sealed: await simulations.results(tx, request.params.id) }))
    const results = sealed.map((each) => SimulatedCall.parse(openJson(keyring, each, row.tenantId)))
    const recordingUrl = ({ call_id: callId, recording_key: key }: SimulatedCall) => (callId === null || key === null ? null : `${config.publicUrl}/v1/calls/${callId}/recording`)
    return { ...view(row), spec: row.spec as Record<string, unknown>, results: results.map((result) => ({ ...result, recording_url: recordingUrl(result) })) }
  })
}
