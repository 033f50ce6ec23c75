import type { FastifyInstance, FastifyRequest } from 'fastify'
import { z } from 'zod'
import { parseOr400 } from '../control/input.ts'
import { strikeBefore } from '../faults/effects.ts'
import type { World } from '../world.ts'
import { wait } from '../models/pace.ts'
import { plain } from '../plain.ts'

const Wait = z.object({ ms: z.coerce.number().int().min(0).max(600_000).default(30_000) })
const Size = z.object({ bytes: z.coerce.number().int().min(0).max(50_000_000).default(5_000_000) })

type Call = { Params: { id?: string; status?: string } }

/** An ordinary web service that agents' HTTP tools may call: orders, an echo, and every way to be difficult. */
export function toolRoutes(app: FastifyInstance, world: World): void {
  app.register((scope, _options, done) => {
    scope.addHook<Call>('preHandler', async (request, reply) => {
      const target = `tools.${request.url.split('/')[2]?.split('?')[0] ?? ''}`
      const fault = world.faults.pick(target, { to: request.params.id })
      const note = { target, kind: request.method, to: request.params.id, callbackData: request.headers['idempotency-key'] as string | undefined, body: request.body, fault: fault?.id }
      const status = fault ? await strikeBefore(fault, reply, (answer, action) => void answer.code(action.status ?? 500).send({ error: 'scripted' })) : null
      world.journal.add({ ...note, outcome: status === null ? 'accepted' : 'fault', status: status ?? 200 })
    })
    scope.all('/tools/echo', (request) => echo(request))
    scope.all<Call>('/tools/orders/:id', (request, reply) => (/^0+$/.test(request.params.id!) ? reply.code(404).send({ error: 'order not found' }) : order(request.params.id!)))
    scope.all('/tools/orders', (request, reply) => {
      const { id, order_id } = { ...(request.query as object), ...(request.body as object | null) } as { id?: unknown; order_id?: unknown }
      const key = plain(id ?? order_id)
      return key === '' ? reply.code(400).send({ error: 'id is required' }) : order(key.slice(0, 64))
    })
    scope.all('/tools/slow', (request) => slow(parseOr400(Wait, request.query, 'query').ms))
    scope.all<Call>('/tools/fail/:status', (request, reply) => reply.code(Math.min(599, Math.max(400, Number(request.params.status) || 500))).send({ error: `failed with ${request.params.status}` }))
    scope.all('/tools/hang', (_request, reply) => void reply.hijack())
    scope.all('/tools/garbage', (_request, reply) => reply.type('application/json').send('{"half": '))
    scope.all('/tools/large', (request, reply) => reply.type('text/plain').send('x'.repeat(parseOr400(Size, request.query, 'query').bytes)))
    scope.all('/tools/redirect', (request, reply) => reply.redirect((request.query as { to?: string }).to ?? '/tools/echo'))
    done()
  })
}

async function slow(ms: number) {
  await wait(ms)
  return { ok: true, waited_ms: ms }
}

function echo(request: FastifyRequest) {
  const { authorization: _secret, ...headers } = request.headers
  return { method: request.method, query: request.query, headers, body: Buffer.isBuffer(request.body) ? request.body.toString('utf8') : (request.body ?? null) }
}

const STATES = ['processing', 'packed', 'shipped', 'out for delivery', 'delivered'] as const

/** The same number always is the same order. */
function order(id: string) {
  let sum = 0
  for (const char of id) sum = (sum * 31 + char.charCodeAt(0)) % 9973
  const status = STATES[sum % STATES.length]!
  return { id, status, items: 1 + (sum % 4), total: `${20 + (sum % 180)}.00 EUR`, carrier: sum % 2 ? 'DHL' : 'UPS', estimated_delivery: status === 'delivered' ? null : `in ${1 + (sum % 4)} days` }
}
