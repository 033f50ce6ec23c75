import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import type { Sandbox } from '../../index.ts'
import { sign, startSandbox } from '../../index.ts'

type Messaging = { sender: { id: string }; recipient: { id: string }; message?: Record<string, unknown>; read?: { mid: string } }

const IG = '17841400000000001'
let sandbox: Sandbox
let events: Messaging[] = []
let arrived: (() => void)[] = []

const server = createServer((request, response) => {
  const chunks: Buffer[] = []
  request.on('data', (chunk: Buffer) => chunks.push(chunk)).on('end', () => {
    const raw = Buffer.concat(chunks)
    const isSigned = request.headers['x-hub-signature-256'] === sign('ig-secret', raw)
    if (isSigned) for (const entry of (JSON.parse(raw.toString()) as { entry: { messaging: Messaging[] }[] }).entry) events.push(...entry.messaging)
    response.writeHead(isSigned ? 200 : 401).end()
    for (const wake of arrived.splice(0)) wake()
  })
})

async function eventsCount(count: number): Promise<Messaging[]> {
  while (events.length < count) await new Promise<void>((resolve) => arrived.push(resolve))
  return events
}

beforeAll(async () => {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const webhook_url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/ig`
  sandbox = await startSandbox({ accounts: [{ ig_id: IG, access_token: 'ig-token', app_secret: 'ig-secret', webhook_url }] })
})
afterEach(() => {
  sandbox.reset()
  sandbox.instagram.register({ ig_id: IG, window_ms: null })
  events = []
})
afterAll(async () => {
  await sandbox.close()
  server.close()
})

const send = (body: unknown, id = IG) => fetch(`${sandbox.url}/v23.0/${id}/messages`, { method: 'POST', headers: { authorization: 'Bearer ig-token', 'content-type': 'application/json' }, body: JSON.stringify(body) })
const errorOf = async (answer: Response) => ((await answer.json()) as { error: { code: number; error_subcode?: number } }).error

describe('Instagram', () => {
  it('accepts a text, echoes it with its mid and metadata, and tells that it was seen', async () => {
    const answer = (await (await send({ recipient: { id: '77' }, message: { text: 'Hello', metadata: 'out-1' } })).json()) as { recipient_id: string; message_id: string }
    expect(answer.recipient_id).toBe('77')
    const [echo, seen] = await eventsCount(2)
    expect(echo).toMatchObject({ sender: { id: IG }, recipient: { id: '77' }, message: { mid: answer.message_id, text: 'Hello', is_echo: true, metadata: 'out-1' } })
    expect(seen).toMatchObject({ sender: { id: '77' }, read: { mid: answer.message_id } })
    expect(sandbox.journal.sends()).toMatchObject([{ callbackData: 'out-1', to: '77' }])
  })

  it('counts bytes and not characters: 1,000 are the limit', async () => {
    expect((await send({ recipient: { id: '77' }, message: { text: 'ä'.repeat(500) } })).status).toBe(200)
    expect(await errorOf(await send({ recipient: { id: '77' }, message: { text: 'ä'.repeat(501) } }))).toMatchObject({ code: 100 })
  })

  it.each([
    ['no recipient', { message: { text: 'x' } }],
    ['no message', { recipient: { id: '77' } }],
    ['fourteen quick replies', { recipient: { id: '77' }, message: { text: 'x', quick_replies: Array.from({ length: 14 }, (_, n) => ({ content_type: 'text', title: `${n}`, payload: `${n}` })) } }],
    ['a null quick reply', { recipient: { id: '77' }, message: { text: 'x', quick_replies: [null] } }],
    ['a null element', { recipient: { id: '77' }, message: { attachment: { type: 'template', payload: { template_type: 'generic', elements: [null] } } } }],
    ['a tag without a name', { recipient: { id: '77' }, messaging_type: 'MESSAGE_TAG', message: { text: 'x' } }],
    ['an unknown sender action', { recipient: { id: '77' }, sender_action: 'dance' }],
    ['null as recipient', { recipient: null, message: { text: 'x' } }],
  ])('refuses %s', async (_name, body) => {
    expect(await errorOf(await send(body))).toMatchObject({ code: 100 })
  })

  it('closes its window with 10/2534022 and opens it when the customer writes', async () => {
    sandbox.instagram.register({ ig_id: IG, window_ms: 60_000 })
    expect(await errorOf(await send({ recipient: { id: '78' }, message: { text: 'x' } }))).toMatchObject({ code: 10, error_subcode: 2534022 })
    await sandbox.instagram.customerWrites('78', 'Hello?')
    expect((await send({ recipient: { id: '78' }, message: { text: 'x' } })).status).toBe(200)
  })

  it('delivers customers in messaging[] form and knows their profile', async () => {
    const { ids, delivery } = await sandbox.instagram.customerWrites('79', { text: 'Hi', name: 'Grace', username: 'grace' })
    expect(delivery.state).toBe('delivered')
    expect((await eventsCount(1)).filter(({ sender }) => sender.id === '79')).toMatchObject([{ sender: { id: '79' }, recipient: { id: IG }, message: { mid: ids[0], text: 'Hi' } }])
    expect(await (await fetch(`${sandbox.url}/v23.0/79?fields=name,username&access_token=ig-token`)).json()).toMatchObject({ name: 'Grace', username: 'grace' })
  })

  it('sends files under addresses that need no token', async () => {
    await sandbox.instagram.customerWrites('80', { file: { base64: Buffer.from('JPG!').toString('base64'), mime_type: 'image/jpeg' } })
    const [event] = (await eventsCount(1)).filter(({ sender }) => sender.id === '80')
    const [attachment] = event!.message!.attachments as { type: string; payload: { url: string } }[]
    expect([attachment!.type, await (await fetch(attachment!.payload.url)).text()]).toEqual(['image', 'JPG!'])
  })

  it('shows typing', async () => {
    expect(await (await send({ recipient: { id: '77' }, sender_action: 'typing_on' })).json()).toEqual({ recipient_id: '77' })
    expect(sandbox.journal.query({ target: 'instagram.sender_action' })).toMatchObject([{ kind: 'typing_on' }])
  })
})
