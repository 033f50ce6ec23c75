import { newId } from '@trunkline/core'
import { describe, expect, it } from 'vitest'
import { startFaultProxy } from '../../../tests/harness/fault-proxy.ts'
import { connectRedis, redisReady } from '../redis/connect.ts'
import { createAcceptor } from './accept.ts'
import { retireTurns, claimLanes, assertFence } from './lanes.ts'
import { createSweeper, queueDepth } from './sweep.ts'
import { deps, diaryHandler, laneOf, makeNumbers, message, queuePlace, testDrainer } from './testing.ts'

const place = queuePlace()

describe('the queue', () => {
  it('answers 2 entries x 3 changes x 2 messages of one webhook in order', async () => {
    const [number] = await makeNumbers(place, 1)
    const acceptor = createAcceptor({ ...place, ...deps })
    const ids = Array.from({ length: 12 }, (_, index) => `entry${Math.floor(index / 6)}-change${Math.floor(index / 2) % 3}-${index % 2}`)
    expect(await acceptor.accept(number!, ids.map((id) => message(id, id)))).toEqual({ accepted: 12, duplicates: 0 })
    const { handler, diary } = diaryHandler(place.db)
    const drainer = testDrainer(place, handler)
    await drainer.start()
    await diary.messages(12)
    await drainer.stop({ deadlineMs: 5_000 })
    expect(diary.texts).toEqual(ids)
    expect(await laneOf(place.db, number!.id)).toMatchObject({ next_seq: 13, cursor_seq: 12, ahead: [] })
  })

  it('keeps the head while it is retried: A, B fails twice, C waits -> A B C', async () => {
    const [number] = await makeNumbers(place, 1)
    const acceptor = createAcceptor({ ...place, ...deps })
    let failures = 0
    const { handler, diary } = diaryHandler(place.db, {
      async send(turn) {
        if (turn.items[0]!.message.from.identities[0]!.value === 'B' && failures++ < 2) throw new Error('supplier away')
      },
    })
    const drainer = testDrainer(place, handler)
    await drainer.start()
    await acceptor.accept(number!, ['A', 'B', 'C'].map((who) => message(`${number!.id}${who}`, who, who)))
    await diary.messages(3)
    await drainer.stop({ deadlineMs: 5_000 })
    expect(diary.texts).toEqual(['A', 'B', 'C'])
    expect(failures).toBe(3)
  })

  it('parks poison with its reason after five attempts and goes on', async () => {
    const [number] = await makeNumbers(place, 1)
    const acceptor = createAcceptor({ ...place, ...deps })
    let attempts = 0
    const { handler, diary } = diaryHandler(place.db, {
      async answer(turn) {
        if (turn.items[0]!.message.from.identities[0]!.value !== 'poison') return
        attempts += 1
        throw new Error('cannot be answered')
      },
    })
    const drainer = testDrainer(place, handler)
    await drainer.start()
    await acceptor.accept(number!, ['before', 'poison', 'after'].map((who) => message(`${number!.id}${who}`, who, who)))
    await diary.messages(3)
    await drainer.stop({ deadlineMs: 5_000 })
    expect(attempts).toBe(5)
    expect(diary.parked.map(({ turn, reason }) => [turn.seqs, reason])).toEqual([[[2], 'poison']])
    expect(diary.texts).toEqual(['before', 'after'])
  })

  it('passes a head that is stuck beyond its deadline, visibly, also when it ignores its signal', async () => {
    const [number] = await makeNumbers(place, 1, { headDeadlineMs: 1_000 })
    const acceptor = createAcceptor({ ...place, ...deps })
    const { promise: never } = Promise.withResolvers<void>()
    const { handler, diary } = diaryHandler(place.db, {
      answer: async (turn) => (turn.items[0]!.message.from.identities[0]!.value === 'stuck' ? never : undefined),
    })
    const drainer = testDrainer(place, handler)
    await drainer.start()
    await acceptor.accept(number!, ['stuck', 'next'].map((who) => message(`${number!.id}${who}`, who, who)))
    await diary.messages(2)
    expect(diary.parked.map(({ reason }) => reason)).toEqual(['head_deadline'])
    expect(diary.texts).toEqual(['next'])
    await drainer.stop({ deadlineMs: 100 })
  })

  it('makes one turn of an album and serves the same conversation serially', async () => {
    const [number] = await makeNumbers(place, 1, { coalesceMs: 300 })
    const acceptor = createAcceptor({ ...place, ...deps })
    let during = false
    const { handler, diary } = diaryHandler(place.db, {
      async answer() {
        if (during) return
        during = true
        await acceptor.accept(number!, [message(`${number!.id}late`, 'A', 'late')])
      },
    })
    const drainer = testDrainer(place, handler)
    await drainer.start()
    for (let part = 0; part < 10; part++) await acceptor.accept(number!, [message(`${number!.id}${part}`, 'A', String(part))])
    await diary.messages(11)
    await drainer.stop({ deadlineMs: 5_000 })
    expect(diary.texts).toEqual(['0+1+2+3+4+5+6+7+8+9', 'late'])
  })

  it('drains all with two drainers, in order, each message once, while one send in twenty fails at first', async () => {
    const numbers = await makeNumbers(place, 40)
    const acceptor = createAcceptor({ ...place, ...deps })
    const failed = new Set<string>()
    const { handler, diary } = diaryHandler(place.db, {
      async send(turn) {
        const key = `${turn.numberId}${turn.firstSeq}`
        if (turn.firstSeq % 20 !== 7 || failed.has(key)) return
        failed.add(key)
        throw new Error('first try')
      },
    })
    const drainers = [testDrainer(place, handler), testDrainer(place, handler)]
    for (const drainer of drainers) await drainer.start()
    for (let round = 0; round < 25; round++) {
      await Promise.all(numbers.map((number) => acceptor.accept(number, [message(`${number.id}-${round}`, `c${round % 7}`, String(round))])))
    }
    await diary.messages(1_000)
    await Promise.all(drainers.map((drainer) => drainer.stop({ deadlineMs: 5_000 })))
    for (const number of numbers) {
      const seqs = diary.sent.filter((turn) => turn.numberId === number.id).map((turn) => turn.firstSeq)
      expect(seqs).toEqual([...seqs].sort((a, b) => a - b))
    }
    expect(failed.size).toBeGreaterThan(0)
    expect(await queueDepth(place.db)).toEqual({ waiting: 0, waitingLanes: 0, oldestAgeMs: 0 })
  })

  it('refuses the commit of an owner whose number was claimed by another since', async () => {
    const [number] = await makeNumbers(place, 1)
    await createAcceptor({ ...place, ...deps }).accept(number!, [message(`${number!.id}x`)])
    const claim = (owner: string) => place.db.system('queue', (tx) => claimLanes(tx, [number!.id], owner, 200))
    const [stale] = await claim('stale')
    const [fresh] = await claim('fresh')
    expect(fresh!.epoch).toBe(stale!.epoch + 1)
    const retire = (epoch: number) => place.db.system('queue', (tx) => retireTurns(tx, [{ numberId: number!.id, epoch, seqs: [1] }]))
    expect(await retire(stale!.epoch)).toEqual(new Set([number!.id]))
    await expect(place.db.system('queue', (tx) => assertFence(tx, [{ numberId: number!.id, epoch: stale!.epoch }]))).rejects.toMatchObject({ code: 'fenced' })
    expect((await laneOf(place.db, number!.id)).cursor_seq).toBe(0)
    expect(await retire(fresh!.epoch)).toEqual(new Set())
    expect(await retire(fresh!.epoch)).toEqual(new Set([number!.id])) // Retired already.
  })

  it('holds up a claim while a checked commit is on its way, but neither arrivals nor retirements', async () => {
    const [number] = await makeNumbers(place, 1)
    const acceptor = createAcceptor({ ...place, ...deps })
    await acceptor.accept(number!, [message(`${number!.id}1`), message(`${number!.id}2`)])
    const claim = (owner: string) => place.db.system('queue', (tx) => claimLanes(tx, [number!.id], owner, 200))
    const epoch = (await claim('first'))[0]!.epoch
    const order: string[] = []
    const second = Promise.withResolvers<void>()
    await place.db.system('queue', async (tx) => {
      await assertFence(tx, [{ numberId: number!.id, epoch }])
      void claim('second').then(() => {
        order.push('claimed')
        second.resolve()
      })
      await acceptor.accept(number!, [message(`${number!.id}3`)])
      order.push('accepted')
      await expect.poll(async () => (await place.db.system('test', (probe) => probe.query("SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"))).rowCount).toBe(1)
      order.push('committing')
    })
    await second.promise
    expect(order).toEqual(['accepted', 'committing', 'claimed'])
    const retired = place.db.system('queue', (tx) => retireTurns(tx, [{ numberId: number!.id, epoch: epoch + 1, seqs: [1] }]))
    expect(await retired).toEqual(new Set())
  })

  it('moves the cursor over what was retired ahead of it', async () => {
    const [number] = await makeNumbers(place, 1)
    await createAcceptor({ ...place, ...deps }).accept(number!, Array.from({ length: 6 }, (_, index) => message(`${number!.id}${index}`)))
    const [lane] = await place.db.system('queue', (tx) => claimLanes(tx, [number!.id], 'me', 200))
    const retire = (...seqs: number[]) => place.db.system('queue', (tx) => retireTurns(tx, [{ numberId: number!.id, epoch: lane!.epoch, seqs }]))
    await retire(2, 4)
    expect(await laneOf(place.db, number!.id)).toMatchObject({ cursor_seq: 0, ahead: [2, 4] })
    const [again] = await place.db.system('queue', (tx) => claimLanes(tx, [number!.id], 'me', 200))
    expect(again!.rows.map((row) => row.seq)).toEqual([1, 3, 5, 6])
    await place.db.system('queue', (tx) => retireTurns(tx, [{ numberId: number!.id, epoch: again!.epoch, seqs: [1] }, { numberId: number!.id, epoch: again!.epoch, seqs: [3] }]))
    expect(await laneOf(place.db, number!.id)).toMatchObject({ cursor_seq: 4, ahead: [] })
  })

  it('finds everything again after Redis was emptied mid-load, under rising epochs', async () => {
    const numbers = await makeNumbers(place, 30)
    const acceptor = createAcceptor({ ...place, ...deps })
    const { handler, diary } = diaryHandler(place.db)
    const drainer = testDrainer(place, handler, { leaseMs: 1_000 })
    const sweeper = createSweeper({ ...place, ...deps, everyMs: 200 })
    sweeper.start()
    await drainer.start()
    const before = await Promise.all(numbers.map((number) => laneOf(place.db, number.id)))
    for (let round = 0; round < 20; round++) {
      if (round % 5 === 2) await place.redis.flushdb()
      await Promise.all(numbers.map((number) => acceptor.accept(number, [message(`${number.id}-${round}`, `c${round}`)])))
    }
    await place.redis.flushdb()
    await diary.messages(600, 8_000, numbers)
    await drainer.stop({ deadlineMs: 5_000 })
    await sweeper.stop()
    const after = await Promise.all(numbers.map((number) => laneOf(place.db, number.id)))
    expect(after.map((lane) => lane.cursor_seq)).toEqual(numbers.map(() => 20))
    expect(after.every((lane, index) => lane.epoch > before[index]!.epoch)).toBe(true)
    expect(new Set(diary.sent.map((turn) => `${turn.numberId}${turn.firstSeq}`)).size).toBe(diary.sent.length)
  })

  it('tells its turns to stop when Redis is silent for longer than the lease, and goes on when it answers again', async () => {
    const url = new URL(place.redisUrl)
    const proxy = await startFaultProxy({ port: Number(url.port) })
    url.port = String(proxy.port)
    const redis = connectRedis({ url: url.href, prefix: place.prefix, commandTimeoutMs: 300 })
    await redisReady(redis, 5_000)
    const [number] = await makeNumbers(place, 1)
    let attempts = 0
    const [{ promise: begun, resolve: tellBegun }, { promise: aborted, resolve: tellAborted }] = [Promise.withResolvers<void>(), Promise.withResolvers<unknown>()]
    const { handler, diary } = diaryHandler(place.db, {
      answer: (_, signal) =>
        new Promise((resolve, reject) => {
          if (attempts++ > 0) return resolve()
          tellBegun()
          signal.addEventListener('abort', () => {
            tellAborted(signal.reason)
            reject(signal.reason as Error)
          })
        }),
    })
    const drainer = testDrainer({ ...place, redis }, handler, { leaseMs: 1_000 })
    await drainer.start()
    await createAcceptor({ ...place, ...deps }).accept(number!, [message(`${number!.id}x`)])
    await begun
    proxy.set({ blackHole: true })
    expect(await aborted).toMatchObject({ code: 'fenced' })
    expect((await laneOf(place.db, number!.id)).cursor_seq).toBe(0)
    proxy.set({})
    proxy.cutAll()
    const sweeper = createSweeper({ ...place, ...deps, everyMs: 200 })
    sweeper.start()
    await diary.messages(1)
    await Promise.all([drainer.stop({ deadlineMs: 1_000 }), sweeper.stop()])
    expect((await laneOf(place.db, number!.id)).epoch).toBe(2)
    redis.disconnect()
    await proxy.close()
  })

  it('stop() lets turns at work end, starts no others and gives the rest to the next worker', async () => {
    const [number] = await makeNumbers(place, 1, { windowSize: 2 })
    const acceptor = createAcceptor({ ...place, ...deps })
    const begun: string[] = []
    const { promise: gate, resolve: openGate } = Promise.withResolvers<void>()
    const { promise: twoBegun, resolve: tellTwo } = Promise.withResolvers<void>()
    const { handler, diary } = diaryHandler(place.db, {
      async answer(turn) {
        begun.push(turn.items[0]!.message.from.identities[0]!.value)
        if (begun.length === 2) tellTwo()
        await gate
      },
    })
    const first = testDrainer(place, handler)
    await first.start()
    await acceptor.accept(number!, ['A', 'B', 'C', 'D'].map((who) => message(`${number!.id}${who}`, who, who)))
    await twoBegun
    const stopped = first.stop({ deadlineMs: 10_000 })
    openGate()
    await stopped
    expect(diary.texts).toEqual(['A', 'B'])
    expect(begun).toEqual(['A', 'B'])
    const second = testDrainer(place, handler)
    await second.start()
    await diary.messages(4, 3_000)
    await second.stop({ deadlineMs: 5_000 })
    expect(diary.texts).toEqual(['A', 'B', 'C', 'D'])
  })

  it('stop() aborts what does not end before its deadline', async () => {
    const [number] = await makeNumbers(place, 1)
    const { promise: begun, resolve: tell } = Promise.withResolvers<void>()
    const { handler } = diaryHandler(place.db, {
      answer: (_, signal) =>
        new Promise((_resolve, reject) => {
          tell()
          signal.addEventListener('abort', () => reject(signal.reason as Error))
        }),
    })
    const drainer = testDrainer(place, handler)
    await drainer.start()
    await createAcceptor({ ...place, ...deps }).accept(number!, [message(newId())])
    await begun
    await drainer.stop({ deadlineMs: 50 })
    expect(drainer.stats()).toMatchObject({ lanes: 0, turnsInFlight: 0 })
    expect((await laneOf(place.db, number!.id)).cursor_seq).toBe(0)
  })
})
