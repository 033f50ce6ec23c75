import { AppError } from '@trunkline/core'

export type Gate = <R>(work: () => Promise<R>) => Promise<R>

/** Lets `runningMax` pieces of work run at once and `waitingMax` wait in line; further ones are told `unavailable` at once. */
export function createGate(runningMax: number, waitingMax: number): Gate {
  const line: (() => void)[] = []
  let running = 0
  return async (work) => {
    if (running < runningMax) running++
    else {
      if (line.length >= waitingMax) throw new AppError('unavailable', { retryAfterMs: 1_000 })
      await new Promise<void>((resolve) => line.push(resolve))
    }
    try {
      return await work()
    } finally {
      const next = line.shift()
      if (next === undefined) running--
      else next()
    }
  }
}
