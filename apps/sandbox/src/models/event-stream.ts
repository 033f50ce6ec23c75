import type { FastifyReply } from 'fastify'
import type { FaultAction } from '../faults/fault.ts'
import type { Pace } from './pace.ts'
import { wait } from './pace.ts'

/** Pieces that are due within this time leave in one write: timers and system calls cost more than tokens. */
const TICK_MS = 10

/** How a fault ends a stream too early; nothing of it, and the stream is whole. */
export type StreamFault = Pick<FaultAction, 'cutStreamAfterEvents' | 'stallStreamAfterEvents'> | undefined

/** Server-sent events over a hijacked reply. Buffers until `flush`, counts events, and can be cut or silenced by a fault. */
export class EventStream {
  readonly #raw: FastifyReply['raw']
  readonly #cutAfter: number
  readonly #stallAfter: number
  #buffer = ''
  #events = 0
  #gone = false

  constructor(reply: FastifyReply, headers: Record<string, string>, fault: StreamFault) {
    reply.hijack()
    this.#raw = reply.raw
    this.#cutAfter = fault?.cutStreamAfterEvents ?? Infinity
    this.#stallAfter = fault?.stallStreamAfterEvents ?? Infinity
    this.#raw.once('close', () => (this.#gone = true))
    this.#raw.writeHead(200, { 'content-type': 'text/event-stream; charset=utf-8', 'cache-control': 'no-cache', ...headers })
  }

  /** True once the client left or the stream was cut or fell silent: nothing more can be said. */
  get gone(): boolean {
    return this.#gone
  }

  /** `name` is null where the API sends bare `data:` lines. `data` is JSON. */
  event(name: string | null, data: string): void {
    if (this.#gone) return
    if (this.#events >= this.#cutAfter) return this.#cut()
    if (this.#events >= this.#stallAfter) return this.#fallSilent()
    this.#events++
    this.#buffer += name === null ? `data: ${data}\n\n` : `event: ${name}\ndata: ${data}\n\n`
  }

  flush(): void {
    if (this.#gone || this.#buffer === '') return
    this.#raw.write(this.#buffer)
    this.#buffer = ''
  }

  end(): void {
    if (this.#gone) return
    this.#raw.end(this.#buffer)
    this.#buffer = ''
  }

  /** Emits each piece at the pace of the model. */
  async speak(pieces: readonly string[], pace: Pace, emit: (piece: string) => void): Promise<void> {
    const pieceMs = pace.perTokenMs * pace.tokensPerDelta
    const perTick = pieceMs > 0 ? Math.max(1, Math.round(TICK_MS / pieceMs)) : pieces.length
    for (let index = 0; index < pieces.length && !this.#gone; index++) {
      emit(pieces[index]!)
      if (pieceMs === 0 || (index + 1) % perTick !== 0) continue
      this.flush()
      await wait(pieceMs * perTick)
    }
  }

  /** The connection stays open until the client leaves. */
  #fallSilent(): void {
    this.flush()
    this.#gone = true
  }

  #cut(): void {
    const { socket } = this.#raw
    this.#raw.write(this.#buffer, () => socket?.destroy())
    this.#buffer = ''
    this.#gone = true
  }
}
