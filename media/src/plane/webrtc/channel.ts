import { AppError } from '@trunkline/core'
import type { types } from 'mediasoup'
import type { DataChannel } from '../contract.ts'

/** What may wait in all for a peer that reads slowly. Beyond it the channel is closed: text that is lost would be worse. */
const MAX_WAITING_BYTES = 8 * 1024 * 1024
/** Above this the worker holds enough; the rest waits here. Under its send buffer of 2,000,000 bytes, which refuses when full. */
const HIGH_WATER_BYTES = 512 * 1024
const LOW_WATER_BYTES = 128 * 1024
/** Messages that come before anybody listens. */
const MAX_EARLY_BYTES = 1024 * 1024

export type ChannelOptions = {
  maxMessageBytes: number
  /** Our end of the stream in the worker; it is being made. */
  consumer: Promise<types.DataConsumer>
  onClosed(): void
  onFault: (error: unknown) => void
}

/** One data channel to the peer: text in order, never more in memory than the limits say. */
export class PeerChannel implements DataChannel {
  readonly #options: ChannelOptions
  readonly #waiting: { text: string; bytes: number }[] = []
  #waitingBytes = 0
  #early: string[] = []
  #earlyBytes = 0
  #pumping = false
  #listener: ((text: string) => void) | null = null
  #closed = false
  #closedListeners: (() => void)[] = []

  constructor(options: ChannelOptions) {
    this.#options = options
  }

  send(text: string): void {
    if (this.#closed) return
    const bytes = Buffer.byteLength(text)
    if (bytes > this.#options.maxMessageBytes) throw new AppError('payload_too_large', { message: `The peer takes messages of ${this.#options.maxMessageBytes} bytes; this one has ${bytes}.` })
    if (this.#waitingBytes + bytes > MAX_WAITING_BYTES) return this.close()
    this.#waiting.push({ text, bytes })
    this.#waitingBytes += bytes
    if (!this.#pumping) void this.#pump()
  }

  onMessage(listener: (text: string) => void): void {
    this.#listener = listener
    const early = this.#early
    this.#early = []
    for (const text of early) this.#tell(listener, text)
  }

  onClosed(listener: () => void): void {
    if (this.#closed) return listener()
    this.#closedListeners.push(listener)
  }

  /** Idempotent. */
  close(): void {
    if (this.#closed) return
    this.#closed = true
    this.#waiting.length = 0
    this.#options.onClosed()
    for (const listener of this.#closedListeners) listener()
    this.#closedListeners = []
  }

  /** From the peer. */
  receive(text: string): void {
    if (this.#closed) return
    if (this.#listener) return this.#tell(this.#listener, text)
    this.#earlyBytes += text.length
    if (this.#earlyBytes > MAX_EARLY_BYTES) return this.close()
    this.#early.push(text)
  }

  /** A listener that throws loses its channel; the sound of the call goes on. */
  #tell(listener: (text: string) => void, text: string): void {
    try {
      listener(text)
    } catch (error) {
      this.#options.onFault(error)
      this.close()
    }
  }

  /** One after the other: the worker's answer says how much it still holds. It refuses when the peer has closed the channel. */
  async #pump(): Promise<void> {
    this.#pumping = true
    try {
      const consumer = await this.#options.consumer
      for (let next = this.#waiting.shift(); next && !this.#closed; next = this.#waiting.shift()) {
        const held = await consumer.send(next.text)
        this.#waitingBytes -= next.bytes
        if (held > HIGH_WATER_BYTES) await lowWater(consumer)
      }
    } catch {
      this.close()
    } finally {
      this.#pumping = false
    }
  }
}

function lowWater(consumer: types.DataConsumer): Promise<void> {
  return new Promise((go) => {
    const done = (): void => {
      consumer.off('bufferedamountlow', done)
      consumer.observer.off('close', done)
      go()
    }
    consumer.on('bufferedamountlow', done)
    consumer.observer.on('close', done)
  })
}

export const prepareLowWater = (consumer: types.DataConsumer): Promise<void> => consumer.setBufferedAmountLowThreshold(LOW_WATER_BYTES)
