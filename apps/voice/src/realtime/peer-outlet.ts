import { AppError, type Logger } from '@trunkline/core'
import type { DataChannel } from '@trunkline/media'
import type { Outlet } from './outlet.ts'

/** What a client is told before it has opened its channel. One that opens none is told nothing. */
const EARLY_BYTES_MAX = 1024 * 1024
/** Time for the last events to leave before the call is ended. */
const LINGER_MS = 300

/** The events of a call over its data channel. */
export class PeerOutlet implements Outlet {
  /** The channel bounds itself: a peer that does not read loses it. */
  readonly waitingBytes = 0
  readonly #hangUp: (reason: string) => void
  readonly #log: Logger
  #channel: DataChannel | null = null
  #early: string[] = []
  #earlyBytes = 0
  #closed = false

  constructor(hangUp: (reason: string) => void, log: Logger) {
    this.#hangUp = hangUp
    this.#log = log
  }

  /** False: there is one already. */
  open(channel: DataChannel): boolean {
    if (this.#channel || this.#closed) return false
    this.#channel = channel
    channel.onClosed(() => this.close(1001, 'channel_closed'))
    for (const text of this.#early.splice(0)) this.send(text)
    return true
  }

  send(text: string): void {
    if (this.#closed) return
    if (!this.#channel) return this.#keep(text)
    try {
      this.#channel.send(text)
    } catch (error) {
      // Longer than the peer said it takes: it would wait for this one forever.
      this.#log.info({ error }, 'an event is too long for a data channel')
      this.close(1009, error instanceof AppError ? error.code : 'send_failed')
    }
  }

  close(_code: number, reason: string): void {
    if (this.#closed) return
    this.#closed = true
    this.#early = []
    setTimeout(() => this.#hangUp(reason), this.#channel ? LINGER_MS : 0)
  }

  #keep(text: string): void {
    this.#earlyBytes += text.length
    if (this.#earlyBytes <= EARLY_BYTES_MAX) this.#early.push(text)
  }
}
