import { performance } from 'node:perf_hooks'

/**
 * Starts `total` pieces of work at fixed times; `dueMs` (of `performance.now()`) is when a piece should have begun. Resolves when all have ended.
 * It keeps nothing of a piece: what a load generator holds on to is collected in the process whose latencies it measures.
 */
export function atPace(perSecond: number, total: number, work: (n: number, dueMs: number) => Promise<void>): Promise<void> {
  return new Promise((resolve, reject) => {
    const startMs = performance.now()
    let [begun, ended] = [0, 0]
    const onEnd = () => {
      if (++ended === total) resolve()
    }
    const timer = setInterval(() => {
      const due = Math.min(total, Math.floor(((performance.now() - startMs) * perSecond) / 1_000))
      for (; begun < due; begun++) work(begun, startMs + (begun * 1_000) / perSecond).then(onEnd, reject)
      if (begun === total) clearInterval(timer)
    }, 1)
  })
}
