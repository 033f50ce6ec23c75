import websocket from '@fastify/websocket'
import type { Logger } from '@trunkline/core'
import type { WebSocket } from 'ws'
import type { ApiApp } from '../deps.ts'
import { spokenProtocol } from '../handshake.ts'

/** Routes that are WebSockets: `open` adds them, `close` ends what they began. */
export type SocketDoor = { open(scope: ApiApp): void; close(): void }

const GOING_AWAY = 1001
/** Who does not answer a close frame by then is cut off. */
const CLOSE_GRACE_MS = 1_000
/** The largest frame of any door (two messages of a web chat at full length fit); a door may take less. */
const FRAME_BYTES_MAX = 131_072

/** One server of WebSockets for all doors: each one listens to every handshake of the process, and two would answer it twice. */
export function registerSockets(app: ApiApp, log: Logger, doors: readonly SocketDoor[]): void {
  // The server of HTTP has let go of a connection that asked for an upgrade. One that was refused is ended here, or its client could keep it for ever.
  app.addHook('onResponse', async ({ headers, raw }) => {
    if (headers.upgrade !== undefined) raw.socket.end(() => raw.socket.destroy())
  })
  void app.register(async (scope) => {
    await scope.register(websocket, {
      options: { perMessageDeflate: false, maxPayload: FRAME_BYTES_MAX, handleProtocols: spokenProtocol },
      // A frame that is too large or a line that breaks: `ws` has closed the socket with the right code.
      errorHandler: (error, socket) => {
        log.debug({ error }, 'a socket failed')
        socket.terminate()
      },
      preClose() {
        for (const door of doors) door.close()
        return closeAll(this.websocketServer.clients)
      },
    })
    for (const door of doors) door.open(scope)
  })
}

async function closeAll(clients: Set<WebSocket>): Promise<void> {
  await Promise.all(
    [...clients].map(
      (socket) =>
        new Promise<void>((resolve) => {
          const timer = setTimeout(() => socket.terminate(), CLOSE_GRACE_MS)
          socket.once('close', () => {
            clearTimeout(timer)
            resolve()
          })
          if (socket.readyState === socket.CLOSED) resolve()
          socket.close(GOING_AWAY, 'the server goes away')
        }),
    ),
  )
}

export type Places = { enter(name: string): (() => void) | null }

/** At most so many at once under one name; null: all places are taken. */
export function createPlaces(max: number): Places {
  const taken = new Map<string, number>()
  return {
    enter(name) {
      const count = taken.get(name) ?? 0
      if (count >= max) return null
      taken.set(name, count + 1)
      let left = false
      return () => {
        if (left) return
        left = true
        const rest = taken.get(name)! - 1
        if (rest === 0) taken.delete(name)
        else taken.set(name, rest)
      }
    },
  }
}
