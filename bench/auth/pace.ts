import { performance } from 'node:perf_hooks'

/** Starts `total` pieces of work at fixed times; `dueMs` (of `performance.now()`) is when a piece should have begun. Resolves when all have ended. */
export async function atPace(perSecond: number, total: number, work: (n: number, dueMs: number) => Promise<void>): Promise<void> {
  const startMs = performance.now()
  const under: Promise<void>[] = []
  await new Promise<void>((resolve) => {
    const timer = setInterval(() => {
      const due = Math.min(total, Math.floor(((performance.now() - startMs) * perSecond) / 1_000))
      while (under.length < due) under.push(work(under.length, startMs + (under.length * 1_000) / perSecond))
      if (under.length < total) return
      clearInterval(timer)
      resolve()
    }, 1)
  })
  await Promise.all(under)
}
