import type { FastifyReply } from 'fastify'
import type { WebSocket } from 'ws'
import type { Fault } from '../faults/fault.ts'

/** One answer that comes in pieces, and what a fault may do to it: cut, stall or garble it after so many pieces. */
export class Outlet {
  readonly #write: (piece: string | Buffer) => void
  readonly #cut: () => void
  readonly #fault: Fault['action']
  #sent = 0
  #silent = false

  constructor(fault: Fault | undefined, write: (piece: string | Buffer) => void, cut: () => void) {
    this.#fault = fault?.action ?? {}
    this.#write = write
    this.#cut = cut
  }

  /** True once a fault has ended or silenced it: nothing more will be said. */
  get silent(): boolean {
    return this.#silent
  }

  send(piece: string | Buffer): void {
    if (this.#silent) return
    const { cutStreamAfterEvents, stallStreamAfterEvents, garbleStreamAfterEvents } = this.#fault
    if (this.#sent >= (stallStreamAfterEvents ?? Infinity)) return void (this.#silent = true)
    if (this.#sent >= (cutStreamAfterEvents ?? Infinity)) {
      this.#silent = true
      return this.#cut()
    }
    this.#write(this.#sent === garbleStreamAfterEvents ? garbled(piece) : piece)
    this.#sent++
  }
}

const garbled = (piece: string | Buffer): string | Buffer => (typeof piece === 'string' ? '<html>upstream connect error {"half": ' : Buffer.from('<html>upstream'))

/** Over a hijacked reply. `end` does nothing after a fault silenced the stream: it then stays open. */
export function replyOutlet(reply: FastifyReply, fault: Fault | undefined, headers: Record<string, string>): Outlet & { end(): void } {
  reply.hijack()
  const { raw } = reply
  raw.writeHead(200, { ...(reply.getHeaders() as Record<string, string>), ...headers })
  raw.flushHeaders()
  const outlet = new Outlet(fault, (piece) => void raw.write(piece), () => void raw.write('', () => raw.destroy()))
  return Object.assign(outlet, { end: () => void (outlet.silent || raw.end()) })
}

export function socketOutlet(socket: WebSocket, fault: Fault | undefined): Outlet {
  return new Outlet(fault, (piece) => socket.send(piece), () => socket.terminate())
}
