import { randomBytes } from 'node:crypto'
import { newId } from '@trunkline/core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { freshRedis } from '../../../tests/harness/redis.ts'
import { connectRedis, createKeyring, createSessionBook, type Redis, type SessionBook, type LiveSessionFacts } from '../index.ts'

const keyring = createKeyring(['a master secret of 32 characters or more'])
let redis: Redis
let books: [SessionBook, SessionBook]
/** What the first process is asked to hand over. */
let asked: string[]
let handOver: (sessionId: string) => Promise<void>
const closers: (() => void)[] = []
beforeAll(async () => {
  redis = connectRedis(freshRedis())
  await redis.connect()
  books = [createSessionBook({ redis, keyring }), createSessionBook({ redis, keyring })]
  asked = []
  closers.push(
    await books[0].listen(async (sessionId) => {
      asked.push(sessionId)
      await handOver(sessionId)
    }),
    await books[1].listen(async () => {}),
  )
})
afterAll(() => {
  for (const close of closers) close()
  redis.disconnect()
})

const facts = (): LiveSessionFacts => ({ tenantId: newId(), projectId: newId(), model: 'gpt-realtime', expiresAtMs: Date.now() + 60_000 })
const OPEN = { open: true, lifeMs: 60_000 }
const CLOSED = { open: false, lifeMs: 60_000 }
const begin = (name: string) => ({ sessionId: `sess_${name}${newId().replaceAll('-', '')}`, epoch: 1 })

describe('the book of sessions', () => {
  it('gives a session that was let go of to another process, as it was', async () => {
    const [hold, whose] = [begin('a'), facts()]
    expect(await books[0].save(hold, whose, '{"said":"früh um neun"}', CLOSED)).toBe('saved')
    expect(await books[1].find(hold.sessionId)).toEqual(whose)
    expect(await books[1].take(hold.sessionId, whose.tenantId)).toEqual({ hold: { ...hold, epoch: 2 }, kept: '{"said":"früh um neun"}' })
  })

  it('asks a living owner first, and gets what it had in mind only', async () => {
    const [hold, whose] = [begin('b'), facts()]
    await books[0].save(hold, whose, 'a second ago', OPEN)
    handOver = async () => void (await books[0].save(hold, whose, 'now', CLOSED))
    expect((await books[1].take(hold.sessionId, whose.tenantId))?.kept).toBe('now')
    expect(asked).toContain(hold.sessionId)
  })

  it('does not wait for an owner that does not answer, and that one writes nothing any more', async () => {
    const [hold, whose] = [begin('c'), facts()]
    await books[0].save(hold, whose, 'first', OPEN)
    handOver = () => new Promise(() => {})
    const taken = await books[1].take(hold.sessionId, whose.tenantId)
    expect(taken?.kept).toBe('first')
    expect(await books[0].save(hold, whose, 'too late', OPEN)).toBe('taken')
    await books[0].forget(hold)
    expect(await books[1].save(taken!.hold, whose, 'second', OPEN)).toBe('saved')
  })

  it('has one owner after many have taken it at once', async () => {
    const [hold, whose] = [begin('d'), facts()]
    await books[0].save(hold, whose, 'x', CLOSED)
    const taken = await Promise.all(Array.from({ length: 8 }, (_, at) => books[at % 2 === 0 ? 0 : 1].take(hold.sessionId, whose.tenantId)))
    const outcomes = await Promise.all(taken.map((each) => books[0].save(each!.hold, whose, 'y', OPEN)))
    expect(outcomes.filter((outcome) => outcome === 'saved')).toHaveLength(1)
  })

  it('shows nothing of it in Redis, and opens it for its tenant only', async () => {
    const [hold, whose] = [begin('e'), facts()]
    await books[0].save(hold, whose, 'my number is 4711', CLOSED)
    expect(JSON.stringify(await redis.hgetall(`live-session:${hold.sessionId}`))).not.toContain('4711')
    await expect(books[1].take(hold.sessionId, newId())).rejects.toThrow()
  })

  it('keeps a long conversation too', async () => {
    const [hold, whose] = [begin('h'), facts()]
    const long = JSON.stringify(Array.from({ length: 20_000 }, (_, at) => `Boat ${at} liegt am Steg – größer als die anderen.`))
    expect(await books[0].save(hold, whose, long, CLOSED)).toBe('saved')
    expect((await books[1].take(hold.sessionId, whose.tenantId))?.kept).toBe(long)
  })

  it('is bounded: what is too long is not kept, and an older state of it neither', async () => {
    const [hold, whose] = [begin('f'), facts()]
    await books[0].save(hold, whose, 'short', CLOSED)
    const noise = randomBytes(1_200_000).toString('base64')
    expect(await books[0].save(hold, whose, noise, CLOSED)).toBe('too_large')
    expect(await books[1].take(hold.sessionId, whose.tenantId)).toBeNull()
  })

  it('forgets', async () => {
    const [hold, whose] = [begin('g'), facts()]
    await books[0].save(hold, whose, 'x', CLOSED)
    await books[0].forget(hold)
    expect(await books[1].find(hold.sessionId)).toBeNull()
    expect(await books[1].take(hold.sessionId, whose.tenantId)).toBeNull()
    await books[0].save({ ...hold }, whose, 'x', { open: false, lifeMs: 20 })
    await expect.poll(() => books[1].find(hold.sessionId)).toBeNull()
  })
})
