import { composeVoice, readEnv, type Voice } from '@trunkline/app-voice'
import { silentLogger } from '@trunkline/core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { WebSocket } from 'ws'
import type { Business } from './business.ts'
import { dialRealtime, type RealtimeClient } from './realtime-client.ts'
import { openTown, type Town } from './town.ts'

// A session outlives the socket that carried it, and the process that had it.

let town: Town
let business: Business
const voices = new Set<Voice>()
beforeAll(async () => {
  town = await openTown()
  business = await town.business()
})
afterAll(async () => {
  await Promise.all([...voices].map((voice) => voice.close()))
  await town?.close()
})

async function anotherVoice(): Promise<{ voice: Voice; url: string }> {
  const voice = await composeVoice(readEnv({ ...town.environment, VOICE_PORT: '0' }), silentLogger)
  voices.add(voice)
  return { voice, url: (await voice.listen()).replace('http', 'ws') }
}

type Client = RealtimeClient
const dial = (url: string, query?: string, key = business.key) => dialRealtime(url, key, query)

const FACT = 'The password of the boathouse is herring.'
/** A session with a configuration and something said in it. */
async function talked(url: string): Promise<{ client: Client; id: string; itemId: string }> {
  const client = dial(url)
  const { session } = await client.until('session.created')
  client.send({ type: 'session.update', session: { type: 'realtime', output_modalities: ['text'], instructions: 'You keep the boathouse.' } })
  await client.until('session.updated')
  client.send({ type: 'conversation.item.create', item: { type: 'message', role: 'user', content: [{ type: 'input_text', text: FACT }] } })
  const { item } = await client.until('conversation.item.done')
  return { client, id: session.id, itemId: item.id }
}

async function expectRestored(client: Client, { id, itemId }: { id: string; itemId: string }): Promise<void> {
  const { session } = await client.until('session.created')
  expect(session).toMatchObject({ id, instructions: 'You keep the boathouse.', output_modalities: ['text'] })
  client.send({ type: 'conversation.item.retrieve', item_id: itemId })
  expect((await client.until('conversation.item.retrieved')).item.content[0].text).toBe(FACT)
  client.send({ type: 'response.create' })
  expect((await client.until('response.done')).response.status).toBe('completed')
}

describe('a client that comes back', { timeout: 30_000 }, () => {
  it('to another process finds its session as it was, once its socket is gone', async () => {
    const [one, other] = [await anotherVoice(), await anotherVoice()]
    const before = await talked(one.url)
    before.client.socket.terminate()
    await before.client.closed
    const after = dial(other.url, `session_id=${before.id}`)
    await expectRestored(after, before)
    after.socket.close()
  })

  it('while the old process still has its socket gets it, and the old copy ends', async () => {
    const [one, other] = [await anotherVoice(), await anotherVoice()]
    const before = await talked(one.url)
    const after = dial(other.url, `model=gpt-realtime&session_id=${before.id}`)
    await expectRestored(after, before)
    const [code, reason] = await before.client.closed
    expect([code, reason.toString()]).toEqual([1001, 'the session goes on elsewhere'])
    after.socket.close()
  })

  it('of a process that is told to go is told so, and goes on elsewhere', async () => {
    const [one, other] = [await anotherVoice(), await anotherVoice()]
    const before = await talked(one.url)
    voices.delete(one.voice)
    const gone = one.voice.close()
    const [code, reason] = await before.client.closed
    expect(code).toBe(1001)
    expect(reason.toString()).toContain('session_id')
    await expectRestored(dial(other.url, `session_id=${before.id}`), before)
    await gone
  })

  it('was being answered: the answer is ended for it, and it may ask again', async () => {
    const [one, other] = [await anotherVoice(), await anotherVoice()]
    const before = await talked(one.url)
    const asked = town.sandbox.journal.count({ target: 'openai.responses' })
    town.sandbox.faults.add({ target: 'openai.responses', times: 1, action: { hang: true } })
    before.client.send({ type: 'response.create' })
    // The model has been asked, and says nothing.
    await expect.poll(() => town.sandbox.journal.count({ target: 'openai.responses' })).toBe(asked + 1)
    const after = dial(other.url, `session_id=${before.id}`)
    const done = await after.until('response.done')
    expect(done.response).toMatchObject({ status: 'failed', status_details: { error: { code: 'session_moved' } } })
    after.send({ type: 'response.create' })
    await expect.poll(() => after.events.filter((event) => event.type === 'response.done').at(-1)?.response.status, { timeout: 10_000 }).toBe('completed')
    after.socket.close()
  })

  it.each([
    ['another tenant', async () => ({ key: (await town.business('Stranger')).key })],
    ['a key that may not', async () => ({ key: (await business.ok('POST', '/v1/admin/keys', { name: 'Reader', scopes: ['realtime:read'] })).key })],
    ['nobody\'s session', async () => ({ query: 'session_id=sess_00000000000000000000000a' })],
  ])('with %s is refused, and the session stays where it is', async (_, wrong) => {
    const one = await anotherVoice()
    const before = await talked(one.url)
    const { key, query } = { key: business.key, query: `session_id=${before.id}`, ...(await wrong()) }
    expect([403, 404]).toContain((await dial(one.url, query, key).refused).status)
    expect(before.client.socket.readyState).toBe(WebSocket.OPEN)
    before.client.socket.close()
  })
})
