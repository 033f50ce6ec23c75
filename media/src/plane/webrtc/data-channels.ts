import type { types } from 'mediasoup'
import type { WebRtcJoin } from '../contract.ts'
import { PeerChannel, prepareLowWater } from './channel.ts'
import { DCEP_ACK, PPID, readOpen, readText } from './dcep.ts'

/**
 * Streams on which a channel may be opened, from 0. The side that began DTLS is to take the even ones (RFC 8832 §6), lowest
 * first, and not every library does. So these are two channels of any peer; the realtime protocol has one.
 */
const STREAMS = 4
/** How often the worker is asked whether a channel still is: it does not tell when the peer has closed one. */
const PROBE_MS = 2_000
const MAX_BYTES_PER_SECOND = 4 * 1024 * 1024

export type DataChannelsOptions = {
  transport: types.WebRtcTransport
  direct: types.DirectTransport
  maxMessageBytes: number
  maxMessagesPerSecond: number
  onDataChannel: NonNullable<WebRtcJoin['onDataChannel']>
  onFlood(): void
  onFault: (error: unknown) => void
}

/** `opened`: once, and not again: a second channel on the same stream would need a consumer of the same number. */
type Stream = { streamId: number; producer: types.DataProducer; channel: PeerChannel | null; opened: boolean; closed: boolean }

/**
 * The data channels that a peer opens. The worker forwards messages with their PPID and does not know DCEP, so its part
 * is done here: the streams on which a channel may be opened are listened to from the start, an OPEN is acknowledged.
 */
export class DataChannels {
  readonly #options: DataChannelsOptions
  readonly #anchor: types.DataProducer
  #streams: Stream[] = []
  /** Ours, by stream number. */
  readonly #consumers = new Map<number, types.DataConsumer>()
  #opening: Promise<unknown> = Promise.resolve()
  #probeAtMs = 0
  #budgetUntilMs = 0
  #messages = 0
  #bytes = 0

  private constructor(options: DataChannelsOptions, anchor: types.DataProducer) {
    this.#options = options
    this.#anchor = anchor
  }

  /** Before the peer gets its answer: what it sends to a stream that nobody listens to is lost. */
  static async listen(options: DataChannelsOptions): Promise<DataChannels> {
    // Consumers must consume something; we send to each of them directly, so this one stays silent.
    const channels = new DataChannels(options, await options.direct.produceData({ label: 'anchor' }))
    channels.#streams = await Promise.all(Array.from({ length: STREAMS }, (_, streamId) => channels.#listenTo(streamId)))
    return channels
  }

  tick(nowMs: number): void {
    if (nowMs >= this.#budgetUntilMs) {
      this.#budgetUntilMs = nowMs + 1_000
      this.#messages = 0
      this.#bytes = 0
    }
    if (nowMs < this.#probeAtMs) return
    this.#probeAtMs = nowMs + PROBE_MS
    for (const { streamId, channel, closed } of this.#streams) {
      if (channel && !closed) this.#consumers.get(streamId)?.getBufferedAmount().catch(() => channel.close())
    }
  }

  close(): void {
    for (const { channel } of this.#streams) channel?.close()
  }

  async #listenTo(streamId: number): Promise<Stream> {
    const { transport, direct } = this.#options
    const producer = await transport.produceData({ sctpStreamParameters: { streamId, ordered: true } })
    const ear = await direct.consumeData({ dataProducerId: producer.id })
    const stream: Stream = { streamId, producer, channel: null, opened: false, closed: false }
    ear.on('message', (message, ppid) => this.#receive(stream, message, ppid))
    return stream
  }

  #receive(stream: Stream, message: Buffer, ppid: number): void {
    this.#bytes += message.length
    if (++this.#messages > this.#options.maxMessagesPerSecond || this.#bytes > MAX_BYTES_PER_SECOND) return this.#options.onFlood()
    if (ppid === PPID.dcep) return this.#open(stream, message)
    const text = readText(message, ppid)
    if (text !== null) stream.channel?.receive(text)
  }

  #open(stream: Stream, message: Buffer): void {
    const open = readOpen(message)
    if (!open || stream.opened) return
    stream.opened = true
    // One at a time, because streams of ours are numbered in the order in which they are made.
    const consumer = this.#opening.then(() => this.#answer(stream))
    this.#opening = consumer.catch(() => {})
    stream.channel = new PeerChannel({
      maxMessageBytes: this.#options.maxMessageBytes,
      consumer,
      onClosed: () => this.#closeStream(stream),
      onFault: this.#options.onFault,
    })
    consumer.catch(() => stream.channel?.close())
    this.#options.onDataChannel(open.label, stream.channel)
  }

  /** Both directions of a channel have one stream number; mediasoup counts up, so numbers that are not wanted (yet) are kept. */
  async #answer({ streamId }: Stream): Promise<types.DataConsumer> {
    while (!this.#consumers.has(streamId) && this.#consumers.size <= streamId) {
      const made = await this.#options.transport.consumeData({ dataProducerId: this.#anchor.id })
      this.#consumers.set(made.sctpStreamParameters!.streamId, made)
    }
    const consumer = this.#consumers.get(streamId)
    if (!consumer) throw new Error(`the worker gave no stream ${streamId}`)
    await prepareLowWater(consumer)
    await consumer.send(DCEP_ACK, PPID.dcep)
    return consumer
  }

  /** Resets the stream, which is how the peer learns of it (RFC 8831 §6.7). */
  #closeStream(stream: Stream): void {
    stream.closed = true
    this.#consumers.get(stream.streamId)?.close()
    stream.producer.close()
  }
}
