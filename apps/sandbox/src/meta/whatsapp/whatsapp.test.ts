import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import type { Sandbox } from '../../index.ts'
import { sign, startSandbox } from '../../index.ts'

type Hook = { signature: string; raw: string; body: { object: string; entry: { changes: { field: string; value: Record<string, never> }[] }[] } }

const NUMBER = { phone_number_id: '106540352242922', access_token: 'token-a', app_secret: 'secret-a', verify_token: 'verify-a' }
let sandbox: Sandbox
let hooks: Hook[] = []
let answers: number[] = []
let arrived: (() => void)[] = []

/** A business's webhook: answers the scripted statuses, then 200. */
const server = createServer((request, response) => {
  const url = new URL(request.url!, 'http://localhost')
  if (request.method === 'GET') return void response.end(url.searchParams.get('hub.verify_token') === NUMBER.verify_token ? url.searchParams.get('hub.challenge') : 'no')
  const chunks: Buffer[] = []
  request.on('data', (chunk: Buffer) => chunks.push(chunk)).on('end', () => {
    const raw = Buffer.concat(chunks).toString()
    hooks.push({ signature: String(request.headers['x-hub-signature-256']), raw, body: JSON.parse(raw) as Hook['body'] })
    response.writeHead(answers.shift() ?? 200).end()
    for (const wake of arrived.splice(0)) wake()
  })
})

async function hooksCount(count: number): Promise<Hook[]> {
  while (hooks.length < count) await new Promise<void>((resolve) => arrived.push(resolve))
  return hooks
}

beforeAll(async () => {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  sandbox = await startSandbox({ retry: { firstMs: 5, maxMs: 20 } })
  sandbox.whatsapp.register({ ...NUMBER, webhook_url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/hook`, statuses: false })
})
afterEach(() => {
  sandbox.reset()
  sandbox.whatsapp.register({ phone_number_id: NUMBER.phone_number_id, statuses: false, window_ms: null })
  hooks = []
  answers = []
  arrived = []
})
afterAll(async () => {
  await sandbox.close()
  server.close()
})

const send = (body: unknown, token = NUMBER.access_token, id = NUMBER.phone_number_id) =>
  fetch(`${sandbox.url}/v23.0/${id}/messages`, { method: 'POST', headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' }, body: JSON.stringify(body) })
const text = (body: string, extra: object = {}) => ({ messaging_product: 'whatsapp', to: '+49 170 1234567', type: 'text', text: { body }, ...extra })
const statusesOf = (all: Hook[]) => all.flatMap(({ body }) => body.entry.flatMap(({ changes }) => changes.flatMap(({ value }) => (value as { statuses?: { status: string }[] }).statuses ?? []))) as Record<string, unknown>[]

describe('sending on WhatsApp', () => {
  it('answers as the Cloud API does and journals the send', async () => {
    const answer = await send(text('Good morning', { biz_opaque_callback_data: 'msg-1' }))
    const json = (await answer.json()) as { messages: { id: string }[] }
    expect(answer.status).toBe(200)
    expect(json).toEqual({ messaging_product: 'whatsapp', contacts: [{ input: '+49 170 1234567', wa_id: '491701234567' }], messages: [{ id: expect.stringMatching(/^wamid\./) as string }] })
    expect(sandbox.journal.sends()).toMatchObject([{ to: '491701234567', callbackData: 'msg-1', text: 'Good morning', id: json.messages[0]!.id }])
  })

  it('refuses a wrong token with 190 and an unknown number with 100/33', async () => {
    const wrong = await send(text('x'), 'nobody')
    expect([wrong.status, ((await wrong.json()) as { error: { code: number } }).error.code]).toEqual([401, 190])
    const unknown = await send(text('x'), NUMBER.access_token, '999')
    expect([unknown.status, await unknown.json()]).toMatchObject([400, { error: { code: 100, error_subcode: 33 } }])
  })

  it.each([
    ['no product', { to: '491701234567', text: { body: 'x' } }, 100],
    ['no recipient', { messaging_product: 'whatsapp', text: { body: 'x' } }, 100],
    ['text of 4097 characters', text('x'.repeat(4097)), 100],
    ['callback data of 513 characters', text('x', { biz_opaque_callback_data: 'x'.repeat(513) }), 100],
    ['empty text', text(''), 131008],
    ['unknown type', { messaging_product: 'whatsapp', to: '491701234567', type: 'hologram' }, 131009],
    ['an inherited property as type', { messaging_product: 'whatsapp', to: '491701234567', type: 'constructor' }, 131009],
    ['unknown media id', { messaging_product: 'whatsapp', to: '491701234567', type: 'image', image: { id: '1' } }, 100],
    ['null in a contact list', { messaging_product: 'whatsapp', to: '491701234567', type: 'contacts', contacts: [null] }, 131008],
    ['null as template', { messaging_product: 'whatsapp', to: '491701234567', type: 'template', template: null }, 131008],
    ['a bare string as body', 'hello', 100],
  ])('refuses %s', async (_name, body, code) => {
    const answer = await send(body)
    const { error } = (await answer.json()) as { error: { code: number; type: string; fbtrace_id: string } }
    expect([answer.status, error.code, error.type]).toEqual([400, code, 'OAuthException'])
    expect(error.fbtrace_id).toBeTruthy()
    expect(sandbox.journal.sends()).toEqual([])
  })

  it.each([
    ['four buttons', { type: 'button', body: { text: 'Pick' }, action: { buttons: [1, 2, 3, 4].map((id) => ({ type: 'reply', reply: { id: `${id}`, title: `B${id}` } })) } }],
    ['a title of 21 characters', { type: 'button', body: { text: 'Pick' }, action: { buttons: [{ type: 'reply', reply: { id: 'a', title: 'x'.repeat(21) } }] } }],
    ['the same button id twice', { type: 'button', body: { text: 'Pick' }, action: { buttons: [1, 2].map((n) => ({ type: 'reply', reply: { id: 'a', title: `B${n}` } })) } }],
    ['eleven rows', { type: 'list', body: { text: 'Pick' }, action: { button: 'Open', sections: [{ rows: Array.from({ length: 11 }, (_, id) => ({ id: `${id}`, title: 'r' })) }] } }],
    ['a null button', { type: 'button', body: { text: 'Pick' }, action: { buttons: [null] } }],
    ['a null section', { type: 'list', body: { text: 'Pick' }, action: { button: 'Open', sections: [null] } }],
    ['a null row', { type: 'list', body: { text: 'Pick' }, action: { button: 'Open', sections: [{ rows: [null] }] } }],
  ])('refuses an interactive message with %s', async (_name, interactive) => {
    const answer = await send({ messaging_product: 'whatsapp', to: '491701234567', type: 'interactive', interactive })
    expect(answer.status).toBe(400)
  })

  it('takes a business-scoped user id as recipient', async () => {
    const answer = await send({ messaging_product: 'whatsapp', recipient: 'US.13491208655302741918', type: 'text', text: { body: 'Hi' } })
    expect(await answer.json()).toMatchObject({ contacts: [{ input: 'US.13491208655302741918', user_id: 'US.13491208655302741918' }] })
  })

  it('marks as read with a typing indicator', async () => {
    const answer = await send({ messaging_product: 'whatsapp', status: 'read', message_id: 'wamid.X', typing_indicator: { type: 'text' } })
    expect(await answer.json()).toEqual({ success: true })
    expect(sandbox.journal.query({ target: 'whatsapp.read' })).toMatchObject([{ kind: 'typing', id: 'wamid.X' }])
  })
})

describe('statuses', () => {
  it('are told in order, signed, with callback data and pricing', async () => {
    sandbox.whatsapp.register({ phone_number_id: NUMBER.phone_number_id, statuses: {} })
    await send(text('Hi', { biz_opaque_callback_data: 'msg-7' }))
    const told = await hooksCount(3)
    expect(statusesOf(told).map(({ status }) => status)).toEqual(['sent', 'delivered', 'read'])
    for (const hook of told) expect(hook.signature).toBe(sign(NUMBER.app_secret, hook.raw))
    expect(statusesOf(told)[0]).toMatchObject({ biz_opaque_callback_data: 'msg-7', recipient_id: '491701234567', pricing: { billable: true, category: 'service' } })
  })

  it('can be scripted by a fault: reversed and doubled', async () => {
    sandbox.whatsapp.register({ phone_number_id: NUMBER.phone_number_id, statuses: {} })
    sandbox.faults.add({ target: 'whatsapp.status', times: 1, action: { statuses: ['read', 'delivered', 'sent', 'sent'] } })
    await send(text('Hi'))
    expect(statusesOf(await hooksCount(4)).map(({ status }) => status)).toEqual(['read', 'delivered', 'sent', 'sent'])
  })

  it('tell 131047 after a free-form message outside the window, and nothing of the kind for a template', async () => {
    sandbox.whatsapp.register({ phone_number_id: NUMBER.phone_number_id, statuses: { sequence: ['sent'] }, window_ms: 60_000 })
    await send(text('Hi'))
    expect(statusesOf(await hooksCount(1))[0]).toMatchObject({ status: 'failed', errors: [{ code: 131047 }] })
    await send({ messaging_product: 'whatsapp', to: '491701234567', type: 'template', template: { name: 'hello', language: { code: 'en' } } })
    expect(statusesOf(await hooksCount(2))[1]).toMatchObject({ status: 'sent' })
  })
})

describe('customers of WhatsApp', () => {
  it('write signed webhooks in the real form', async () => {
    const sent = await sandbox.whatsapp.customerWrites('491701234567', { text: 'Hello', name: 'Ada' })
    const [hook] = await hooksCount(1)
    expect(hook!.signature).toBe(sign(NUMBER.app_secret, hook!.raw))
    expect(hook!.body).toMatchObject({
      object: 'whatsapp_business_account',
      entry: [{ changes: [{ field: 'messages', value: { metadata: { phone_number_id: NUMBER.phone_number_id }, contacts: [{ wa_id: '491701234567', profile: { name: 'Ada' } }], messages: [{ from: '491701234567', id: sent.ids[0], type: 'text', text: { body: 'Hello' } }] } }] }],
    })
    expect(sent.delivery).toMatchObject({ state: 'delivered', attempts: 1, status: 200 })
  })

  it('may come without a phone number', async () => {
    await sandbox.whatsapp.customerWrites('491701234567', { text: 'Hi', user_id: 'US.1349', hide_phone: true })
    const [hook] = await hooksCount(1)
    const { contacts, messages } = hook!.body.entry[0]!.changes[0]!.value as unknown as { contacts: object[]; messages: object[] }
    expect(contacts[0]).toEqual({ profile: { name: 'Sandbox Customer' }, user_id: 'US.1349' })
    expect(messages[0]).toMatchObject({ from_user_id: 'US.1349' })
    expect(messages[0]).not.toHaveProperty('from')
  })

  it('are batched over entries, changes or messages', async () => {
    const messages = ['a', 'b'].map((body) => ({ type: 'text', text: { body } }))
    for (const batch of ['messages', 'changes', 'entries'] as const) await sandbox.whatsapp.customerWrites('491701234567', { messages, batch })
    const shapes = (await hooksCount(3)).map(({ body }) => [body.entry.length, body.entry[0]!.changes.length, (body.entry[0]!.changes[0]!.value as unknown as { messages: object[] }).messages.length])
    expect(shapes).toEqual([[1, 1, 2], [1, 2, 1], [2, 1, 1]])
  })

  it('are retried with the same body until 200', async () => {
    answers = [500, 503]
    await sandbox.whatsapp.customerWrites('491701234567', 'Hello')
    await sandbox.waitFor(({ target, outcome }) => target === 'webhook.out' && outcome === 'accepted')
    expect(new Set((await hooksCount(3)).map(({ raw }) => raw)).size).toBe(1)
    expect(sandbox.deliveries()).toMatchObject([{ attempts: 3, state: 'delivered' }])
  })

  it('are given up after the last attempt, and forgotten by a reset', async () => {
    answers = Array.from({ length: 40 }, () => 500)
    await sandbox.whatsapp.customerWrites('491701234567', 'Hello')
    sandbox.reset()
    const { delivery } = await sandbox.whatsapp.customerWrites('491701234567', 'Again')
    await sandbox.waitForCount(({ target, outcome }) => target === 'webhook.out' && outcome === 'refused', 14)
    expect([delivery.state, delivery.attempts, sandbox.deliveries().length]).toEqual(['given_up', 14, 1])
  })

  it('are delivered many times and with a wrong signature when a fault says so', async () => {
    sandbox.faults.add({ target: 'webhook.out', times: 1, action: { copies: 4, badSignature: true } })
    await sandbox.whatsapp.customerWrites('491701234567', 'Hello')
    const told = await hooksCount(5)
    expect(told[0]!.signature).not.toBe(sign(NUMBER.app_secret, told[0]!.raw))
  })

  it('send files that are fetched with the token, until they expire', async () => {
    await sandbox.whatsapp.customerWrites('491701234567', { file: { base64: Buffer.from('PNG!').toString('base64'), mime_type: 'image/png' } })
    const [hook] = await hooksCount(1)
    const [message] = (hook!.body.entry[0]!.changes[0]!.value as unknown as { messages: { image: { id: string } }[] }).messages
    const auth = { headers: { authorization: `Bearer ${NUMBER.access_token}` } }
    const found = (await (await fetch(`${sandbox.url}/v23.0/${message!.image.id}`, auth)).json()) as { url: string; mime_type: string; file_size: number }
    expect(found).toMatchObject({ mime_type: 'image/png', file_size: 4 })
    expect((await fetch(found.url)).status).toBe(401)
    expect(await (await fetch(found.url, auth)).text()).toBe('PNG!')
    await fetch(`${sandbox.url}/sandbox/media/expire`, { method: 'POST' })
    expect((await fetch(found.url, auth)).status).toBe(404)
  })
})

describe('media uploads', () => {
  it('give an id that can be sent', async () => {
    const form = new FormData()
    form.set('messaging_product', 'whatsapp')
    form.set('file', new File(['OggS'], 'voice.ogg', { type: 'audio/ogg' }))
    const answer = await fetch(`${sandbox.url}/v23.0/${NUMBER.phone_number_id}/media`, { method: 'POST', headers: { authorization: `Bearer ${NUMBER.access_token}` }, body: form })
    const { id } = (await answer.json()) as { id: string }
    expect((await send({ messaging_product: 'whatsapp', to: '491701234567', type: 'audio', audio: { id } })).status).toBe(200)
  })
})

describe('the handshake', () => {
  it('accepts a webhook that returns the bare challenge and refuses another', async () => {
    expect(await sandbox.whatsapp.verify(NUMBER.phone_number_id)).toMatchObject({ ok: true })
    sandbox.whatsapp.register({ phone_number_id: NUMBER.phone_number_id, verify_token: 'other' })
    expect(await sandbox.whatsapp.verify(NUMBER.phone_number_id)).toMatchObject({ ok: false, status: 200 })
    sandbox.whatsapp.register({ phone_number_id: NUMBER.phone_number_id, verify_token: NUMBER.verify_token })
  })
})

describe('faults of sends', () => {
  it('answer the provider\'s code to one customer only', async () => {
    sandbox.faults.add({ target: 'whatsapp.send', match: { to: '491701234567' }, action: { errorCode: 131056 } })
    expect(await (await send(text('x'))).json()).toMatchObject({ error: { code: 131056 } })
    expect((await send({ ...text('x'), to: '491709999999' })).status).toBe(200)
  })

  it('acceptThenHang accepts, tells statuses and never answers', async () => {
    sandbox.whatsapp.register({ phone_number_id: NUMBER.phone_number_id, statuses: { sequence: ['sent'] } })
    sandbox.faults.add({ target: 'whatsapp.send', times: 1, action: { acceptThenHang: true } })
    const abort = new AbortController()
    const pending = fetch(`${sandbox.url}/v23.0/${NUMBER.phone_number_id}/messages`, {
      method: 'POST', headers: { authorization: `Bearer ${NUMBER.access_token}`, 'content-type': 'application/json' }, body: JSON.stringify(text('x', { biz_opaque_callback_data: 'lost' })), signal: abort.signal,
    })
    expect(statusesOf(await hooksCount(1))[0]).toMatchObject({ status: 'sent', biz_opaque_callback_data: 'lost' })
    abort.abort()
    await expect(pending).rejects.toThrow('aborted')
    expect(sandbox.journal.sends({ callbackData: 'lost' })).toHaveLength(1)
  })

  it('reset accepts nothing, acceptThenReset accepts', async () => {
    sandbox.faults.add({ target: 'whatsapp.send', times: 1, action: { reset: true } })
    await expect(send(text('x'))).rejects.toThrow('fetch failed')
    expect(sandbox.journal.sends()).toHaveLength(0)
    sandbox.faults.add({ target: 'whatsapp.send', times: 1, action: { acceptThenReset: true } })
    await expect(send(text('x'))).rejects.toThrow('fetch failed')
    expect(sandbox.journal.sends()).toHaveLength(1)
  })

  it('garbage and a cut body are not JSON', async () => {
    for (const action of [{ garbage: true }, { cutStreamAfterEvents: 1 }]) {
      sandbox.faults.add({ target: 'whatsapp.send', times: 1, action })
      await expect(send(text('x')).then((answer) => answer.json())).rejects.toThrow(/JSON|terminated/)
    }
  })

  it('the journal names what a customer got twice', async () => {
    for (const data of ['one', 'two', 'one']) await send(text('x', { biz_opaque_callback_data: data }))
    expect([...sandbox.journal.duplicates()].map(([key, entries]) => [key, entries.length])).toEqual([['one', 2]])
  })
})
