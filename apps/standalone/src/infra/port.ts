import { randomInt } from 'node:crypto'
import { createServer } from 'node:net'

/** Below what systems give away by themselves (Linux from 32768 on, macOS from 49152): nobody who takes just any port gets one of these. */
const [LOWEST, HIGHEST] = [15_000, 32_000]
const TRIES = 50

/** A port of 127.0.0.1 that is free at this moment. Another program may take it before you do: be ready to hear EADDRINUSE. */
export async function freePort(): Promise<number> {
  for (let tries = 0; tries < TRIES; tries++) {
    const port = randomInt(LOWEST, HIGHEST)
    if (await isFree(port)) return port
  }
  throw new Error(`None of ${TRIES} ports of 127.0.0.1 between ${LOWEST} and ${HIGHEST} is free.`)
}

const isFree = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const probe = createServer()
    probe.once('error', () => resolve(false))
    probe.listen(port, '127.0.0.1', () => probe.close(() => resolve(true)))
  })
