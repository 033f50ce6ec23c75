import { connect } from 'node:net'
import { gzipSync } from 'node:zlib'
import { channels } from '@trunkline/channels'
import { sign } from '@trunkline/app-sandbox'
import { conversationKey, type InboundEvent } from '@trunkline/core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { brokenBodies } from '../../channels/testing/fuzz.ts'
import type { Business, OurNumber } from './business.ts'
import { post, recorded, whatsappBody } from './post.ts'
import { openTown, type Town } from './town.ts'

const SEED = Number(process.env.FLOW_SEED ?? 20_261_121)
const BODIES = 2_000

let town: Town
let business: Business
beforeAll(async () => {
  town = await openTown({ settings: { REQUEST_TIMEOUT_MS: '1000' } })
  business = await town.business()
})
afterAll(() => town?.close())

type Sent = { status: number; text: string }

async function send(url: string, body: string | Buffer, headers: Record<string, string>): Promise<Sent> {
  const response = await fetch(url, { method: 'POST', headers, body: typeof body === 'string' ? body : new Uint8Array(body), signal: AbortSignal.timeout(20_000) })
  return { status: response.status, text: await response.text() }
}

/** The shape of DESIGN §7, and nothing of our inside. */
function expectClear({ status, text }: Sent): void {
  expect(status, text).toBeGreaterThanOrEqual(400)
  expect(status, text).toBeLessThan(500)
  const { error } = JSON.parse(text) as { error: Record<string, unknown> }
  expect(error).toMatchObject({ type: expect.any(String), code: expect.any(String), message: expect.any(String), request_id: expect.stringMatching(/^req_/) })
  expect(text).not.toMatch(/node_modules|\.ts:|SELECT|INSERT|sha256=/)
}

/** All, at most twenty at once. */
async function each<Item>(items: Iterable<Item>, work: (item: Item) => Promise<void>): Promise<void> {
  const iterator = items[Symbol.iterator]()
  const one = async () => {
    for (let next = iterator.next(); !next.done; next = iterator.next()) await work(next.value)
  }
  await Promise.all(Array.from({ length: 20 }, one))
}

const inboxOf = async (number: OurNumber) => (await town.rows<{ id: string }>('SELECT provider_message_id AS id FROM inbox WHERE number_id = $1', [number.id])).map((row) => row.id)

describe.each(['whatsapp', 'instagram'] as const)('%s: recorded bodies, broken in every way, signed and sent', (channel) => {
  it(`are answered with 200 or a clear 4xx; what was accepted is whole, what was refused left nothing (seed ${SEED})`, { timeout: 120_000 }, async () => {
    // Nobody answers on this number: the bodies are the subject, and every message still goes through the queue.
    const number = await business.number({ type: channel, prompt: null, number: { window_size: 64 } })
    const ours = channel === 'whatsapp' ? '209900000000001' : '17840000000000001'
    const accepted = new Set<string>()
    const refused = new Set<string>()
    const statuses = new Map<number, number>()
    await each(brokenBodies(channel, SEED, BODIES), async (broken) => {
      const text = broken.replaceAll(ours, number.address)
      const answer = await send(number.webhookUrl, text, { 'content-type': 'application/json', 'x-hub-signature-256': sign(number.appSecret, text) })
      statuses.set(answer.status, (statuses.get(answer.status) ?? 0) + 1)
      if (answer.status !== 200) expectClear(answer)
      for (const id of messagesOf(channel, number, text)) (answer.status === 200 ? accepted : refused).add(id)
    })
    expect([...statuses.keys()].filter((status) => status !== 200 && (status < 400 || status > 499))).toEqual([])
    expect(statuses.get(200)).toBeGreaterThan(BODIES / 4)
    const stored = await inboxOf(number)
    expect(new Set(stored)).toEqual(accepted)
    expect(stored).toHaveLength(accepted.size)
    expect([...refused].filter((id) => !accepted.has(id) && stored.includes(id))).toEqual([])
    // Nothing of it is poison: every message comes to rest in its conversation.
    await town.until<{ waiting: number }>('SELECT (next_seq - 1 - cursor_seq - cardinality(ahead))::int AS waiting FROM lanes WHERE number_id = $1', [number.id], ([lane]) => lane!.waiting === 0, 60_000)
    expect(await town.rows("SELECT outcome, reason, count(*)::int FROM turns WHERE number_id = $1 AND (outcome <> 'silent' OR reason NOT IN ('no_agent', 'human_handles')) GROUP BY 1, 2", [number.id])).toEqual([])
    expect(await town.rows("SELECT 1 FROM number_notices WHERE number_id = $1 AND topic = 'messages_not_stored'", [number.id])).toEqual([])
    await town.until('SELECT 1 FROM effects WHERE number_id = $1 AND outcome IS NULL', [number.id], (rows) => rows.length === 0, 30_000)
    expect(await town.rows("SELECT kind FROM effects WHERE number_id = $1 AND outcome = 'failed'", [number.id])).toEqual([])
  })
})

/** What the body says to this number, by the channel's own reading. */
function messagesOf(channel: 'whatsapp' | 'instagram', number: OurNumber, text: string): string[] {
  let events: InboundEvent[]
  try {
    events = channels[channel].normalise(JSON.parse(text), Date.now())
  } catch {
    return []
  }
  return events.flatMap((event) => (event.kind === 'message' && (event.to === number.address || event.to === '') && conversationKey(event.from) !== '' ? [event.providerMessageId] : []))
}

describe('web chat: a visitor who says nonsense', () => {
  it(`hears 202 or a clear 4xx, and leaves nothing when refused (seed ${SEED})`, { timeout: 60_000 }, async () => {
    const number = await business.number({ type: 'webchat', prompt: null, number: { settings: { allowed_origins: ['https://shop.example.com'] } } })
    const origin = { origin: 'https://shop.example.com', 'content-type': 'application/json' }
    const url = `${town.apiUrl}/v1/webchat/${number.id}`
    const session = JSON.parse((await send(`${url}/sessions`, '{}', origin)).text) as { session_token: string }
    const headers = { ...origin, authorization: `Bearer ${session.session_token}` }
    let accepted = 0
    await each(brokenBodies('webchat', SEED, 400), async (broken) => {
      // The recorded bodies are what the app makes of a visitor's words; without the app's own fields they are those words.
      const answer = await send(`${url}/messages`, broken.replace(/"(?:number_id|visitor_id|type|at_ms)":(?:"[^"]*"|\d+),?/g, ''), headers)
      if (answer.status === 202) accepted += (JSON.parse(answer.text) as { duplicate: boolean }).duplicate ? 0 : 1
      else expectClear(answer)
    })
    expect(await inboxOf(number)).toHaveLength(accepted)
  })
})

describe('at the door of the webhooks', () => {
  let number: OurNumber
  beforeAll(async () => {
    number = await business.number({ prompt: null })
  })
  const signed = (body: string | Buffer) => ({ 'content-type': 'application/json', 'x-hub-signature-256': sign(number.appSecret, body) })
  const text = () => JSON.stringify(recorded('whatsapp', 'text', number))
  const expectRefusal = async (body: string | Buffer, headers: Record<string, string>, status: number, code: string, url = number.webhookUrl) => {
    const answer = await send(url, body, headers)
    expectClear(answer)
    expect([answer.status, (JSON.parse(answer.text) as { error: { code: string } }).error.code]).toEqual([status, code])
    return answer.text
  }

  it('a signature that is missing, wrong, cut, of another secret, or of the body re-serialised is 401 with one constant answer', async () => {
    const body = text()
    const good = sign(number.appSecret, body)
    const bad: (string | undefined)[] = [undefined, '', 'sha256=', good.slice(0, -1), good.slice(7), `${good}00`, good.toUpperCase().replace('SHA256', 'sha256').replace(/.$/, (digit) => (digit === '0' ? '1' : '0')), sign('another secret of someone', body), sign(number.appSecret, JSON.stringify(JSON.parse(body), null, 1)), `sha1=${good.slice(7, 47)}`]
    const answers = new Set<string>()
    for (const signature of bad) {
      const headers = { 'content-type': 'application/json', ...(signature === undefined ? {} : { 'x-hub-signature-256': signature }) }
      answers.add((await expectRefusal(body, headers, 401, 'signature_invalid')).replace(/req_\w+/, 'req'))
    }
    expect(answers.size).toBe(1)
    expect(await inboxOf(number)).toEqual([])
  })

  it.each([
    ['nothing', '', 400, 'invalid_json'],
    ['half a body', '{"object":"whatsapp_business_account","entry":[', 400, 'invalid_json'],
    ['null', 'null', 400, 'invalid_request'],
    ['a number', '1e999', 400, 'invalid_request'],
    ['another platform', '{"object":"page","entry":[]}', 400, 'invalid_request'],
    ['a thousand and one messages', JSON.stringify({ object: 'whatsapp_business_account', entry: [{ id: '1', changes: [{ field: 'messages', value: { metadata: { phone_number_id: '1' }, messages: Array.from({ length: 1_001 }, (_, id) => ({ id: `wamid.${id}`, from: '4915100000000', type: 'text', text: { body: 'x' } })) } }] }] }), 400, 'invalid_request'],
  ])('%s, well signed, is refused and leaves nothing', async (_what, body, status, code) => {
    await expectRefusal(body, signed(body), status, code)
    expect(await inboxOf(number)).toEqual([])
  })

  it('any content type is read as what it is: the signature decides', async () => {
    const body = JSON.stringify(whatsappBody(number, '4915100000077', ['plain']))
    expect((await send(number.webhookUrl, body, { ...signed(body), 'content-type': 'text/plain' })).status).toBe(200)
    const bytes = Buffer.from([0xff, 0xfe, 0x00, 0xd8])
    await expectRefusal(bytes, { ...signed(bytes), 'content-type': 'application/octet-stream' }, 400, 'invalid_json')
  })

  it('more than three megabytes are 413, whether announced or only sent', async () => {
    const large = JSON.stringify({ object: 'whatsapp_business_account', entry: ['x'.repeat(3 * 1024 * 1024)] })
    await expectRefusal(large, signed(large), 413, 'payload_too_large')
  })

  it('a gzip bomb is not unpacked', async () => {
    const bomb = gzipSync(Buffer.alloc(50 * 1024 * 1024, ' '))
    expect(bomb.length).toBeLessThan(100_000)
    const before = process.memoryUsage().rss
    const answer = await send(number.webhookUrl, bomb, { ...signed(bomb), 'content-encoding': 'gzip' })
    expectClear(answer)
    expect(process.memoryUsage().rss - before).toBeLessThan(40 * 1024 * 1024)
  })

  it.each([
    ['an unknown number', (url: string) => url.replace(/[^/]+$/, '0199a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b')],
    ['no id at all', (url: string) => url.replace(/[^/]+$/, 'x')],
    ['an id with a zero byte', (url: string) => url.replace(/[^/]+$/, '%00')],
    ['another channel', (url: string) => url.replace('/whatsapp/', '/instagram/')],
    ['a channel that does not exist', (url: string) => url.replace('/whatsapp/', '/telegram/')],
    ['a very long id', (url: string) => url.replace(/[^/]+$/, 'a'.repeat(5_000))],
    ['a path below', (url: string) => `${url}/more`],
  ])('%s is 404', async (_what, change) => {
    const body = text()
    await expectRefusal(body, signed(body), 404, 'not_found', change(number.webhookUrl))
  })

  it('a path that is not well encoded is 400, here and in the API', async () => {
    await expectRefusal('{}', signed('{}'), 400, 'invalid_request', `${town.apiUrl}/webhooks/whatsapp/%zz`)
    await expectRefusal('{}', signed('{}'), 400, 'invalid_request', `${town.apiUrl}/v1/messages/%ff/retry`)
    await expectRefusal('{}', signed('{}'), 404, 'not_found', `${town.apiUrl}/v1/messages/${'a'.repeat(5_000)}/retry`)
  })

  it('a body that does not come in time ends with 408 and a closed connection', { timeout: 30_000 }, async () => {
    const { port, pathname } = new URL(number.webhookUrl)
    const answer = await new Promise<string>((resolve, reject) => {
      const socket = connect(Number(port), '127.0.0.1', () => socket.write(`POST ${pathname} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 1000\r\n\r\n{"object":`))
      let heard = ''
      socket.on('data', (chunk) => (heard += chunk.toString()))
      socket.once('close', () => resolve(heard))
      socket.once('error', reject)
    })
    expect(answer).toMatch(/^HTTP\/1\.1 408 /)
  })

  it('after all of that the door still works', async () => {
    expect((await post(number, recorded('whatsapp', 'text', number))).status).toBe(200)
  })
})
