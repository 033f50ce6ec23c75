import { DEADLINES } from '@trunkline/agents'
import { composeVoice, readEnv, type Voice } from '@trunkline/app-voice'
import { cardAt, priceOf } from '@trunkline/billing'
import { silentLogger } from '@trunkline/core'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import type { Business, Json } from './business.ts'
import { dialRealtime, userSays, type RealtimeClient } from './realtime-client.ts'
import { openTown, type Town } from './town.ts'

// What a response says besides its words: how much is left to ask for, and that its first words do not count when another vendor begins anew.

const PER_MINUTE = 3

let town: Town
const voices: Voice[] = []
const clients: RealtimeClient[] = []
let url: string
let strict: string
beforeAll(async () => {
  town = await openTown()
  url = await another({})
  strict = await another({ RATE_LIMIT_TENANT: String(PER_MINUTE) })
})
afterEach(() => {
  for (const client of clients.splice(0)) client.socket.close()
})
afterAll(async () => {
  await Promise.all(voices.map((voice) => voice.close()))
  await town?.close()
})

async function another(settings: Record<string, string>): Promise<string> {
  const voice = await composeVoice(readEnv({ ...town.environment, VOICE_PORT: '0', ...settings }), silentLogger)
  voices.push(voice)
  return voice.listen()
}

/** A session in writing, unless `spoken`. */
async function session(business: Business, { at = url, model = 'gpt-realtime', spoken = false } = {}): Promise<RealtimeClient> {
  const client = dialRealtime(at, business.key, `model=${model}`)
  clients.push(client)
  await client.until('session.created')
  client.send({ type: 'session.update', session: { type: 'realtime', output_modalities: [spoken ? 'audio' : 'text'] } })
  await client.until('session.updated')
  return client
}

async function ask(client: RealtimeClient, text = 'When do you open?'): Promise<Json> {
  const nth = client.of('response.done').length + 1
  client.send(userSays(text))
  client.send({ type: 'response.create' })
  return (await client.until('response.done', nth)).response
}

const limitsOf = (client: RealtimeClient): { requests: Json; tokens: Json }[] =>
  client.of('rate_limits.updated').map(({ rate_limits: limits }) => ({ requests: limits.find(({ name }: Json) => name === 'requests'), tokens: limits.find(({ name }: Json) => name === 'tokens') }))

describe('rate_limits.updated', { timeout: 30_000 }, () => {
  it('follows the creation of each response, before anything else of it', async () => {
    const client = await session(await town.business())
    await ask(client)
    await ask(client)
    const types = client.events.map(({ type }) => type)
    const places = types.flatMap((type, at) => (type === 'response.created' ? [types[at + 1]] : []))
    expect(places).toEqual(['rate_limits.updated', 'rate_limits.updated'])
    expect(client.of('rate_limits.updated')[0]).toMatchObject({ event_id: expect.any(String), rate_limits: [{ name: 'requests', limit: expect.any(Number), remaining: expect.any(Number), reset_seconds: expect.any(Number) }, { name: 'tokens' }] })
  })

  it('counts requests in the same window as the API', async () => {
    const business = await town.business()
    const client = await session(business)
    await ask(client)
    await business.ok('GET', '/v1/agents')
    await ask(client)
    const [first, second] = limitsOf(client)
    expect(first!.requests).toMatchObject({ name: 'requests', limit: 3_000 })
    expect(first!.requests.reset_seconds).toBeGreaterThan(0)
    expect(first!.requests.reset_seconds).toBeLessThanOrEqual(60)
    expect(second!.requests.remaining).toBe(first!.requests.remaining - 2)
  })

  it('tells tokens that the credit pays for, what is reserved taken off', async () => {
    const business = await town.business()
    const client = await session(business)
    const price = priceOf(cardAt(Date.now()), 'openai', 'gpt-realtime').outputMicros
    const [before] = await town.rows<{ micros: string }>("SELECT balance_micros::text AS micros FROM accounts WHERE tenant_id = $1 AND kind = 'available'", [business.tenantId])
    await ask(client)
    const { tokens } = limitsOf(client)[0]!
    expect(tokens.limit).toBe(Number((BigInt(before!.micros) * 1_000_000n) / price))
    expect(tokens.remaining).toBeLessThan(tokens.limit)
    await town.until<{ held: string }>("SELECT balance_micros::text AS held FROM accounts WHERE tenant_id = $1 AND kind = 'held'", [business.tenantId], ([row]) => row!.held === '0')
    await ask(client)
    expect(limitsOf(client)[1]!.tokens.limit).toBeLessThan(tokens.limit)
  })

  it('is held to: above the limit no model is asked, no credit is held, and the session goes on', async () => {
    const business = await town.business()
    const client = await session(business, { at: strict })
    for (let nth = 1; nth <= PER_MINUTE; nth++) expect((await ask(client)).status).toBe('completed')
    expect(limitsOf(client).map(({ requests }) => requests.remaining)).toEqual([2, 1, 0])
    const asked = town.sandbox.journal.count({ target: 'openai.responses' })
    const holds = await town.rows("SELECT 1 FROM transfers WHERE tenant_id = $1 AND kind = 'hold'", [business.tenantId])
    expect(await ask(client)).toMatchObject({ status: 'failed', status_details: { error: { code: 'rate_limit_exceeded', message: expect.stringMatching(/in \d+ s/) } } })
    expect(town.sandbox.journal.count({ target: 'openai.responses' })).toBe(asked)
    expect(await town.rows("SELECT 1 FROM transfers WHERE tenant_id = $1 AND kind = 'hold'", [business.tenantId])).toEqual(holds)
    client.send({ type: 'session.update', session: { type: 'realtime', instructions: 'Still here.' } })
    expect((await client.until('session.updated', 2)).session.instructions).toBe('Still here.')
  })
})

describe('a vendor that nobody stands behind', { timeout: 30_000 }, () => {
  it('is waited for longer than one that is followed by another', async () => {
    const client = await session(await town.business())
    town.sandbox.faults.add({ target: 'openai.responses', times: 1, action: { delayMs: DEADLINES.firstTokenMs + 500, text: 'It took a while.' } })
    expect(await ask(client)).toMatchObject({ status: 'completed', output: [{ content: [{ text: 'It took a while.' }] }] })
  })
})

describe('a vendor that breaks in the middle of an answer', { timeout: 30_000 }, () => {
  const HALF = Array.from({ length: 60 }, (_, at) => `half${at}`).join(' ')
  const WHOLE = 'We open at nine, and close at six.'

  async function broken(spoken: boolean): Promise<RealtimeClient> {
    const business = await town.business()
    const number = await business.number({ type: 'webchat', prompt: { fallback: { vendor: 'anthropic', model: 'claude-haiku-4-5' } }, number: { settings: { allowed_origins: ['https://shop.example.com'] } } })
    const client = await session(business, { model: number.agentId, spoken })
    town.sandbox.faults.add({ target: 'openai.responses', times: 1, action: { text: HALF, cutStreamAfterEvents: 12 } })
    town.sandbox.faults.add({ target: 'anthropic.messages', times: 1, action: { text: WHOLE } })
    return client
  }

  it.each([['in writing', false], ['aloud', true]])('is followed by another, and what it said is taken back: %s', async (_, spoken) => {
    const client = await broken(spoken)
    const response = await ask(client)
    const [first, second] = response.output
    expect(response).toMatchObject({ status: 'completed', output: [{ status: 'incomplete' }, { status: 'completed' }] })
    const textOf = ({ content: [part] }: Json): string => part.text ?? part.transcript
    expect(textOf(first)).toContain('half0')
    expect(textOf(second)).toBe(WHOLE)
    const types = client.events.filter(({ item, item_id: id }) => [item?.id, id].includes(first.id)).map(({ type }) => type)
    expect(types.slice(-3)).toEqual(['conversation.item.done', 'response.output_item.done', 'conversation.item.deleted'])
    // Nothing of it comes after it was taken back, sound included.
    const deleted = client.events.findIndex(({ type }) => type === 'conversation.item.deleted')
    expect(client.events.slice(deleted + 1).filter(({ item_id: id }) => id === first.id)).toEqual([])
    client.send({ type: 'conversation.item.retrieve', item_id: first.id })
    expect((await client.until('error')).error.code).toBe('item_retrieve_invalid_item_id')
  })

  it('is not remembered: the next answer is asked for without its words', async () => {
    const client = await broken(false)
    await ask(client)
    await ask(client, 'And on Sunday?')
    const [last] = town.sandbox.journal.latest({ target: 'openai.responses' }, 1)
    expect(JSON.stringify(last)).toContain('close at six')
    expect(JSON.stringify(last)).not.toContain('half0')
  })
})
