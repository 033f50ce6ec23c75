import { once } from 'node:events'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { WebSocket } from 'ws'
import { openChatWorld, ORIGIN, type ChatWorld, type Client, type Frame } from './testing.ts'

let world: ChatWorld
let number: string
beforeAll(async () => {
  world = await openChatWorld({ helloMs: 400, sweepMs: 100, sweepsPerFullRead: 3, socketsPerVisitor: 3, socketsPerAddress: 30, framesPerSecond: 20, messagesPerMinute: 40, sessionsPerMinute: 10_000 })
  number = await world.number()
})
afterAll(() => world.close())

async function greeted(token: string, hello: Record<string, unknown> = {}, numberId = number): Promise<Client> {
  const client = await world.socket(numberId)
  client.send({ type: 'hello', token, ...hello })
  await client.frame('ready')
  return client
}
const refusal = async (numberId: string, headers: Record<string, string>): Promise<number> => {
  const socket = new WebSocket(`${world.url.replace('http', 'ws')}/v1/webchat/${numberId}/socket`, { headers })
  socket.on('error', () => {})
  const [, response] = (await once(socket, 'unexpected-response')) as [unknown, { statusCode: number; destroy(): void }]
  response.destroy()
  return response.statusCode
}
const count = (type: string, wanted: number) => (frames: Frame[]) => frames.filter((frame) => frame.type === type).length >= wanted
const gone = async (client: Client) => {
  client.socket.terminate()
  await client.closed
}

describe('the door', () => {
  it('lets a page of the list in and refuses every other before the upgrade', async () => {
    expect(await refusal(number, { origin: 'https://evil.example.com' })).toBe(403)
    expect(await refusal(number, { origin: `${ORIGIN}.evil.test` })).toBe(403)
    expect(await refusal(number, {})).toBe(403)
    expect(await refusal('0199a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b', { origin: ORIGIN })).toBe(404)
    const client = await world.socket(number)
    await gone(client)
  })

  it('lets a client without a page in where the number says so', async () => {
    const open = await world.number({ allow_missing_origin: true })
    const client = await world.socket(open, {})
    expect(client.socket.readyState).toBe(WebSocket.OPEN)
    await gone(client)
  })

  it('closes 4401 who says nothing, and who shows a bad token or one of another number or tenant', async () => {
    const silent = await world.socket(number)
    expect(await silent.closed).toBe(4401)
    const other = await world.number()
    const stranger = await world.newTenant('Other')
    const theirs = await world.number({}, stranger)
    const tokens = ['nonsense', (await world.session(other)).token, (await world.session(theirs)).token, stranger.as.owner]
    for (const token of tokens) {
      const client = await world.socket(number)
      client.send({ type: 'hello', token })
      expect(await client.closed).toBe(4401)
      expect(client.frames).toEqual([])
    }
  })

  it('wants a hello first, and only one', async () => {
    const { token } = await world.session(number)
    const client = await world.socket(number)
    client.send({ type: 'message', client_message_id: 'c1', text: 'Hi' })
    expect((await client.frame('error')).error).toMatchObject({ code: 'missing_credentials' })
    client.send({ type: 'hello', token })
    await client.frame('ready')
    client.send({ type: 'hello', token })
    await client.until(count('error', 2))
    expect(client.frames.at(-1)!.error).toMatchObject({ code: 'invalid_state' })
    await gone(client)
  })

  it('holds a visitor to so many sockets, and gives a place back', async () => {
    const { token } = await world.session(number)
    const clients = [await greeted(token), await greeted(token), await greeted(token)]
    const fourth = await world.socket(number)
    fourth.send({ type: 'hello', token })
    expect(await fourth.closed).toBe(4429)
    await gone(clients[0]!)
    const next = await greeted(token)
    await Promise.all([...clients.slice(1), next].map(gone))
  })
})

describe('writing', () => {
  it('acknowledges what is committed, the same id once', async () => {
    const { token, visitorId } = await world.session(number)
    const client = await greeted(token)
    const words = { type: 'message', client_message_id: 'c_1', text: 'When do you open?' }
    client.send(words)
    client.send(words)
    await client.until(count('ack', 2))
    const acks = client.frames.filter((frame) => frame.type === 'ack')
    expect(acks.map((ack) => ack.duplicate)).toEqual([false, true])
    expect(new Set(acks.map((ack) => ack.message_id)).size).toBe(1)
    const { rows } = await world.db.tenant(world.tenant.id, (tx) => tx.query('SELECT message_id, conversation_key FROM inbox WHERE number_id = $1 AND provider_message_id = $2', [number, `web:${visitorId}:c_1`]))
    expect(rows).toEqual([{ message_id: acks[0]!.message_id, conversation_key: `visitor:${visitorId}` }])
    await gone(client)
  })

  it('keeps the order of a burst', async () => {
    const { token, visitorId } = await world.session(number)
    const client = await greeted(token)
    const ids = Array.from({ length: 15 }, (_, index) => `b_${index}`)
    for (const id of ids) client.send({ type: 'message', client_message_id: id, text: id })
    await client.until(count('ack', ids.length))
    const { rows } = await world.db.tenant(world.tenant.id, (tx) => tx.query<{ id: string }>('SELECT provider_message_id AS id FROM inbox WHERE number_id = $1 AND conversation_key = $2 ORDER BY seq', [number, `visitor:${visitorId}`]))
    expect(rows.map((row) => row.id)).toEqual(ids.map((id) => `web:${visitorId}:${id}`))
    await gone(client)
  })

  it.each([
    ['no JSON', '{', 'invalid_json'],
    ['no type', '{}', 'invalid_request'],
    ['an unknown field', '{"type":"ping","x":1}', 'invalid_request'],
    ['a seq that is no number', '{"type":"read","seq":"1"}', 'invalid_request'],
    ['a list', '[]', 'invalid_request'],
  ])('answers %s with an error and stays', async (_, text, code) => {
    const { token } = await world.session(number)
    const client = await greeted(token)
    client.socket.send(text)
    expect((await client.frame('error')).error).toMatchObject({ code })
    client.send({ type: 'ping' })
    await client.frame('pong')
    await gone(client)
  })

  it('says in the ack what is wrong with a message', async () => {
    const { token } = await world.session(number)
    const client = await greeted(token)
    client.send({ type: 'message', client_message_id: 'c_2' })
    const ack = await client.frame('ack')
    expect(ack).toMatchObject({ client_message_id: 'c_2', error: { code: 'invalid_request', param: 'body.text' } })
    await gone(client)
  })

  it('sends away who floods, sends what is too large, or sends bytes', async () => {
    const { token } = await world.session(number)
    const flood = await greeted(token)
    for (let index = 0; index < 60; index += 1) flood.send({ type: 'ping' })
    expect(await flood.closed).toBe(1008)
    const large = await greeted(token)
    large.socket.send('x'.repeat(200_000))
    expect(await large.closed).toBe(1009)
    const bytes = await greeted(token)
    bytes.socket.send(Buffer.from([1, 2, 3]))
    expect(await bytes.closed).toBe(1003)
  })

  it('limits the messages of a visitor over all sockets, and says how long to wait', async () => {
    const { token } = await world.session(number)
    const clients = [await greeted(token), await greeted(token)]
    for (const [turn, client] of clients.entries()) {
      for (let index = 0; index < 22; index += 1) client.send({ type: 'message', client_message_id: `r_${turn}_${index}`, text: 'Hi' })
    }
    await Promise.all(clients.map((client) => client.until(count('ack', 22))))
    const refused = clients.flatMap((client) => client.frames).filter((frame) => frame.error)
    expect(refused).toHaveLength(4)
    expect(refused[0]!.error).toMatchObject({ code: 'rate_limited', retry_after_ms: expect.any(Number) })
    await Promise.all(clients.map(gone))
  })

  it('counts what was read as a receipt of the channel', async () => {
    const { token, visitorId } = await world.session(number)
    const conversation = await world.conversation(number, visitorId)
    await conversation.says('Hello')
    const client = await greeted(token)
    await client.until(count('message', 1))
    client.send({ type: 'read', seq: client.messages[0]!.seq })
    client.send({ type: 'read', seq: client.messages[0]!.seq })
    client.send({ type: 'ping' })
    await client.frame('pong')
    await expect.poll(async () => (await world.db.tenant(world.tenant.id, (tx) => tx.query("SELECT 1 FROM effects WHERE number_id = $1 AND kind = 'receipt'", [number]))).rowCount).toBe(1)
    await gone(client)
  })
})

describe('reading', () => {
  it('gets what has left, at once, in order and once; what failed is never shown', async () => {
    const { token, visitorId } = await world.session(number)
    const conversation = await world.conversation(number, visitorId)
    const client = await greeted(token)
    await conversation.hears('Hi')
    await conversation.says('one')
    await conversation.says('lost', 'failed')
    await conversation.says('two', 'accepted')
    await conversation.says('perhaps', 'unknown')
    await conversation.says('taken over', 'cancelled')
    await client.until(count('message', 4))
    expect(client.texts).toEqual(['Hi', 'one', 'two', 'perhaps'])
    await gone(client)
  })

  it('holds back what follows a message that is about to leave', async () => {
    const { token, visitorId } = await world.session(number)
    const conversation = await world.conversation(number, visitorId)
    const client = await greeted(token)
    const first = await conversation.says('first', 'pending')
    await conversation.says('second', 'accepted')
    client.send({ type: 'ping' })
    await client.frame('pong')
    expect(client.texts).toEqual([])
    await conversation.becomes(first, 'sending')
    await client.until(count('message', 2))
    expect(client.texts).toEqual(['first', 'second'])
    await gone(client)
  })

  it('finds what no bell told of', async () => {
    const { token, visitorId } = await world.session(number)
    const conversation = await world.conversation(number, visitorId)
    const client = await greeted(token)
    const late = await conversation.says('a', 'pending', { ring: false })
    await conversation.becomes(late, 'accepted', { ring: false })
    await client.until(count('message', 1))
    // Sent again by hand: no count changes, only the full look finds it.
    const failed = await conversation.says('b', 'failed', { ring: false })
    await conversation.says('c', 'accepted', { ring: false })
    await client.until(count('message', 2))
    await conversation.becomes(failed, 'accepted', { ring: false })
    await client.until(count('message', 3))
    expect(client.texts).toEqual(['a', 'c', 'b'])
    await gone(client)
  })

  it('shows all tabs the same, across conversations, and a stranger nothing', async () => {
    const { token, visitorId } = await world.session(number)
    const stranger = await world.session(number)
    const [tab, other, spy] = [await greeted(token), await greeted(token), await greeted(stranger.token)]
    const first = await world.conversation(number, visitorId)
    await first.hears('Hi')
    await first.says('Hello')
    await first.close()
    await tab.until(count('message', 2))
    const second = await world.conversation(number, visitorId)
    await second.hears('Me again')
    await second.says('Welcome back')
    await Promise.all([tab, other].map((client) => client.until(count('message', 4))))
    expect(tab.texts).toEqual(['Hi', 'Hello', 'Me again', 'Welcome back'])
    expect(other.messages).toEqual(tab.messages)
    const seqs = tab.messages.map((message) => message.seq)
    expect(seqs).toEqual(seqs.toSorted((a, b) => a - b))
    spy.send({ type: 'ping' })
    await spy.frame('pong')
    expect(spy.messages).toEqual([])
    expect((await world.session(number, token)).messages.map((message) => message.content.text)).toEqual(tab.texts)
    await Promise.all([tab, other, spy].map(gone))
  })

  it('passes the typing of the agent on', async () => {
    const { token, visitorId } = await world.session(number)
    const client = await greeted(token)
    // The subscription is not awaited by anybody: ring until it is heard.
    const ringing = setInterval(() => world.deps.ports.bell.ring(`webchat:${number}:${visitorId}`, '{"type":"typing","in_reply_to":"x"}'), 20)
    expect(await client.frame('typing')).toEqual({ type: 'typing' })
    clearInterval(ringing)
    await gone(client)
  })

  it('sends a reader away who does not read', async () => {
    const slow = await openChatWorld({ unreadBytesMax: 200_000, slowMs: 200, socketsPerVisitor: 1 })
    try {
      const chat = await slow.number()
      const { token, visitorId } = await slow.session(chat)
      const conversation = await slow.conversation(chat, visitorId)
      for (let index = 0; index < 200; index += 1) await conversation.says('x'.repeat(60_000), 'accepted', { ring: false })
      const hello = async () => {
        const client = await slow.socket(chat)
        client.send({ type: 'hello', token })
        return client
      }
      const lazy = await hello()
      lazy.socket.pause()
      // Its place is free as soon as it has been sent away. The next one reads everything, although that is far more than may wait in memory.
      const next = async (): Promise<Client> => {
        const client = await hello()
        const code = await Promise.race([client.frame('ready').then(() => 0), client.closed])
        return code === 0 ? client : next()
      }
      const reader = await next()
      await reader.until(count('message', 200))
      lazy.socket.resume()
      expect([1006, 1013]).toContain(await lazy.closed)
      expect(lazy.messages.length).toBeLessThan(200)
    } finally {
      await slow.close()
    }
  })

  it('ends a socket that answers no ping', async () => {
    const strict = await openChatWorld({ heartbeatMs: 100 })
    try {
      const chat = await strict.number()
      const socket = new WebSocket(`${strict.url.replace('http', 'ws')}/v1/webchat/${chat}/socket`, { headers: { origin: ORIGIN }, autoPong: false })
      socket.on('error', () => {})
      const [code] = (await once(socket, 'close')) as [number]
      expect(code).toBe(1006)
    } finally {
      await strict.close()
    }
  })
})

describe('resume', () => {
  type Step = { kind: 'says' | 'hears' | 'fails' | 'waits' | 'heals' | 'next' | 'cut'; ring: boolean }
  const steps = fc.array(fc.record({ kind: fc.constantFrom<Step['kind'][]>('says', 'says', 'hears', 'fails', 'waits', 'heals', 'next', 'cut', 'cut'), ring: fc.boolean() }), { minLength: 5, maxLength: 25 })

  it('loses nothing, doubles nothing and keeps the order, wherever the line is cut', async () => {
    await fc.assert(
      fc.asyncProperty(steps, async (script) => {
        const { token, visitorId } = await world.session(number)
        const held: NonNullable<Frame['message']>[] = []
        let conversation = await world.conversation(number, visitorId)
        let client = await greeted(token)
        let [open, failed, visible] = [[] as string[], [] as string[], 0]
        const owner = new Map<string, typeof conversation>()
        const cut = async () => {
          client.socket.terminate()
          await client.closed
          held.push(...client.messages)
          client = await greeted(token, held.length === 0 ? {} : { have: haveOf(held) })
        }
        for (const { kind, ring } of script) {
          if (kind === 'cut') await cut()
          else if (kind === 'hears') {
            await conversation.hears('x')
            visible += 1
          } else if (kind === 'says') {
            await conversation.says('x', 'accepted', { ring })
            visible += 1
          } else if (kind === 'fails') {
            const id = await conversation.says('x', 'failed', { ring })
            failed.push(id)
            owner.set(id, conversation)
          } else if (kind === 'waits') {
            const id = await conversation.says('x', 'pending', { ring })
            open.push(id)
            owner.set(id, conversation)
          } else if (kind === 'heals') {
            const id = open.pop() ?? failed.pop()
            if (id) await owner.get(id)!.becomes(id, 'accepted', { ring })
            if (id) visible += 1
          } else {
            await conversation.close()
            conversation = await world.conversation(number, visitorId)
          }
        }
        for (const id of open) await owner.get(id)!.becomes(id, 'accepted', { ring: false })
        visible += open.length
        await client.until((frames) => held.length + frames.filter((frame) => frame.type === 'message').length >= visible)
        await gone(client)
        const all = [...held, ...client.messages]
        expect(new Set(all.map((message) => message.id)).size).toBe(all.length)
        expect(all).toHaveLength(visible)
        expect((await world.session(number, token)).messages.map((message) => message.id)).toEqual(all.toSorted((a, b) => a.seq - b.seq).map((message) => message.id).slice(-50))
        // In order, but for what failed first and was sent again by hand.
        if (!script.some((step) => step.kind === 'fails')) expect(all.map((message) => message.seq)).toEqual(all.map((message) => message.seq).toSorted((a, b) => a - b))
      }),
      { numRuns: 25, endOnFailure: true },
    )
  }, 120_000)

  it('gives a simple client everything after the last seq it names', async () => {
    const { token, visitorId } = await world.session(number)
    const conversation = await world.conversation(number, visitorId)
    for (const text of ['1', '2', '3', '4']) await conversation.says(text, 'accepted', { ring: false })
    const first = await greeted(token)
    await first.until(count('message', 4))
    await gone(first)
    const second = await greeted(token, { last_seq: first.messages[1]!.seq })
    await second.until(count('message', 2))
    expect(second.texts).toEqual(['3', '4'])
    expect(second.frames[0]).toMatchObject({ type: 'ready', visitor_id: visitorId, last_seq: first.messages[3]!.seq })
    await gone(second)
  })
})

describe('the end', () => {
  it('tells every socket that the server goes away', async () => {
    const leaving = await openChatWorld()
    const chat = await leaving.number()
    const { token } = await leaving.session(chat)
    const client = await leaving.socket(chat)
    client.send({ type: 'hello', token })
    await client.frame('ready')
    await leaving.close()
    expect(await client.closed).toBe(1001)
  })
})

function haveOf(messages: { seq: number }[]): string {
  const ranges: [number, number][] = [[0, 0]]
  for (const seq of messages.map((message) => message.seq).toSorted((a, b) => a - b)) {
    const last = ranges.at(-1)
    if (last?.[1] === seq - 1) last[1] = seq
    else ranges.push([seq, seq])
  }
  return ranges.map((range) => range.join('-')).join(',')
}
