import { newId, type Id } from '@trunkline/core'
import { beforeAll, describe, expect, it } from 'vitest'
import * as ledger from '../ledger/index.ts'
import { keyring, makeNumbers, queuePlace } from '../queue/testing.ts'
import { sealJson } from '../seal.ts'
import { abandoned, claim, end, events, findByCarrier, get, HANDOVERS, holdMore, keep, list, open, placed, progress, record, release, transcript, unwish, wish, wishOnce, type CallUtterance, type EndCall, type OpenCall } from './index.ts'

const place = queuePlace()
const LEASE_MS = 15_000
let numberId: Id
let carrierCalls = 0

beforeAll(async () => {
  numberId = await numberWithAgent()
  await place.db.system('test', async (tx) => {
    await ledger.openAccounts(tx, place.tenantId)
    await ledger.topUp(tx, { tenantId: place.tenantId, amountMicros: 1_000_000_000n, memo: 'test', idempotencyKey: 'test', actor: { kind: 'system', id: 'test' } })
  })
})

const system = <T>(work: Parameters<typeof place.db.system<T>>[1]) => place.db.system<T>('calls', work)

async function numberWithAgent(): Promise<Id> {
  const { tenantId, projectId, db } = place
  const [number] = await makeNumbers(place, 1)
  const promptId = newId()
  await db.system('test', async (tx) => {
    await tx.query("UPDATE phone_numbers SET channel = 'voice' WHERE id = $1", [number!.id])
    await tx.query("INSERT INTO prompts (id, tenant_id, project_id, name) VALUES ($1, $2, $3, 'p')", [promptId, tenantId, projectId])
    await tx.query("INSERT INTO agents (id, tenant_id, project_id, name, number_id, prompt_id) VALUES ($1, $2, $3, 'a', $4, $5)", [newId(), tenantId, projectId, number!.id, promptId])
  })
  return number!.id
}

const incoming = (over: Partial<OpenCall> = {}): OpenCall => ({
  callId: newId(), tenantId: place.tenantId, numberId, direction: 'inbound', carrier: 'twilio', carrierCallId: `CA${++carrierCalls}`, from: '+4915112345', to: '+4930123',
  contact: { identity: { kind: 'phone', value: '+4915112345' } }, holdMicros: 1_000n, holdUntil: new Date(Date.now() + 3_600_000), limits: { number: 1_000, tenant: 1_000 }, ...over,
})
const ending = (callId: Id, over: Partial<EndCall> = {}): EndCall => ({ callId, epoch: 'any', status: 'completed', reason: 'caller_hung_up', at: new Date(), carrying: (_call, answeredMs) => (answeredMs > 0 ? 70n : 0n), ...over })
const said = (by: CallUtterance['by'], text: string): CallUtterance => ({
  messageId: newId(), by, contentSealed: sealJson(keyring, { kind: 'text', text }, place.tenantId), startMs: 0, endMs: 500, interrupted: false, confidence: 0.9,
  words: [{ charStart: 0, charEnd: 2, startMs: 0, endMs: 100, confidence: null, estimated: false }], at: new Date(),
})
const speech = (costMicros: bigint) => ({ kind: 'speech' as const, costMicros, usage: { kind: 'stt' as const, engine: 'deepgram', model: 'nova-3', audioMs: 1_200, characters: 0, firstResultMs: 80, latencyMs: 90, outcome: 'ok' as const, requestId: null } })
const balance = () => place.db.tenant(place.tenantId, (tx) => ledger.balance(tx, place.tenantId))
const opened = async (over: Partial<OpenCall> = {}) => (await system((tx) => open(tx, incoming(over)))).call

describe('opening a call', () => {
  it('gives it a contact, a conversation, its agent and a hold', async () => {
    const before = await balance()
    const call = await opened()
    expect(call).toMatchObject({ status: 'initiated', endReason: null, contactId: expect.any(String), conversationId: expect.any(String), agentId: expect.any(String), promptVersion: 1, holdIds: [expect.any(String)] })
    expect((await balance()).heldMicros - before.heldMicros).toBe(1_000n)
    await system((tx) => end(tx, ending(call.id)))
    expect(await balance()).toMatchObject({ heldMicros: before.heldMicros, spentMicros: before.spentMicros })
  })

  it('twice for the same call of the carrier opens one, also at the same moment', async () => {
    const wish = incoming()
    const all = await Promise.all(Array.from({ length: 8 }, () => system((tx) => open(tx, { ...wish, callId: newId() }))))
    expect(new Set(all.map(({ call }) => call.id)).size).toBe(1)
    expect(all.filter(({ isNew }) => isNew)).toHaveLength(1)
    await system((tx) => end(tx, ending(all[0]!.call.id)))
  })

  it('takes no more calls at a time than the number may have, whoever comes at the same moment', async () => {
    const mine = await numberWithAgent()
    const all = await Promise.all(Array.from({ length: 20 }, () => opened({ numberId: mine, limits: { number: 5, tenant: 1_000 } })))
    expect(all.filter((call) => call.status === 'initiated')).toHaveLength(5)
    expect(all.filter((call) => call.status === 'busy' && call.endReason === 'number_busy' && call.endedAt)).toHaveLength(15)
    for (const call of all) await system((tx) => end(tx, ending(call.id)))
  })

  it('refuses without credit, without an agent, on a stopped number, over the tenant\'s limit: the call is kept with the reason', async () => {
    expect(await opened({ holdMicros: 10n ** 15n })).toMatchObject({ status: 'failed', endReason: 'insufficient_credit', conversationId: null, holdIds: [] })
    const [lonely] = await makeNumbers(place, 1)
    expect(await opened({ numberId: lonely!.id })).toMatchObject({ endReason: 'no_agent' })
    const stopped = await numberWithAgent()
    await place.db.system('test', (tx) => tx.query("UPDATE phone_numbers SET status = 'stopped' WHERE id = $1", [stopped]))
    expect(await opened({ numberId: stopped })).toMatchObject({ endReason: 'number_inactive' })
    expect(await opened({ limits: { number: 1_000, tenant: 0 } })).toMatchObject({ status: 'busy', endReason: 'tenant_busy' })
  })

  it('outbound: named by the carrier afterwards', async () => {
    const call = await opened({ direction: 'outbound', carrierCallId: null })
    expect(await system((tx) => placed(tx, call.id, 'CA-out'))).toBe(true)
    expect(await system((tx) => placed(tx, call.id, 'CA-other'))).toBe(false)
    expect((await system((tx) => findByCarrier(tx, numberId, 'CA-out')))?.id).toBe(call.id)
    expect(await system((tx) => progress(tx, call.id, 'ringing'))).toBe(true)
    expect(await system((tx) => progress(tx, call.id, 'in_progress'))).toBe(true)
    expect(await system((tx) => progress(tx, call.id, 'ringing'))).toBe(false)
    await system((tx) => end(tx, ending(call.id)))
  })
})

describe('a live call', () => {
  it('belongs to the newest socket: what the one before writes is not kept', async () => {
    const call = await opened()
    const first = (await system((tx) => claim(tx, call.id, 'a', LEASE_MS)))!
    const second = (await system((tx) => claim(tx, call.id, 'b', LEASE_MS)))!
    expect([first, second]).toEqual([{ epoch: 1, isFirst: true, after: null }, { epoch: 2, isFirst: false, after: null }])
    expect(await system((tx) => record(tx, { callId: call.id, epoch: 1 }, { said: [said('customer', 'late')] }, 1_000))).toBe(false)
    expect(await system((tx) => record(tx, { callId: call.id, epoch: 2 }, { said: [said('customer', 'hello')] }, 1_000))).toBe(true)
    expect(await system((tx) => keep(tx, [{ callId: call.id, epoch: 1 }], LEASE_MS))).toEqual(new Set())
    expect(await system((tx) => keep(tx, [{ callId: call.id, epoch: 2 }], LEASE_MS))).toEqual(new Set([call.id]))
    expect((await system((tx) => end(tx, ending(call.id, { epoch: 1 })))).outcome).toBe('fenced')
    expect((await system((tx) => end(tx, ending(call.id, { epoch: 'unowned' })))).outcome).toBe('fenced')
    expect((await system((tx) => end(tx, ending(call.id, { epoch: 2 })))).outcome).toBe('ended')
    expect(await system((tx) => claim(tx, call.id, 'c', LEASE_MS))).toBeNull()
  })

  it('keeps what was said as messages of its conversation, in order, and what happened as events', async () => {
    const call = await opened()
    const { epoch } = (await system((tx) => claim(tx, call.id, 'a', LEASE_MS)))!
    const held = { callId: call.id, epoch }
    await system((tx) => record(tx, held, { said: [said('agent', 'Hello.')], events: [{ kind: 'turn', atMs: 12.6, data: { turn: 1 } }] }, 1_000))
    await system((tx) => record(tx, held, { said: [said('customer', 'When?'), said('agent', 'At nine.')] }, 1_000))
    const { items, next } = await place.db.tenant(place.tenantId, (tx) => transcript(tx, call.id, { limit: 2 }))
    expect(items.map(({ author }) => author)).toEqual(['agent', 'customer'])
    expect(items[0]!.details).toMatchObject({ call: { end_ms: 500, words: [{ charEnd: 2 }] } })
    const rest = await place.db.tenant(place.tenantId, (tx) => transcript(tx, call.id, { limit: 2, after: next! }))
    expect(rest.items.map(({ seq }) => seq)).toEqual([items[1]!.seq + 1])
    const told = await place.db.tenant(place.tenantId, (tx) => events(tx, call.id, { limit: 10 }))
    expect(await place.db.tenant(place.tenantId, (tx) => events(tx, call.id, { limit: 1, after: told[0]!.id }))).toEqual([told[1]])
    expect(told.map(({ kind, atMs }) => [kind, atMs])).toEqual([['status', null], ['status', null], ['turn', 13]])
    await system((tx) => end(tx, ending(call.id)))
  })
})

describe('a call whose sound goes away and comes back', () => {
  it('is given out of hand only while something is under way that brings it back, one thing at a time', async () => {
    const call = await opened()
    expect(await system((tx) => wishOnce(tx, call.id, 'transfer')), 'before it is answered').toBe(false)
    const { epoch } = (await system((tx) => claim(tx, call.id, 'one', LEASE_MS)))!
    expect(await system((tx) => release(tx, { callId: call.id, epoch })), 'nothing was asked for').toBe(false)
    const asked = await Promise.all(Array.from({ length: 5 }, () => system((tx) => wishOnce(tx, call.id, 'press'))))
    expect(asked.filter(Boolean)).toHaveLength(1)
    expect(await system((tx) => release(tx, { callId: call.id, epoch }))).toBe(true)
    expect(await system((tx) => claim(tx, call.id, 'two', LEASE_MS))).toMatchObject({ epoch: epoch + 1, isFirst: false, after: 'press' })
    expect(await system((tx) => claim(tx, call.id, 'three', LEASE_MS)), 'a line that merely broke').toMatchObject({ after: null })
    expect((await system((tx) => get(tx, call.id))).wish).toBeNull()
    await system((tx) => end(tx, ending(call.id)))
  })

  it('stays with its process when the carrier says that it is over meanwhile', async () => {
    const call = await opened()
    const { epoch } = (await system((tx) => claim(tx, call.id, 'one', LEASE_MS)))!
    await system((tx) => wishOnce(tx, call.id, 'transfer'))
    await system((tx) => unwish(tx, call.id, HANDOVERS))
    expect(await system((tx) => release(tx, { callId: call.id, epoch }))).toBe(false)
    await system((tx) => wish(tx, call.id, 'hang_up'))
    await system((tx) => unwish(tx, call.id, HANDOVERS))
    expect((await system((tx) => get(tx, call.id))).wish).toBe('hang_up')
    await system((tx) => end(tx, ending(call.id)))
  })
})

describe('the end of a call', () => {
  it('charges what was used and carried once, whoever ends it at the same moment, and gives the rest back', async () => {
    const before = await balance()
    const call = await opened()
    const { epoch } = (await system((tx) => claim(tx, call.id, 'a', LEASE_MS)))!
    const held = { callId: call.id, epoch }
    await system((tx) => record(tx, held, { used: [speech(300n), speech(5n)] }, 1_000))
    expect(await system((tx) => holdMore(tx, held, 2_000n, new Date(Date.now() + 60_000)))).toBe('held')
    const outcomes = await Promise.all(Array.from({ length: 6 }, () => system((tx) => end(tx, ending(call.id, { at: new Date(Date.now() + 1_000) })))))
    expect(outcomes.map(({ outcome }) => outcome).toSorted()).toEqual(['ended', ...Array.from({ length: 5 }, () => 'was_over')])
    expect(await system((tx) => get(tx, call.id))).toMatchObject({ status: 'completed', cost: { carrier: 70n, stt: 305n, tts: 0n, model: 0n } })
    const after = await balance()
    expect([after.spentMicros - before.spentMicros, after.heldMicros - before.heldMicros]).toEqual([375n, 0n])
    expect(await system((tx) => record(tx, held, { used: [speech(1n)] }, 1_000))).toBe(false)
    expect(await system((tx) => holdMore(tx, held, 1n, new Date()))).toBe('over')
    expect((await place.db.system('ledger', (tx) => ledger.verifyLedger(tx))).differences).toEqual([])
  })

  it('costs more than was held: the later holds pay before the wallet does', async () => {
    const before = await balance()
    const call = await opened({ holdMicros: 10n })
    const { epoch } = (await system((tx) => claim(tx, call.id, 'a', LEASE_MS)))!
    await system((tx) => record(tx, { callId: call.id, epoch }, { used: [speech(9_000n)] }, 1_000))
    await system((tx) => end(tx, ending(call.id, { epoch })))
    const after = await balance()
    expect(after.spentMicros - before.spentMicros).toBeGreaterThanOrEqual(9_000n)
    expect(after.heldMicros).toBe(before.heldMicros)
  })

  it('comes by the recovery when its process is gone, and not while it lives', async () => {
    const [living, lost] = [await opened(), await opened()]
    await system((tx) => claim(tx, living.id, 'a', LEASE_MS))
    await system((tx) => claim(tx, lost.id, 'a', LEASE_MS))
    await place.db.system('test', (tx) => tx.query("UPDATE calls SET lease_until = now() - interval '1 second' WHERE id = $1", [lost.id]))
    const found = await system((tx) => abandoned(tx, LEASE_MS, 100))
    expect(found.map(({ callId }) => callId)).toEqual([lost.id])
    expect(found[0]!.kind).toBe('lost')
    for (const call of [living, lost]) await system((tx) => end(tx, ending(call.id)))
    expect(await system((tx) => abandoned(tx, LEASE_MS, 100))).toEqual([])
  })
})

it('lists calls newest first, by what is asked, and only the tenant\'s own', async () => {
  const call = await opened({ from: '+4915199999' })
  const page = (filter: Parameters<typeof list>[1]) => place.db.tenant(place.tenantId, (tx) => list(tx, filter, { limit: 5 }))
  expect((await page({ address: '+4915199999' })).items.map(({ id }) => id)).toEqual([call.id])
  expect((await page({ live: true })).items.map(({ id }) => id)).toContain(call.id)
  expect((await page({ status: 'completed', live: true })).items).toEqual([])
  expect((await page({})).items).toHaveLength(5)
  expect((await place.db.tenant(newId(), (tx) => list(tx, {}, { limit: 5 }))).items).toEqual([])
  await system((tx) => end(tx, ending(call.id)))
})
