import type { MediaEvent, MediaFormat, MediaStart, MediaWire } from '@trunkline/channels'
import { createDecoder, createEncoder, createResampler, frameSamples, isPlain, monotonicClock, VoiceInput, type Pcm, type PlainFormat, type PlayoutWire, type SampleRateHz } from '@trunkline/media'
import type { RawData } from 'ws'

/** A carrier's socket, as far as a call needs it: one of `ws`, or a line within this process. */
export type MediaSocket = {
  readonly bufferedAmount: number
  send(text: string): void
  close(code?: number): void
  pause(): void
  terminate(): void
  on(event: 'message', listener: (data: RawData) => void): unknown
  on(event: 'close' | 'error', listener: () => void): unknown
}

/** What the call wants to hear from its line. */
export type LineEvents = {
  /** The carrier's stream has begun: from now on sound comes and may be sent. */
  started(line: CarrierLine): void
  /** 20 ms of the caller in order, with the moment it was spoken (monotonic). */
  frame(pcm: Pcm, atMs: number): void
  mark(name: string): void
  digit(digit: string): void
  /** Once, whoever ended it. */
  ended(reason: LineEnd): void
}
export type LineEnd = 'stopped' | 'closed' | 'slow_reader' | 'no_start' | 'bad_frames' | 'flood' | 'unsupported' | 'hung_up'

/** A socket that does not take its sound within a second of it is no telephone any more. */
const BUFFERED_BYTES_MAX = 256 * 1024
const START_WITHIN_MS = 10_000
/** Frames that cannot be read, in a row, before the line is given up. */
const BAD_FRAMES_MAX = 50
/** A line has some 65 messages a second (50 frames and the marks); after a break of the network those of twenty seconds may come at once. */
const [MESSAGES_PER_SECOND, MESSAGES_AT_ONCE] = [130, 1_300]
/** What a carrier is told when we close: its reader is too slow, or it says what no carrier says (RFC 6455 §7.4.1). */
const CLOSE_CODES: Partial<Record<LineEnd, number>> = { slow_reader: 1013, bad_frames: 1008, flood: 1008, unsupported: 1003 }
/** Who does not answer our goodbye in that time is cut off. */
const GOODBYE_MS = 1_000
const TICK_MS = 20

/**
 * The media socket of one call at a carrier: its JSON in, our sound out. Knows codecs and order, nothing of turns. The sound in both
 * directions has the rate of the caller's side; a carrier that wants another one from us gets it resampled.
 */
export class CarrierLine implements PlayoutWire {
  readonly #socket: MediaSocket
  readonly #media: MediaWire
  readonly #events: LineEvents
  #input: VoiceInput | null = null
  #start: MediaStart | null = null
  #send: ((pcm: Pcm) => void) | null = null
  #anchorMs: number | null = null
  #badInRow = 0
  #messages = 0
  #messagesSinceMs = monotonicClock.nowMs()
  #ended = false
  readonly #timers: NodeJS.Timeout[] = []

  constructor(socket: MediaSocket, media: MediaWire, events: LineEvents) {
    this.#socket = socket
    this.#media = media
    this.#events = events
    socket.on('message', (data: RawData) => this.#message(data))
    socket.on('close', () => this.#end('closed'))
    socket.on('error', () => this.#end('closed'))
    this.#timers.push(setTimeout(() => !this.#start && this.close('no_start'), START_WITHIN_MS))
  }

  /** Of the sound in both directions. Only after `started`. */
  get sampleRateHz(): SampleRateHz {
    return this.#start!.inbound.sampleRateHz
  }

  get start(): MediaStart {
    return this.#start!
  }

  send(pcm: Pcm): void {
    if (this.#ended || !this.#send) return
    if (this.#socket.bufferedAmount > BUFFERED_BYTES_MAX) return this.close('slow_reader')
    this.#send(pcm)
  }

  mark(name: string): void {
    if (!this.#ended) this.#socket.send(this.#media.encodeMark(name))
  }

  clear(): void {
    if (!this.#ended) this.#socket.send(this.#media.encodeClear())
  }

  /** Closes the socket: the carrier goes on with the next instruction or hangs up. Idempotent. */
  close(reason: LineEnd): void {
    if (this.#ended) return
    const code = CLOSE_CODES[reason]
    this.#socket.close(code ?? 1000)
    if (code !== undefined) this.#cutOff()
    this.#end(reason)
  }

  /** Nothing of it is read any more, and it does not hold us for the half minute that a goodbye may take. */
  #cutOff(): void {
    this.#socket.pause()
    setTimeout(() => this.#socket.terminate(), GOODBYE_MS).unref()
  }

  #message(data: RawData): void {
    if (this.#ended) return
    if (this.#isFlood()) return this.close('flood')
    const text = Array.isArray(data) ? Buffer.concat(data).toString('utf8') : Buffer.isBuffer(data) ? data.toString('utf8') : Buffer.from(data).toString('utf8')
    const event = this.#media.decode(text)
    if (event.kind === 'bad') {
      if (++this.#badInRow > BAD_FRAMES_MAX) this.close('bad_frames')
      return
    }
    this.#badInRow = 0
    this.#take(event)
  }

  /** A bucket that runs out at twice the rate of a telephone. */
  #isFlood(): boolean {
    if (++this.#messages <= MESSAGES_AT_ONCE) return false
    const nowMs = monotonicClock.nowMs()
    this.#messages = Math.max(0, this.#messages - ((nowMs - this.#messagesSinceMs) / 1_000) * MESSAGES_PER_SECOND)
    this.#messagesSinceMs = nowMs
    return this.#messages > MESSAGES_AT_ONCE
  }

  #take(event: Exclude<MediaEvent, { kind: 'bad' }>): void {
    switch (event.kind) {
      case 'start': return this.#begin(event)
      case 'media':
        if (event.track === 'inbound') this.#input?.push(event.chunk, event.timestampMs, event.payload, monotonicClock.nowMs())
        return
      case 'mark': return this.#events.mark(event.name)
      case 'dtmf': return this.#events.digit(event.digit)
      case 'stop': return this.#end('stopped')
      case 'connected':
      case 'failed':
      case 'other':
    }
  }

  #begin(start: MediaStart): void {
    if (this.#start) return
    if (!plain(start.inbound) || !plain(start.outbound)) return this.close('unsupported')
    this.#start = start
    this.#input = new VoiceInput({ decoder: createDecoder(start.inbound), onFrame: (pcm, timestampMs) => this.#heard(pcm, timestampMs) })
    this.#send = this.#sender(start.outbound, start.inbound.sampleRateHz)
    const tick = setInterval(() => this.#input!.tick(monotonicClock.nowMs()), TICK_MS)
    this.#timers.push(tick)
    this.#events.started(this)
  }

  /** Carrier time counts from the start of the stream; the smallest delay seen so far is taken for the way. */
  #heard(pcm: Pcm, timestampMs: number): void {
    const arrivedMs = monotonicClock.nowMs() - timestampMs
    this.#anchorMs = this.#anchorMs === null ? arrivedMs : Math.min(this.#anchorMs, arrivedMs)
    this.#events.frame(pcm, this.#anchorMs + timestampMs)
  }

  #sender(format: PlainFormat, lineHz: SampleRateHz): (pcm: Pcm) => void {
    const encoder = createEncoder(format)
    const resampler = format.sampleRateHz === lineHz ? null : createResampler({ fromHz: lineHz, toHz: format.sampleRateHz })
    const bytes = new Uint8Array(frameSamples(format.sampleRateHz) * 4)
    return (pcm) => {
      const sound = resampler ? resampler.process(pcm) : pcm
      const length = encoder.encodeInto(sound, bytes)
      this.#socket.send(this.#media.encodeMedia(bytes.subarray(0, length)))
    }
  }

  #end(reason: LineEnd): void {
    if (this.#ended) return
    this.#ended = true
    for (const timer of this.#timers) clearTimeout(timer)
    this.#events.ended(reason)
  }
}

const plain = (format: MediaFormat): format is MediaFormat & PlainFormat => isPlain(format)
