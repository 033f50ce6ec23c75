import { silentLogger, type Clock } from '@trunkline/core'
import { describe, expect, it } from 'vitest'
import { Restarts, type Restarted } from './restarts.ts'

/** Time that stands still until somebody moves it. */
function stillClock(): Clock & { waiting(): number[]; move(): Promise<void> } {
  const timers = new Map<() => void, number>()
  return {
    nowMs: () => 0,
    after(delayMs, fn) {
      timers.set(fn, delayMs)
      return () => void timers.delete(fn)
    },
    waiting: () => [...timers.values()],
    async move() {
      const [fn] = [...timers.keys()]
      timers.delete(fn!)
      fn!()
      await new Promise((resolve) => setImmediate(resolve))
    },
  }
}

function restartOf(answers: (Restarted | Error)[]) {
  const made: number[] = []
  const restart = {
    made,
    gaveUp: 0,
    async ask(attempt: number): Promise<Restarted> {
      made.push(attempt)
      const answer = answers.shift() ?? 'asked'
      if (answer instanceof Error) throw answer
      return answer
    },
    async giveUp(): Promise<void> {
      restart.gaveUp += 1
    },
  }
  return restart
}

const CALL = '0199a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b'
const refused = () => new Error('503')

describe('the sound of a call that broke', () => {
  it('is asked for at once, and with growing pauses while it is refused', async () => {
    const clock = stillClock()
    const restarts = new Restarts({ clock, log: silentLogger })
    const restart = restartOf([refused(), refused(), refused()])
    await restarts.lost(CALL, restart)
    const pauses: number[] = []
    for (let attempt = 1; attempt <= 3; attempt++) {
      expect(restart.made).toHaveLength(attempt)
      pauses.push(...clock.waiting())
      await clock.move()
    }
    expect([restart.made, pauses, restart.gaveUp]).toEqual([[1, 2, 3, 4], [500, 1_000, 2_000], 0])
  })

  it('is given up after the last pause, once', async () => {
    const clock = stillClock()
    const restarts = new Restarts({ clock, log: silentLogger })
    const restart = restartOf(Array.from({ length: 20 }, refused))
    await restarts.lost(CALL, restart)
    let waitedMs = 0
    while (clock.waiting().length > 0) {
      waitedMs += clock.waiting()[0]!
      await clock.move()
    }
    expect([restart.made.length, restart.gaveUp, waitedMs]).toEqual([6, 1, 14_500])
  })

  it('that comes and breaks again waits, too: a loop of short streams is no storm of commands', async () => {
    const clock = stillClock()
    const restarts = new Restarts({ clock, log: silentLogger })
    const restart = restartOf([])
    await restarts.lost(CALL, restart)
    await restarts.lost(CALL, restart)
    await restarts.lost(CALL, restart)
    expect([restart.made, clock.waiting()]).toEqual([[1], [500]])
    await clock.move()
    expect(restart.made).toEqual([1, 2])
  })

  it('that held begins anew; one that is over is asked for no more', async () => {
    const clock = stillClock()
    const restarts = new Restarts({ clock, log: silentLogger })
    const restart = restartOf([])
    await restarts.lost(CALL, restart)
    expect(clock.waiting()).toEqual([20_000])
    await clock.move()
    await restarts.lost(CALL, restart)
    expect(restart.made).toEqual([1, 1])
    const over = restartOf(['over'])
    const other = CALL.replace('0199', '0200')
    await restarts.lost(other, over)
    await restarts.lost(other, over)
    expect(over.made).toEqual([1, 1])
    restarts.close()
    expect(clock.waiting()).toEqual([])
  })
})
