import { newId, silentLogger, type Clock, type InboundMessage } from '@trunkline/core'
import { expect, it } from 'vitest'
import { createDrain } from './drain.ts'
import { DEFAULT_LIMITS } from './order.ts'

const COALESCE_MS = 1_000
const message: InboundMessage = { kind: 'message', to: 'us', atMs: 0, providerMessageId: 'wamid.1', from: { identities: [{ kind: 'phone', value: '+1' }] }, content: { kind: 'text', text: 'Hello' } }

/** A clock that moves a little with every look, and whose alarms ring just before their time: as setTimeout does by the wall clock. */
function tickingClock(startMs: number, earlyMs: number) {
  let nowMs = startMs
  const alarms = new Set<{ atMs: number; fn: () => void }>()
  const clock: Clock = {
    nowMs: () => (nowMs += 0.3),
    after(delayMs, fn) {
      const alarm = { atMs: nowMs + delayMs, fn }
      alarms.add(alarm)
      return () => alarms.delete(alarm)
    },
  }
  /** Rings whatever is set until `untilMs`, each `earlyMs` early: some look is before the time, and the one after it past it. */
  const ring = (untilMs: number) => {
    for (;;) {
      const next = [...alarms].toSorted((a, b) => a.atMs - b.atMs)[0]
      if (!next || next.atMs > untilMs) return
      alarms.delete(next)
      nowMs = Math.max(nowMs, next.atMs - earlyMs)
      next.fn()
    }
  }
  return { clock, ring }
}

it.each([0, 0.2, 0.4, 0.6, 0.8, 1, 1.2])('starts a turn whose alarm rings %f ms early, although the clock moves on between the decision and the next alarm', async (earlyMs) => {
  const { clock, ring } = tickingClock(1_000_000, earlyMs)
  const [numberId, tenantId] = [newId(), newId()]
  const row = { numberId, seq: 1, messageId: newId(), conversationKey: 'phone:+1', receivedAtMs: 1_000_000, sealed: Buffer.alloc(0) }
  const settings = { orderMode: 'number', windowSize: 16, coalesceMs: COALESCE_MS, headDeadlineMs: 60_000 } as const
  const claimed = Promise.withResolvers<void>()
  const waiting = Promise.withResolvers<null>()
  let answered = 0
  const drain = createDrain(
    {
      clock,
      log: silentLogger,
      open: () => message,
      store: {
        readLimit: 200,
        claim: async () => {
          setImmediate(claimed.resolve)
          return [{ numberId, tenantId, epoch: 1, settings, rows: [row], begun: [], readUpTo: 1, more: false }]
        },
        read: async () => [],
      },
      wakes: {
        take: (() => {
          const numbers = [numberId]
          return async () => numbers.pop() ?? waiting.promise
        })(),
        claim: async (_max, taken) => ({ numberIds: [...taken], expired: 0, refused: 0 }),
        heartbeat: async (numberIds) => numberIds.map(() => 0),
        release: async (releases) => releases.map(() => 0),
        retired: async () => {},
        listen: async () => () => {},
        interrupt: () => waiting.resolve(null),
      },
      handler: {
        answer: async () => {
          answered += 1
          return 'retired'
        },
        send: async () => 'retired',
        park: async () => {},
      },
    },
    { limits: DEFAULT_LIMITS, leaseMs: 3_600_000, maxTurnsInFlight: 10, maxLanes: 10, claimMax: 10, takeMs: 500 },
  )
  await drain.start()
  await claimed.promise
  ring(1_000_000 + COALESCE_MS + 5)
  expect(answered).toBe(1)
  const stopped = drain.stop({ deadlineMs: 1_000 })
  waiting.resolve(null)
  await stopped
})

it('gives a lease back that a heartbeat took again after the lane was let go (a server that had forgotten the script hears a heartbeat late)', async () => {
  const { clock, ring } = tickingClock(1_000_000, 0)
  const [numberId, tenantId] = [newId(), newId()]
  const row = { numberId, seq: 1, messageId: newId(), conversationKey: 'phone:+1', receivedAtMs: 1_000_000, sealed: Buffer.alloc(0) }
  const settings = { orderMode: 'number', windowSize: 16, coalesceMs: 0, headDeadlineMs: 60_000 } as const
  const [waiting, answering, heartbeat, again] = [Promise.withResolvers<null>(), Promise.withResolvers<void>(), Promise.withResolvers<number[]>(), Promise.withResolvers<void>()]
  const started = Promise.withResolvers<void>()
  const released: (number | null)[] = []
  const numbers = [numberId]
  const drain = createDrain(
    {
      clock,
      log: silentLogger,
      open: () => message,
      store: { readLimit: 200, claim: async () => [{ numberId, tenantId, epoch: 1, settings, rows: [row], begun: [], readUpTo: 1, more: false }], read: async () => [] },
      wakes: {
        take: async () => numbers.pop() ?? waiting.promise,
        claim: async (_max, taken) => ({ numberIds: [...taken], expired: 0, refused: 0 }),
        heartbeat: () => heartbeat.promise,
        async release(releases) {
          released.push(...releases.map((release) => release.againInMs))
          if (released.length === 2) again.resolve()
          return releases.map(() => 0)
        },
        retired: async () => {},
        listen: async () => () => {},
        interrupt: () => waiting.resolve(null),
      },
      handler: {
        answer: async () => {
          started.resolve()
          await answering.promise
          return 'retired'
        },
        send: async () => 'retired',
        park: async () => {},
      },
    },
    { limits: DEFAULT_LIMITS, leaseMs: 6_000, maxTurnsInFlight: 10, maxLanes: 10, claimMax: 10, takeMs: 500 },
  )
  await drain.start()
  await started.promise
  ring(1_002_100) // The first heartbeat leaves, and its answer does not come yet.
  answering.resolve()
  await expect.poll(() => released).toEqual([null])
  heartbeat.resolve([0])
  await again.promise
  expect(released).toEqual([null, 0])
  const stopped = drain.stop({ deadlineMs: 1_000 })
  waiting.resolve(null)
  await stopped
})
