import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { RouteEntry } from '../../apps/api/src/plugins/route-table.ts'
import { createWorld, type TestTenant, type World } from './world.ts'

// A visitor has a token of one chat and nothing else. Every route of the visitors' door is probed with what another visitor, another
// number and another tenant would have in hand; a new route fails here until somebody says how.

const ORIGIN = 'https://shop.example.com'
let world: World
let ours: TestTenant
let [chat, sister, foreign] = ['', '', '']
beforeAll(async () => {
  world = await createWorld()
  ours = await world.newTenant('Ours')
  const theirs = await world.newTenant('Theirs')
  const open = async (tenant: TestTenant) => String((await world.call('POST', '/v1/phone-numbers', { as: tenant.key, body: { type: 'webchat', name: 'Chat', settings: { allowed_origins: [ORIGIN] } } })).body['id'])
  ;[chat, sister, foreign] = [await open(ours), await open(ours), await open(theirs)]
})
afterAll(() => world.close())

type Probe = { body?: unknown; /** The signature in the address is the credential. */ link?: true; /** Needs no token. */ anyone?: true; /** Its token comes with the first frame: socket.test.ts. */ socket?: true }
const PROBES: Record<string, Probe> = {
  'GET /v1/webchat/:number_id/config': { anyone: true },
  'POST /v1/webchat/:number_id/sessions': { anyone: true, body: {} },
  'POST /v1/webchat/:number_id/messages': { body: { client_message_id: 'c_1', text: 'Hi' } },
  'GET /v1/webchat/:number_id/messages': {},
  'POST /v1/webchat/:number_id/media': {},
  'GET /v1/webchat/:number_id/media/:media_id': { link: true },
  'GET /v1/webchat/:number_id/socket': { socket: true },
}

const routes = () => world.app.routeTable.filter((route) => route.url.startsWith('/v1/webchat/') && route.method !== 'HEAD')
const nameOf = (route: RouteEntry) => `${route.method} ${route.url}`
const ask = (route: RouteEntry, number: string, token?: string, origin: string | null = ORIGIN) =>
  world.call(route.method, route.url.replace(':number_id', number).replace(':media_id', '0199a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b'), {
    headers: { ...(origin === null ? {} : { origin }), ...(token === undefined ? {} : { authorization: `Bearer ${token}` }) },
    ...(PROBES[nameOf(route)]?.body === undefined ? {} : { body: PROBES[nameOf(route)]!.body }),
  })
const tokenOf = async (number: string) => String((await world.call('POST', `/v1/webchat/${number}/sessions`, { headers: { origin: ORIGIN }, body: {} })).body['session_token'])

describe('the visitors\' door', () => {
  it('has a probe for every route, and every route is in the OpenAPI document', async () => {
    expect(routes().map(nameOf).toSorted()).toEqual(Object.keys(PROBES).toSorted())
    const document = JSON.parse((await world.call('GET', '/openapi.json')).text) as { paths: Record<string, Record<string, unknown>> }
    const described = routes().filter((route) => document.paths[route.url.replaceAll(/:(\w+)/g, '{$1}')]?.[route.method.toLowerCase()])
    expect(described).toHaveLength(routes().length)
  })

  it('answers nobody without a token, with an API key, or with a token of another number or tenant', async () => {
    const tokens = [undefined, 'nonsense', ours.key, ours.as.owner, await tokenOf(sister), await tokenOf(foreign)]
    for (const route of routes().filter((route) => Object.keys(PROBES[nameOf(route)]!).every((key) => key === 'body'))) {
      for (const token of tokens) expect([nameOf(route), (await ask(route, chat, token)).status]).toEqual([nameOf(route), 401])
    }
  })

  it('answers no page that is not on the list, and no client without one', async () => {
    const token = await tokenOf(chat)
    for (const route of routes().filter((route) => !PROBES[nameOf(route)]!.link)) {
      for (const origin of [null, 'https://evil.example.com', 'null']) expect([nameOf(route), (await ask(route, chat, token, origin)).status]).toEqual([nameOf(route), 403])
    }
  })

  it('says 404 for a number that is no web chat, and 400 for what is no id', async () => {
    for (const route of routes().filter((route) => !PROBES[nameOf(route)]!.link)) {
      expect([nameOf(route), (await ask(route, '0199a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b')).status]).toEqual([nameOf(route), 404])
      expect([nameOf(route), (await ask(route, "1'%20OR")).status]).toEqual([nameOf(route), 400])
    }
  })
})
