import type { Logger } from '@trunkline/core'
import type { Bell } from '@trunkline/db'

export type Pump = { start(): void; stop(): Promise<void> }

/** Runs `work` when the bell rings and, because a ring may be missed, every `everyMs`. Never twice at once; a ring during a run runs once more. */
export function onBell(bell: Bell, topic: string, everyMs: number, work: (signal: AbortSignal) => Promise<unknown>, log: Logger): Pump {
  const aborter = new AbortController()
  let running: Promise<void> | null = null
  let again = false
  let stopListening = () => {}
  let timer: NodeJS.Timeout | undefined

  async function run(): Promise<void> {
    do {
      again = false
      await work(aborter.signal).catch((error: unknown) => log.error({ topic, error }, 'work on a bell failed'))
    } while (again && !aborter.signal.aborted)
  }

  function ring(): void {
    if (aborter.signal.aborted) return
    again = true
    running ??= run().finally(() => {
      running = null
    })
  }

  return {
    start() {
      stopListening = bell.listen(topic, ring)
      timer = setInterval(ring, everyMs)
    },
    async stop() {
      stopListening()
      clearInterval(timer)
      aborter.abort()
      await running
    },
  }
}
