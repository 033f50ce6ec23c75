import { newId, type Clock } from '@trunkline/core'
import type { Redis } from 'ioredis'
import { PUBLISHERS_KEY, type EventLimits } from './keys.ts'

/** Takes this process off the roll: it has told everything. */
export type Roll = { leave(): Promise<void> }

/** Times in a row that a process may be missing. Clocks of machines differ by less; a process that is taken for gone and is not costs its listeners a look. */
const MISSED_MAX = 3

/**
 * Processes that tell events say that they live. One that is gone without leaving may have committed what it did not tell any more:
 * `onGone` is called for it once, in one of the others. Redis away: nobody is missed meanwhile.
 */
export function createRoll(redis: Redis, clock: Clock, { rollMs }: EventLimits, onGone: () => void): Roll {
  const me = newId()
  const life = { over: false }
  let cancel = () => {}

  async function call(): Promise<void> {
    const nowMs = clock.nowMs()
    await redis.zadd(PUBLISHERS_KEY, nowMs, me)
    const gone = await redis.zrangebyscore(PUBLISHERS_KEY, '-inf', nowMs - MISSED_MAX * rollMs)
    for (const one of gone) if ((await redis.zrem(PUBLISHERS_KEY, one)) === 1) onGone()
  }

  function again(afterMs: number): void {
    if (life.over) return
    cancel = clock.after(afterMs, () => void call().catch(() => {}).finally(() => again(rollMs)))
  }
  again(0)

  return {
    async leave() {
      life.over = true
      cancel()
      await redis.zrem(PUBLISHERS_KEY, me).catch(() => {})
    },
  }
}
