import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { openChatWorld, ORIGIN, type ChatWorld } from './testing.ts'

let world: ChatWorld
let number: string
beforeAll(async () => {
  world = await openChatWorld({ sweepMs: 100, sessionsPerMinute: 10_000, filesPerMinute: 50, fileBytesMax: 200_000 })
  number = await world.number({
    title: 'Harbour', pre_chat_fields: [{ name: 'name', label: 'Your name', type: 'text', required: true }, { name: 'email', label: 'E-mail', type: 'email' }],
  })
})
afterAll(() => world.close())

const get = async (path: string, token?: string, init: RequestInit = {}) => {
  const response = await fetch(`${world.url}/v1/webchat/${number}${path}`, { ...init, headers: { origin: ORIGIN, ...(token === undefined ? {} : { authorization: `Bearer ${token}` }), ...(init.headers as Record<string, string>) } })
  return { status: response.status, headers: response.headers, body: (await response.json()) as { data: { seq: number; content: { text: string } }[]; has_more: boolean; error?: { code: string } } & Record<string, unknown> }
}
const PNG = Buffer.from('iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg==', 'base64')
const upload = (token: string, bytes: Uint8Array<ArrayBuffer>, name = 'photo.png', type = 'image/png') => {
  const body = new FormData()
  body.append('file', new File([bytes], name, { type }))
  return get('/media', token, { method: 'POST', body })
}

describe('sessions', () => {
  it('keeps a returning visitor and begins a new one for any token that is not good', async () => {
    const first = await world.session(number)
    expect((await world.session(number, first.token)).visitorId).toBe(first.visitorId)
    const elsewhere = await world.session(await world.number())
    for (const token of ['nonsense', `${first.token}x`, elsewhere.token]) expect((await world.session(number, token)).visitorId).not.toBe(first.visitorId)
  })

  it('shows how the chat looks, and no other setting', async () => {
    const { body } = await get('/config')
    expect(Object.keys(body).toSorted()).toEqual(['accent_colour', 'greeting', 'launcher_position', 'pre_chat_fields', 'title'])
    expect(body).toMatchObject({ title: 'Harbour', pre_chat_fields: [{ name: 'name', required: true }, { name: 'email', required: false }] })
  })

  it('answers pages of the list only, preflights of all', async () => {
    const refused = await get('/config', undefined, { headers: { origin: 'https://evil.example.com' } })
    expect([refused.status, refused.body.error?.code]).toEqual([403, 'origin_not_allowed'])
    const missing = await world.call('POST', `/v1/webchat/${number}/sessions`, { body: {} })
    expect([missing.status, missing.body['error']?.['param']]).toEqual([403, 'headers.origin'])
    const preflight = await fetch(`${world.url}/v1/webchat/${number}/messages`, { method: 'OPTIONS', headers: { origin: ORIGIN, 'access-control-request-method': 'POST', 'access-control-request-headers': 'authorization,content-type' } })
    expect([preflight.status, preflight.headers.get('access-control-allow-origin'), preflight.headers.get('access-control-allow-headers')]).toEqual([204, '*', 'authorization,content-type'])
  })

  it('knows no chat of another channel, of a deleted number or of a suspended tenant', async () => {
    const gone = await world.number()
    await world.call('DELETE', `/v1/phone-numbers/${gone}`, { as: world.tenant.key })
    expect((await world.post(gone, '/sessions', undefined, {})).status).toBe(404)
    const other = await world.newTenant('Suspended')
    const theirs = await world.number({}, other)
    await world.db.system('test', (tx) => tx.query("UPDATE tenants SET status = 'suspended' WHERE id = $1", [other.id]))
    await world.deps.ports.routing.invalidateTenant(other.id)
    expect((await world.post(theirs, '/sessions', undefined, {})).body.error).toMatchObject({ code: 'tenant_suspended' })
  })

  it('limits new sessions by address', async () => {
    const strict = await openChatWorld({ sessionsPerMinute: 2 })
    const chat = await strict.number()
    const answers = [await strict.post(chat, '/sessions', undefined, {}), await strict.post(chat, '/sessions', undefined, {}), await strict.post(chat, '/sessions', undefined, {})]
    expect(answers.map((answer) => answer.status)).toEqual([201, 201, 429])
    await strict.close()
  })
})

describe('messages', () => {
  const preChat = { name: 'Ada', email: 'ada@example.com' }

  it('are accepted once, with what was asked before the chat', async () => {
    const { token, visitorId } = await world.session(number)
    const words = { client_message_id: 'c_1', text: 'Hello', pre_chat: preChat, page_url: 'https://shop.example.com/bikes' }
    const [first, again] = [await world.post(number, '/messages', token, words), await world.post(number, '/messages', token, words)]
    expect([first.status, first.body['duplicate'], again.body['duplicate']]).toEqual([202, false, true])
    expect(again.body['message_id']).toBe(first.body['message_id'])
    const { rows } = await world.db.tenant(world.tenant.id, (tx) => tx.query<{ payload_sealed: Buffer }>('SELECT payload_sealed FROM inbox WHERE conversation_key = $1', [`visitor:${visitorId}`]))
    const stored = JSON.parse(world.deps.keyring.open(rows[0]!.payload_sealed, world.tenant.id).toString()) as Record<string, unknown>
    expect(stored).toMatchObject({ from: { name: 'Ada' }, providerData: { pre_chat: preChat }, referral: { url: 'https://shop.example.com/bikes' } })
  })

  it.each([
    ['no content', {}, 'body.text'],
    ['two contents', { text: 'a', choice: { id: 'x', title: 'X' } }, 'body.text'],
    ['nothing visible', { text: '   ' }, 'body.text'],
    ['a field that is not asked for', { text: 'a', pre_chat: { name: 'Ada', salary: '1' } }, 'body.pre_chat.salary'],
    ['an e-mail that is none', { text: 'a', pre_chat: { name: 'Ada', email: 'ada' } }, 'body.pre_chat.email'],
    ['an answer that is missing', { text: 'a', pre_chat: { email: 'ada@example.com' } }, 'body.pre_chat.name'],
    ['an unknown field', { text: 'a', visitor_id: 'v_other' }, 'body.visitor_id'],
    ['a page that is no page', { text: 'a', page_url: 'javascript:alert(1)' }, 'body.page_url'],
  ])('are refused with %s', async (_, words, param) => {
    const { token } = await world.session(number)
    const answer = await world.post(number, '/messages', token, { client_message_id: 'c_1', ...words })
    expect([answer.status, answer.body.error?.param]).toEqual([400, param])
  })

  it('want the token of this chat', async () => {
    const elsewhere = await world.session(await world.number())
    expect((await world.post(number, '/messages', undefined, { client_message_id: 'c', text: 'a' })).status).toBe(401)
    for (const token of [elsewhere.token, world.tenant.as.owner, world.tenant.key]) {
      expect((await world.post(number, '/messages', token, { client_message_id: 'c', text: 'a' })).status).toBe(401)
      expect((await get('/messages', token)).status).toBe(401)
    }
  })

  it('come by long poll when they are there, and not before', async () => {
    const { token, visitorId } = await world.session(number)
    const conversation = await world.conversation(number, visitorId)
    expect((await get('/messages?after=0', token)).body).toEqual({ data: [], has_more: false })
    const waiting = get('/messages?after=0&wait_ms=20000', token)
    await conversation.says('Here I am')
    const { body } = await waiting
    expect(body.data.map((message) => message.content.text)).toEqual(['Here I am'])
    expect((await get(`/messages?after=${body.data[0]!.seq}&wait_ms=50`, token)).body.data).toEqual([])
    await conversation.says('Two', 'failed')
    await conversation.says('Three', 'accepted')
    const [third] = (await get(`/messages?have=${body.data[0]!.seq}-${body.data[0]!.seq}`, token)).body.data
    expect(third!.content.text).toBe('Three')
  })

  it('are paged backwards', async () => {
    const { token, visitorId } = await world.session(number)
    const conversation = await world.conversation(number, visitorId)
    for (let index = 1; index <= 7; index += 1) await conversation.hears(String(index))
    const last = (await get('/messages?limit=3', token)).body
    const before = (await get(`/messages?limit=10&before=${last.data[0]!.seq}`, token)).body
    expect([last.data.map((message) => message.content.text), last.has_more]).toEqual([['5', '6', '7'], true])
    expect([before.data.map((message) => message.content.text), before.has_more]).toEqual([['1', '2', '3', '4'], false])
    expect((await get('/messages?after=1&before=2', token)).status).toBe(400)
  })
})

describe('files', () => {
  it('are stored by what their bytes are, sent, and shown to this visitor by a link', async () => {
    const { token, visitorId } = await world.session(number)
    const stored = await upload(token, PNG, '../../etc/holiday.png', 'text/html')
    expect(stored).toMatchObject({ status: 201, body: { mime_type: 'image/png', size_bytes: PNG.length, filename: 'holiday.png' } })
    const link = String(stored.body['url']).replace('http://api.test', world.url)
    const shown = await fetch(link)
    expect([shown.status, shown.headers.get('content-type'), shown.headers.get('content-security-policy')]).toEqual([200, 'image/png', "default-src 'none'; sandbox"])
    expect(Buffer.from(await shown.arrayBuffer())).toEqual(PNG)
    const said = await world.post(number, '/messages', token, { client_message_id: 'f_1', media_id: stored.body['media_id'], caption: 'Look' })
    expect(said.status).toBe(202)
    const { rows } = await world.db.tenant(world.tenant.id, (tx) => tx.query<{ payload_sealed: Buffer }>('SELECT payload_sealed FROM inbox WHERE conversation_key = $1', [`visitor:${visitorId}`]))
    expect(JSON.parse(world.deps.keyring.open(rows[0]!.payload_sealed, world.tenant.id).toString())).toMatchObject({ content: { kind: 'image', caption: 'Look', media: { mediaId: stored.body['media_id'], mimeType: 'image/png' } } })
  })

  it('of a message of ours get a link, too', async () => {
    const { token, visitorId } = await world.session(number)
    const mine = await upload(token, PNG)
    const conversation = await world.conversation(number, visitorId)
    await conversation.says('', 'accepted', { content: { kind: 'image', media: { mediaId: String(mine.body['media_id']), mimeType: 'image/png' } } })
    const [message] = (await get('/messages', token)).body.data as unknown as { content: { media: { url: string } } }[]
    expect((await fetch(message!.content.media.url.replace('http://api.test', world.url))).status).toBe(200)
  })

  it.each([
    ['a page', Buffer.from('<!doctype html><script>alert(1)</script>'), 'image/png'],
    ['a drawing that can run', Buffer.from('<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'), 'image/svg+xml'],
    ['text', Buffer.from('hello'), 'image/jpeg'],
  ])('that are %s are refused, whatever they are called', async (_, bytes, type) => {
    const { token } = await world.session(number)
    expect((await upload(token, Buffer.from(bytes), 'photo.png', type)).status).toBe(415)
  })

  it('that are empty or too large are refused', async () => {
    const { token } = await world.session(number)
    expect((await upload(token, Buffer.alloc(0))).status).toBe(400)
    expect((await upload(token, Buffer.concat([PNG, Buffer.alloc(210_000)]))).status).toBe(413)
  })

  it('of another visitor can be neither sent nor fetched', async () => {
    const [ada, bob] = [await world.session(number), await world.session(number)]
    const stored = await upload(ada.token, PNG)
    const said = await world.post(number, '/messages', bob.token, { client_message_id: 'f_2', media_id: stored.body['media_id'] })
    expect([said.status, said.body.error?.param]).toEqual([404, 'body.media_id'])
    const link = new URL(String(stored.body['url']).replace('http://api.test', world.url))
    for (const [name, value] of [['visitor', bob.visitorId], ['expires', 'zzzzzzzzz'], ['signature', 'A'.repeat(43)]] as const) {
      const forged = new URL(link)
      forged.searchParams.set(name, value)
      expect((await fetch(forged)).status).toBe(404)
    }
    const elsewhere = link.href.replace(number, await world.number())
    expect((await fetch(elsewhere)).status).toBe(404)
  })
})
