import { createServer, type Server } from 'node:net'

const FIRST_PORT = 47_310
const SLOTS = 32

/** The right to use one data folder, held by this process for as long as it lives. */
export interface Slot {
  index: number
  release(): Promise<void>
}

/**
 * Several test runs may go on at the same time in one checkout. Each takes a slot with data of its own. The lock is a
 * listening port: the kernel frees it when the process dies, so there is no stale lock to clear away.
 */
export async function takeSlot(): Promise<Slot> {
  for (let index = 0; index < SLOTS; index += 1) {
    const holder = await tryListen(FIRST_PORT + index)
    if (holder) {
      return { index, release: () => new Promise((resolve) => holder.close(() => resolve())) }
    }
  }
  throw new Error(`${SLOTS} test runs go on at the same time (ports ${FIRST_PORT} and up of 127.0.0.1); wait for one to end`)
}

function tryListen(port: number): Promise<Server | null> {
  return new Promise((resolve) => {
    const server = createServer((socket) => socket.destroy())
    server.once('error', () => resolve(null))
    server.listen({ port, host: '127.0.0.1', exclusive: true }, () => resolve(server))
  })
}
