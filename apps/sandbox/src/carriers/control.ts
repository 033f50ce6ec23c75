import type { FastifyInstance, FastifyRequest } from 'fastify'
import { z } from 'zod'
import { ControlError, parseOr400 } from '../control/input.ts'
import { findCall, RingInput, ringUp } from './exchange.ts'
import { setNetwork, waitForMoment, type CallHandle } from './handle.ts'
import { Network } from './network.ts'
import { Person } from './person.ts'
import { Utterance } from './sound.ts'
import { TelnyxNumber } from './telnyx/account.ts'
import { TwilioNumber } from './twilio/account.ts'
import type { CarrierName, CarrierWorld, LiveCall } from './world.ts'

/** `/sandbox/carriers/...`: numbers, people, and phones in their hands. */

type Params = { carrier: string; id: string }
type Request = FastifyRequest<{ Params: Params }>

function carrierOf({ params }: Request): CarrierName {
  if (params.carrier === 'twilio' || params.carrier === 'telnyx') return params.carrier
  throw new ControlError(404, `There is no carrier ${params.carrier.slice(0, 32)}; twilio and telnyx are played`)
}

const Press = z.strictObject({ digits: z.string().regex(/^[0-9A-D*#]{1,64}$/) })
const Stall = z.strictObject({ ms: z.number().int().min(0).max(600_000) })
const Say = z.strictObject({ says: z.array(Utterance).min(1).max(100) })
const Wait = z.object({ kind: z.string().max(64), from: z.coerce.number().int().min(0).default(0), timeout_ms: z.coerce.number().int().min(0).max(60_000).default(10_000) })
const NetworkChange = Network.partial()

function describe({ call, carrier, sockets, socket }: LiveCall) {
  return {
    id: call.id, carrier, state: call.state, direction: call.facts.direction, from: call.facts.from, to: call.facts.to,
    created_at: call.createdAt.toISOString(), answered_at: call.answeredAt?.toISOString() ?? null, ended_at: call.endedAt?.toISOString() ?? null,
    end_reason: call.endReason, ended_by: call.endedBy, has_stream: socket !== null, format: call.facts.format,
    streams: sockets.map(({ streamId, stats }) => ({ stream_id: streamId, ...stats })), moments: call.moments,
  }
}

export function carrierControlRoutes(app: FastifyInstance, world: CarrierWorld): void {
  const live = (request: Request): LiveCall => {
    findCall(world, carrierOf(request), request.params.id)
    return world.calls.get(request.params.id)!
  }
  numberRoutes(app, world)
  app.post('/sandbox/carriers/people', (request, reply) => reply.code(201).send(world.people.describe(parseOr400(Person, request.body, 'body'))))
  app.get('/sandbox/carriers/people', () => ({ data: world.people.list() }))
  app.get('/sandbox/carriers/:carrier/calls', (request: Request) => ({ data: world.calls.list(carrierOf(request)).map((one) => ({ ...describe(one), moments: undefined })) }))
  app.post('/sandbox/carriers/:carrier/calls', (request: Request, reply) => reply.code(201).send({ id: ringUp(world, carrierOf(request), parseOr400(RingInput, request.body, 'body')).id }))
  app.get('/sandbox/carriers/:carrier/calls/:id', (request: Request) => describe(live(request)))
  app.get('/sandbox/carriers/:carrier/calls/:id/wait', async (request: Request, reply) => {
    const { kind, timeout_ms: timeoutMs, from } = parseOr400(Wait, request.query, 'query')
    const found = await waitForMoment(live(request).call, kind, timeoutMs, from).catch((error: Error) => error)
    return found instanceof Error ? reply.code(408).send({ error: { message: found.message } }) : found
  })
  app.get('/sandbox/carriers/:carrier/calls/:id/audio', (request: Request, reply) => {
    const found = live(request)
    return reply.header('content-type', 'audio/wav').header('x-answered-at', found.call.answeredAt?.toISOString() ?? '').send(findCall(world, found.carrier, found.call.id).wav())
  })
  handRoutes(app, world, live)
}

/** What a person does with the phone, and what happens to the wires. */
function handRoutes(app: FastifyInstance, world: CarrierWorld, live: (request: Request) => LiveCall): void {
  const on = (path: string, work: (hand: CallHandle, request: Request) => unknown) =>
    app.post(`/sandbox/carriers/:carrier/calls/:id/${path}`, (request: Request, reply) => {
      const found = live(request)
      const result = work(findCall(world, found.carrier, found.call.id), request)
      return result === undefined ? reply.code(204).send() : reply.send(result)
    })
  on('say', (hand, { body }) => parseOr400(Say, body, 'body').says.forEach((utterance) => hand.say(utterance)))
  on('press', (hand, { body }) => hand.press(parseOr400(Press, body, 'body').digits))
  on('hush', (hand) => hand.hush())
  on('hang_up', (hand) => hand.hangUp())
  on('drop_socket', (hand) => hand.dropSocket())
  on('stall', (hand, { body }) => hand.stall(parseOr400(Stall, body, 'body').ms))
  on('network', (_hand, request) => setNetwork(live(request), parseOr400(NetworkChange, request.body, 'body')))
}

function numberRoutes(app: FastifyInstance, world: CarrierWorld): void {
  app.get('/sandbox/carriers/twilio/numbers', () => ({ data: world.twilio.numbers() }))
  app.post('/sandbox/carriers/twilio/numbers', (request, reply) => reply.code(201).send(world.twilio.register(parseOr400(TwilioNumber, request.body, 'body'))))
  app.get('/sandbox/carriers/telnyx/numbers', () => ({ data: world.telnyx.numbers() }))
  app.post('/sandbox/carriers/telnyx/numbers', (request, reply) => reply.code(201).send(world.telnyx.register(parseOr400(TelnyxNumber, request.body, 'body'))))
}
