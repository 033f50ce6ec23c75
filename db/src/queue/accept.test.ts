import { newId, type InboundEvent } from '@trunkline/core'
import { describe, expect, it } from 'vitest'
import { createGate } from '../redis/gate.ts'
import { createAcceptor } from './accept.ts'
import { createSweeper } from './sweep.ts'
import { deps, diaryHandler, laneOf, makeNumbers, message, queuePlace, testDrainer } from './testing.ts'

const place = queuePlace()
const acceptorOf = (options = {}) => createAcceptor({ ...place, ...deps }, options)
const countOf = async (sql: string, ...values: unknown[]) => Number((await place.db.system('test', (tx) => tx.query<{ count: string }>(`SELECT count(*) FROM ${sql}`, values))).rows[0]!.count)
const outcomes = async (calls: Promise<unknown>[]) => (await Promise.allSettled(calls)).map((call) => (call.status === 'fulfilled' ? 'kept' : (call.reason as { code: string }).code))

describe('accepting', () => {
  it('keeps one row of the same message that comes 1,000 times in parallel through two processes, and again without Redis', async () => {
    const [number] = await makeNumbers(place, 1)
    const acceptors = [acceptorOf(), acceptorOf(), createAcceptor({ ...place, ...deps, redis: null })]
    const answers = await Promise.all(Array.from({ length: 1_000 }, (_, index) => acceptors[index % 3]!.accept(number!, [message('wamid.same')])))
    expect(answers.reduce((sum, answer) => sum + answer.accepted, 0)).toBe(1)
    expect(answers.reduce((sum, answer) => sum + answer.duplicates, 0)).toBe(999)
    expect(await countOf('inbox WHERE number_id = $1', number!.id)).toBe(1)
    expect((await laneOf(place.db, number!.id)).next_seq).toBe(2)
  })

  it('numbers messages without gaps, whatever repeats come between them', async () => {
    const [number] = await makeNumbers(place, 1)
    const acceptor = acceptorOf()
    await Promise.all(Array.from({ length: 60 }, (_, index) => acceptor.accept(number!, [message(`m${index % 20}`), message(`n${index}`)])))
    const { rows } = await place.db.system('test', (tx) => tx.query<{ seq: string }>('SELECT seq FROM inbox WHERE number_id = $1 ORDER BY seq', [number!.id]))
    expect(rows.map((row) => Number(row.seq))).toEqual(Array.from({ length: 80 }, (_, index) => index + 1))
  })

  it('does not take a message for a repeat whose insert failed', async () => {
    const [number] = await makeNumbers(place, 1)
    const failing = { ...place.db, system: () => Promise.reject(new Error('connection lost')) }
    await expect(createAcceptor({ ...place, ...deps, db: failing }).accept(number!, [message('retry-me')])).rejects.toMatchObject({ code: 'unavailable' })
    expect(await acceptorOf().accept(number!, [message('retry-me')])).toEqual({ accepted: 1, duplicates: 0 })
  })

  it('lets one poisoned body fail alone and keeps its neighbours of the batch', async () => {
    const numbers = await makeNumbers(place, 3)
    const acceptor = acceptorOf()
    const calls = numbers.flatMap((number) => [acceptor.accept(number, [message('good')]), acceptor.accept(number, [message('nul\u0000')])])
    expect(await outcomes(calls)).toEqual(['kept', 'invalid_request', 'kept', 'invalid_request', 'kept', 'invalid_request'])
  })

  it('refuses a number without a lane and a number of another tenant', async () => {
    const [number] = await makeNumbers(place, 1)
    const acceptor = acceptorOf()
    const calls = [acceptor.accept({ id: newId(), tenantId: place.tenantId }, [message('x')]), acceptor.accept({ id: number!.id, tenantId: newId() }, [message('x')])]
    expect(await outcomes(calls)).toEqual(['not_found', 'not_found'])
    expect(await countOf('inbox WHERE number_id = $1', number!.id)).toBe(0)
  })

  it('seals what customers wrote with their tenant', async () => {
    const [number] = await makeNumbers(place, 1)
    await acceptorOf().accept(number!, [message('sealed', '49170', 'a secret wish')])
    const { rows } = await place.db.system('test', (tx) => tx.query<{ payload_sealed: Buffer }>('SELECT payload_sealed FROM inbox WHERE number_id = $1', [number!.id]))
    expect(rows[0]!.payload_sealed.includes('secret wish')).toBe(false)
    expect(deps.keyring.open(rows[0]!.payload_sealed, place.tenantId).toString()).toContain('a secret wish')
    expect(() => deps.keyring.open(rows[0]!.payload_sealed, newId())).toThrow('does not open')
  })

  it('keeps each receipt once by message and status, beside the queue', async () => {
    const [number] = await makeNumbers(place, 1)
    const acceptor = acceptorOf()
    const receipt = (status: 'delivered' | 'read'): InboundEvent => ({ kind: 'receipt', to: 'x', atMs: 1, providerMessageId: 'm1', status })
    expect(await acceptor.accept(number!, [receipt('delivered'), receipt('read'), receipt('read')])).toEqual({ accepted: 2, duplicates: 1 })
    expect(await acceptor.accept(number!, [receipt('read')])).toEqual({ accepted: 0, duplicates: 1 })
    expect(await countOf('effects WHERE number_id = $1', number!.id)).toBe(2)
    expect((await laneOf(place.db, number!.id)).next_seq).toBe(1)
  })
})

describe('the cap', () => {
  const emptyInstallation = async () => {
    await place.redis.flushdb()
    await place.db.system('test', (tx) => tx.query("UPDATE lanes SET cursor_seq = next_seq - 1, ahead = '{}'"))
  }

  it('keeps exactly 100 of 110 messages that come at once through three processes', async () => {
    await emptyInstallation()
    const numbers = await makeNumbers(place, 10)
    const acceptors = Array.from({ length: 3 }, () => acceptorOf({ capacity: 100, retryAfterMs: 700 }))
    const calls = Array.from({ length: 110 }, (_, index) => acceptors[index % 3]!.accept(numbers[index % 10]!, [message(`cap-${index}`)]))
    const settled = await Promise.allSettled(calls)
    expect(settled.filter((call) => call.status === 'fulfilled')).toHaveLength(100)
    const refused = settled.find((call) => call.status === 'rejected')
    expect(refused).toMatchObject({ reason: { code: 'system_busy', retryAfterMs: 700, status: 503 } })
    expect(await countOf('inbox WHERE provider_message_id LIKE $1', 'cap-%')).toBe(100)
  })

  it('takes a body whole or not at all, and still knows repeats when full', async () => {
    await emptyInstallation()
    const [number] = await makeNumbers(place, 1)
    const acceptor = acceptorOf({ capacity: 5 })
    await acceptor.accept(number!, [1, 2, 3].map((n) => message(`whole-${n}`)))
    expect(await outcomes([acceptor.accept(number!, [4, 5, 6].map((n) => message(`whole-${n}`)))])).toEqual(['system_busy'])
    expect(await acceptor.accept(number!, [message('whole-4'), message('whole-5')])).toEqual({ accepted: 2, duplicates: 0 })
    expect(await acceptor.accept(number!, [message('whole-5')])).toEqual({ accepted: 0, duplicates: 1 })
    expect(await countOf('inbox WHERE number_id = $1', number!.id)).toBe(5)
  })

  it('has room again after draining, counts repeats for nothing and is rebuilt when Redis forgets it', async () => {
    await emptyInstallation()
    const [number] = await makeNumbers(place, 1)
    const acceptor = acceptorOf({ capacity: 10 })
    const ten = Array.from({ length: 10 }, (_, index) => message(`room-${index}`))
    await acceptor.accept(number!, ten)
    await acceptor.accept(number!, ten)
    await acceptor.idle()
    const gate = createGate(place.redis)
    expect(await gate.depth()).toMatchObject({ depth: 10, pending: 0 })
    await place.redis.flushdb()
    expect(await outcomes([acceptor.accept(number!, [message('room-x')])])).toEqual(['system_busy'])
    const { handler, diary } = diaryHandler(place.db)
    const drainer = testDrainer(place, handler)
    await drainer.start()
    await createSweeper({ ...place, ...deps, capacity: 10 }).sweep()
    await diary.messages(10)
    await drainer.stop({ deadlineMs: 1_000 })
    expect(await gate.depth()).toMatchObject({ depth: 0 })
    expect(await outcomes([acceptor.accept(number!, [message('room-x')])])).toEqual(['kept'])
  })

  it('holds by a count in Postgres while Redis is away', async () => {
    await emptyInstallation()
    const [number] = await makeNumbers(place, 1)
    const acceptor = createAcceptor({ ...place, ...deps, redis: null }, { capacity: 3 })
    const answers = []
    for (let index = 0; index < 5; index++) answers.push(...(await outcomes([acceptor.accept(number!, [message(`away-${index}`)])])))
    expect(answers).toEqual(['kept', 'kept', 'kept', 'system_busy', 'system_busy'])
  })

  it('is corrected by the sweeper when a worker died with what it had reserved', async () => {
    await emptyInstallation()
    const [number] = await makeNumbers(place, 1)
    const acceptor = acceptorOf({ capacity: 10 })
    await acceptor.accept(number!, [message('one')])
    await acceptor.idle()
    const gate = createGate(place.redis)
    await gate.admit(10, [['lost-1', 'lost-2']], Date.now())
    let nowMs = Date.now()
    const sweeper = createSweeper({ ...place, ...deps, capacity: 10, clock: { nowMs: () => nowMs, after: () => () => {} } })
    await sweeper.sweep()
    expect(await gate.depth()).toMatchObject({ depth: 3, pending: 2 })
    nowMs += 61_000
    await sweeper.sweep()
    expect(await gate.depth()).toMatchObject({ depth: 1, pending: 0 })
  })
})
