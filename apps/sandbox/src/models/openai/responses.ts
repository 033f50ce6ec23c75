import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { cutBody, strikeAfter, strikeBefore } from '../../faults/effects.ts'
import type { Fault } from '../../faults/fault.ts'
import type { World } from '../../world.ts'
import { wait } from '../pace.ts'
import { latestWords } from '../transcript.ts'
import type { Decided } from './decide.ts'
import { decide } from './decide.ts'
import { keyOf, locked, notFound, refuseOpenAi, sendOpenAiRefusal } from './errors.ts'
import { newOpenAiId } from './ids.ts'
import { isPlan, planResponse } from './request.ts'
import { streamResponse } from './response-stream.ts'
import { plain } from '../../plain.ts'

const TARGET = 'openai.responses'
type ById = { Params: { id: string } }

export function responseRoutes(app: FastifyInstance, world: World): void {
  app.post('/v1/responses', (request, reply) => create(world, request, reply))
  app.get<ById>('/v1/responses/:id', (request, reply) => {
    const auth = keyOf(request)
    if ('refusal' in auth) return sendOpenAiRefusal(reply, auth.refusal)
    const stored = world.responses.get(auth.key, request.params.id)
    if (!stored) return sendOpenAiRefusal(reply, notFound(`Response with id '${request.params.id}' not found.`))
    return reply.header('content-type', 'application/json').send(stored.json)
  })
  app.delete<ById>('/v1/responses/:id', (request, reply) => {
    const auth = keyOf(request)
    if ('refusal' in auth) return sendOpenAiRefusal(reply, auth.refusal)
    if (!world.responses.get(auth.key, request.params.id)) return sendOpenAiRefusal(reply, notFound(`Response with id '${request.params.id}' not found.`))
    world.responses.delete(request.params.id)
    return reply.send({ id: request.params.id, object: 'response', deleted: true })
  })
}

async function create(world: World, request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply | void> {
  void reply.header('x-request-id', newOpenAiId('req')).header('openai-processing-ms', '5')
  const plan = planResponse(world, request)
  const sound = isPlan(plan)
  const text = sound ? latestWords(plan.transcript.turns).slice(-500) : undefined
  const model = plain((request.body as { model?: unknown } | null)?.model).slice(0, 128)
  const fault = world.faults.pick(TARGET, { model, text, to: sound ? plan.conversation?.id : undefined })
  const note = { target: TARGET, kind: model, text, to: sound ? plan.conversation?.id : undefined, fault: fault?.id, body: request.body }
  const status = fault ? await strikeBefore(fault, reply, refuseOpenAi) : null
  if (status !== null) return void world.journal.add({ ...note, outcome: 'fault', status })
  if (!sound) {
    world.journal.add({ ...note, outcome: 'refused', status: plan.status })
    return sendOpenAiRefusal(reply, plan)
  }
  // Checked again: another request may have taken the conversation while a fault delayed this one.
  if (plan.conversation?.locked) return sendOpenAiRefusal(reply, locked)
  const decided = decide(plan, fault)
  world.journal.add({ ...note, outcome: 'accepted', status: 200, id: decided.id })
  return tell(world, decided, fault, reply)
}

/** Locks the conversation for as long as the answer takes; only a response that ended well is remembered. */
async function tell(world: World, decided: Decided, fault: Fault | undefined, reply: FastifyReply): Promise<FastifyReply | void> {
  const { plan } = decided
  if (plan.conversation) plan.conversation.locked = true
  try {
    if (plan.body.stream === true && !fault?.action.acceptThenHang && !fault?.action.acceptThenReset) {
      if (await streamResponse(decided, world.pace, reply, fault?.action)) remember(world, decided)
      return
    }
    await wait(world.pace.firstTokenMs + world.pace.perTokenMs * (decided.state.usage?.output ?? 0))
    const json = remember(world, decided)
    if (strikeAfter(fault, reply)) return
    if (fault?.action.cutStreamAfterEvents !== undefined) return cutBody(reply, json)
    return reply.header('content-type', 'application/json').send(json)
  } finally {
    if (plan.conversation) plan.conversation.locked = false
  }
}

function remember(world: World, decided: Decided): string {
  const { plan, items, state, id } = decided
  const json = decided.write(state)
  if (state.status === 'failed') return json
  plan.conversation?.items.push(...plan.input, ...items)
  if (plan.body.store !== false) world.responses.add({ id, owner: plan.owner, json, previous: plan.previous, items: [...plan.input, ...items] })
  return json
}
