import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net'

/**
 * What the network does, in both directions unless said otherwise. Switch it at run time; it holds from that moment for
 * open connections too.
 * - `latencyMs`: every chunk arrives that much later, in order.
 * - `bytesPerSecond`: the throttle of each direction of each connection.
 * - `resetAfterBytes`: a connection is reset (RST) once that many bytes, both directions together, were let through.
 * - `blackHole`: what is sent disappears; connections stay open. New ones are accepted and never answered.
 * - `halfOpen`: what the client sends arrives, answers disappear: the peer does the work and nobody hears of it.
 * - `refuse`: new connections are reset at once; open ones live on (see `cutAll`).
 */
export interface Faults {
  latencyMs?: number
  bytesPerSecond?: number
  resetAfterBytes?: number
  blackHole?: boolean
  halfOpen?: boolean
  refuse?: boolean
}

export interface FaultProxy {
  port: number
  /** Replaces all faults; `{}` heals the network. Bytes that disappeared stay lost, as with a real cut. */
  set(faults: Faults): void
  /** Resets every open connection, as a router that forgot its table does. */
  cutAll(): void
  connections(): number
  /** Bytes that a black hole or a half-open network has lost so far. Await it before healing when the loss itself matters. */
  swallowedBytes(): number
  close(): Promise<void>
}

interface Shared {
  faults: Faults
  swallowedBytes: number
}

/** A TCP proxy on a free port of 127.0.0.1 in front of `target`. Faithful while no fault is set: half-closes and back-pressure included. */
export async function startFaultProxy(target: { port: number; host?: string }): Promise<FaultProxy> {
  const shared: Shared = { faults: {}, swallowedBytes: 0 }
  const links = new Set<Link>()
  // allowHalfOpen: one side may finish speaking and still listen, as in plain TCP.
  const server = createServer({ allowHalfOpen: true, noDelay: true }, (client) => {
    if (shared.faults.refuse) {
      client.on('error', () => {})
      client.resetAndDestroy()
      return
    }
    const link = new Link(client, target, shared, () => links.delete(link))
    links.add(link)
  })
  await listen(server)
  return {
    port: (server.address() as AddressInfo).port,
    set(faults) {
      shared.faults = { ...faults }
      links.forEach((link) => link.applyResetLimit())
    },
    cutAll: () => links.forEach((link) => link.reset()),
    connections: () => links.size,
    swallowedBytes: () => shared.swallowedBytes,
    close() {
      links.forEach((link) => link.reset())
      return new Promise((resolve) => server.close(() => resolve()))
    },
  }
}

function listen(server: Server): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen(0, '127.0.0.1', resolve)
  })
}

/** One client connection and its upstream one. */
class Link {
  readonly #client: Socket
  readonly #upstream: Socket
  readonly #shared: Shared
  #passedBytes = 0
  #closed = false
  readonly #onClosed: () => void

  constructor(client: Socket, target: { port: number; host?: string }, shared: Shared, onClosed: () => void) {
    this.#client = client
    this.#shared = shared
    this.#onClosed = onClosed
    this.#upstream = connect({ port: target.port, host: target.host ?? '127.0.0.1', allowHalfOpen: true, noDelay: true })
    void this.#pump(client, this.#upstream, 'up')
    void this.#pump(this.#upstream, client, 'down')
    for (const socket of [client, this.#upstream]) {
      socket.on('error', () => this.reset())
      socket.once('close', () => this.#closeIfDone())
    }
  }

  /** RST to both ends. */
  reset(): void {
    if (this.#closed) return
    this.#closed = true
    this.#client.resetAndDestroy()
    // A socket that is still connecting has no peer to reset.
    if (this.#upstream.connecting) this.#upstream.destroy()
    else this.#upstream.resetAndDestroy()
    this.#onClosed()
  }

  applyResetLimit(): void {
    const { resetAfterBytes } = this.#shared.faults
    if (resetAfterBytes !== undefined && this.#passedBytes >= resetAfterBytes) this.reset()
  }

  /** Reads, delays, throttles and writes one direction. Awaiting each step is what keeps the order and the back-pressure. */
  async #pump(from: Socket, to: Socket, direction: 'up' | 'down'): Promise<void> {
    const line = new DelayLine()
    try {
      for await (const chunk of from as AsyncIterable<Buffer>) {
        if (this.#swallows(direction)) {
          this.#shared.swallowedBytes += chunk.length
          continue
        }
        const { latencyMs = 0, bytesPerSecond } = this.#shared.faults
        if (bytesPerSecond) await pause((chunk.length / bytesPerSecond) * 1_000)
        await line.pass(latencyMs, () => this.#deliver(chunk, to))
      }
      await line.drained()
      if (!this.#swallows(direction)) to.end()
    } catch {
      this.reset()
    }
  }

  async #deliver(chunk: Buffer, to: Socket): Promise<void> {
    if (this.#closed) return
    const { resetAfterBytes } = this.#shared.faults
    const allowed = resetAfterBytes === undefined ? chunk.length : Math.max(0, resetAfterBytes - this.#passedBytes)
    const part = chunk.subarray(0, allowed)
    this.#passedBytes += part.length
    await written(to, part)
    this.applyResetLimit()
  }

  #swallows(direction: 'up' | 'down'): boolean {
    const { blackHole, halfOpen } = this.#shared.faults
    return blackHole === true || (halfOpen === true && direction === 'down')
  }

  #closeIfDone(): void {
    if (this.#closed || !this.#client.destroyed || !this.#upstream.destroyed) return
    this.#closed = true
    this.#onClosed()
  }
}

/** Lets chunks through in their order, each after its own delay, without waiting for one to arrive before the next may leave. */
class DelayLine {
  #last: Promise<void> = Promise.resolve()

  /** Without a delay it resolves when delivered (back-pressure); with one at once, so that latency does not become a throttle. */
  pass(delayMs: number, deliver: () => Promise<void>): Promise<void> {
    const due = delayMs > 0 ? pause(delayMs) : Promise.resolve()
    const before = this.#last
    this.#last = Promise.all([before, due]).then(deliver)
    if (delayMs === 0) return this.#last
    this.#last.catch(() => {}) // Told by drained() and by the next chunk.
    return Promise.resolve()
  }

  drained(): Promise<void> {
    return this.#last
  }
}

function written(socket: Socket, chunk: Buffer): Promise<void> {
  if (chunk.length === 0) return Promise.resolve()
  return new Promise((resolve, reject) => socket.write(chunk, (error) => (error ? reject(error) : resolve())))
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, ms)
  })
}
