import { Agent, request, type IncomingMessage } from 'node:http'
import { once } from 'node:events'
import { setImmediate } from 'node:timers/promises'
import { sign } from '@trunkline/app-sandbox'
import { Registry } from 'prom-client'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { buildApp } from '../../apps/api/src/app.ts'
import { createWorld, type World } from '../isolation/world.ts'

let world: World
beforeAll(async () => {
  world = await createWorld()
})
afterAll(() => world.close())

it('the API ends with its last request; bug: a supplier’s connection that was busy when the drain began held it for 65 s', { timeout: 20_000 }, async () => {
  const arrived = Promise.withResolvers<void>()
  const committed = Promise.withResolvers<void>()
  const number = { id: '0199a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b', tenantId: 't', address: '1', channel: 'whatsapp', status: 'active', tenantStatus: 'active', credentials: { app_secret: 's'.repeat(16) }, settings: {} }
  const routing = { ...world.deps.ports.routing, numberForRouting: async () => number as never }
  const accept = async () => {
    arrived.resolve()
    await committed.promise
    return { accepted: 1, duplicates: 0 }
  }
  const app = await buildApp({ ...world.deps, metrics: new Registry(), ports: { ...world.deps.ports, routing, accept } })
  const url = await app.listen({ host: '127.0.0.1', port: 0 })

  const body = JSON.stringify({ object: 'whatsapp_business_account', entry: [{ id: '1', changes: [{ field: 'messages', value: { metadata: { phone_number_id: '1' }, messages: [{ id: 'wamid.1', from: '4915100000001', timestamp: '1763640000', type: 'text', text: { body: 'Hello' } }] } }] }] })
  const agent = new Agent({ keepAlive: true })
  const sending = request(`${url}/webhooks/whatsapp/${number.id}`, { method: 'POST', agent, headers: { 'content-type': 'application/json', 'x-hub-signature-256': sign('s'.repeat(16), body) } })
  sending.end(body)
  await arrived.promise
  const closed = app.close()
  while (app.server.listening) await setImmediate()
  committed.resolve()
  const [response] = (await once(sending, 'response')) as [IncomingMessage]
  response.resume()
  expect(response.statusCode).toBe(200)
  await closed
  agent.destroy()
})
