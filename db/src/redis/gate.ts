import type { Id } from '@trunkline/core'
import type { Redis } from 'ioredis'
import { channelPrefix, LEASE_KEYS, queueKey } from './ready.ts'
import { loadScript, runScript } from './script.ts'

const scripts = {
  admit: loadScript('admit', 'slices'),
  settle: loadScript('settle', 'slices', 'leases'),
  correct: loadScript('correct'),
  retired: loadScript('retired'),
}
const GATE = queueKey('gate')
/** Repeats are remembered in slices of time: an id lives for one to two of them. */
const SLICE_MS = 5_000

export type Admission = { /** For each body. */ admitted: boolean[]; /** For each id of all bodies in turn: known to be committed already. */ known: boolean[] }
export type Settlement = {
  /** Room that `admit` reserved, and how much of it no message has used. */
  reserved: number
  unused: number
  /** Ids whose message is committed (also the repeats): only these are remembered, so a failed insert is never taken for a repeat. */
  committed: readonly string[]
  wake: readonly Id[]
  effects: boolean
}
export type Depth = { depth: number; changes: string; pending: number }

/** The front of the queue in Redis: repeats of the last seconds, and how many messages wait in the installation. */
export type Gate = {
  /** `bodies`: the ids of each webhook body. Null when the depth is not known: count it and `correct` first. */
  admit(capacity: number, bodies: readonly (readonly string[])[], nowMs: number): Promise<Admission | null>
  settle(settlement: Settlement, nowMs: number): Promise<void>
  retired(count: number): Promise<void>
  depth(): Promise<Depth | null>
  /** Sets the depth to what Postgres counted after `before` was read. `force`: nothing pends any more, whatever the gate thinks. */
  correct(waiting: number, before: Depth | null, options: { slack: number; force: boolean }): Promise<boolean>
}

export function createGate(redis: Redis): Gate {
  return {
    async admit(capacity, bodies, nowMs) {
      const slice = Math.floor(nowMs / SLICE_MS)
      const args = [capacity, ...bodies.flatMap((ids) => [ids.length, ...ids])]
      const answer = await runScript<[string, string] | null>(redis, scripts.admit, [GATE, seenKey(slice), seenKey(slice - 1)], args)
      return answer && { admitted: Array.from(answer[0], (mark) => mark === 'a'), known: Array.from(answer[1], (mark) => mark === '1') }
    },
    async settle({ reserved, unused, committed, wake, effects }, nowMs) {
      const keys = [...LEASE_KEYS, GATE, seenKey(Math.floor(nowMs / SLICE_MS))]
      await runScript(redis, scripts.settle, keys, [channelPrefix(redis), reserved, unused, 2 * SLICE_MS, effects ? 1 : 0, committed.length, ...committed, ...wake])
    },
    async retired(count) {
      await runScript(redis, scripts.retired, [GATE], [count])
    },
    async depth() {
      const [depth, changes, pending] = await redis.hmget(GATE, 'depth', 'changes', 'pending')
      return depth === null || depth === undefined ? null : { depth: Number(depth), changes: changes ?? '0', pending: Number(pending ?? 0) }
    },
    async correct(waiting, before, { slack, force }) {
      return (await runScript<number>(redis, scripts.correct, [GATE], [waiting, before?.changes ?? '', before?.depth ?? 0, slack, force ? 1 : 0])) > 0
    },
  }
}

const seenKey = (slice: number): string => queueKey(`seen:${slice}`)
