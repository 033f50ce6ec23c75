import { WebSocket } from 'ws'
import type { Call, Listener } from './call.ts'
import { frameBytes, silenceByte, transcode, type LineFormat } from './format.ts'
import { Way, type Network } from './network.ts'
import { Playout } from './playout.ts'
import type { Wheel } from './wheel.ts'

/** A message of ours, read by a carrier's rules. `fault`: what the carrier thinks of it; it goes on listening. */
export type Said = { kind: 'media'; bytes: Buffer } | { kind: 'mark'; name: string } | { kind: 'clear' } | { kind: 'fault'; code: string; detail: string }

/** A carrier's words on its media socket. Sequence numbers count all messages of a stream but `connected`. */
export type MediaWords = {
  connected(): string
  start(): string
  /** `payload` is base64. */
  media(chunk: number, timestampMs: number, payload: string): string
  dtmf(digit: string): string
  mark(name: string): string
  stop(): string
  /** Null: the carrier says nothing of faults. */
  fault(code: string, detail: string): string | null
  read(text: string): Said
}

export type MediaSocketFacts = {
  call: Call
  streamId: string
  url: string
  headers: Record<string, string>
  words: MediaWords
  wheel: Wheel
  network: Network
  /** How the person's sound is forwarded. */
  hears: LineFormat
  /** How ours is expected; null: a fork, nothing that we say is heard (`<Start><Stream>`). */
  speaks: LineFormat | null
  onOpen(): void
  /** Once. `error`: why it could not be opened or broke; null when it was closed by either side in good order. */
  onClosed(error: string | null): void
}

export type MediaStats = {
  framesSent: number
  framesLost: number
  framesSwapped: number
  /** Frames that were not even sent because our server did not read (Twilio warns with 31930 then). */
  framesDropped: number
  messagesReceived: number
  bytesReceived: number
  faults: number
  /** Times at which the sound ran dry less than 200 ms before it went on, without a mark or clear in between: heard as a stutter. */
  underruns: number
  waitingMsMax: number
  marksReturned: number
  clears: number
}

const HANDSHAKE_MS = 5_000
const MESSAGE_BYTES_MAX = 4 * 1024 * 1024
/** What may wait in our own socket before frames are dropped: some 60 s of sound. */
const BACKLOG_BYTES_MAX = 1024 * 1024
const STUTTER_FRAMES = 10

/** The carrier's end of one media stream: our server is called by it, as in the real world. */
export class MediaSocket implements Listener {
  readonly stats: MediaStats = { framesSent: 0, framesLost: 0, framesSwapped: 0, framesDropped: 0, messagesReceived: 0, bytesReceived: 0, faults: 0, underruns: 0, waitingMsMax: 0, marksReturned: 0, clears: 0 }
  readonly #facts: MediaSocketFacts
  readonly #socket: WebSocket
  readonly #way: Way
  readonly #playout: Playout
  readonly #line: LineFormat
  readonly #outFrame: Buffer
  readonly #quietPayload: string
  readonly #bytesPerMs: number
  #isStarted = false
  #isOver = false
  #chunk = 0
  #dryFrames = STUTTER_FRAMES

  constructor(facts: MediaSocketFacts) {
    this.#facts = facts
    const speaks = facts.speaks ?? facts.hears
    this.#line = facts.call.facts.format
    this.#playout = new Playout(frameBytes(speaks), silenceByte(speaks))
    this.#outFrame = Buffer.alloc(frameBytes(speaks))
    this.#bytesPerMs = frameBytes(speaks) / 20
    this.#quietPayload = quiet(facts.hears).toString('base64')
    this.#way = new Way(facts.wheel, (text) => this.#send(text))
    this.#way.set(facts.network)
    this.#socket = new WebSocket(facts.url, { perMessageDeflate: false, handshakeTimeout: HANDSHAKE_MS, maxPayload: MESSAGE_BYTES_MAX, headers: facts.headers, followRedirects: false })
    this.#listen()
  }

  set network(network: Network) {
    this.#way.set(network)
  }

  get streamId(): string {
    return this.#facts.streamId
  }

  hear(frame: Buffer, isQuiet: boolean): void {
    if (!this.#isStarted || this.#isOver) return
    this.#chunk++
    if (this.#socket.bufferedAmount > BACKLOG_BYTES_MAX) return void this.stats.framesDropped++
    this.stats.framesSent++
    this.#way.send(this.#facts.words.media(this.#chunk, (this.#chunk - 1) * 20, isQuiet ? this.#quietPayload : transcode(frame, this.#line, this.#facts.hears).toString('base64')))
  }

  speak(out: Buffer): number {
    // What was pulled the last time has been played by now, to its end.
    for (const name of this.#playout.takeMarks()) this.#returnMark(name, 'played')
    const sound = this.#playout.pull(this.#outFrame)
    transcode(this.#outFrame, this.#facts.speaks ?? this.#line, this.#line).copy(out)
    this.#watchStutter(sound > 0)
    return sound
  }

  pressed(digit: string): void {
    if (this.#isStarted) this.#way.sendInOrder(this.#facts.words.dtmf(digit))
  }

  /** The stream ends in good order: the call did, or something else takes its place. */
  close(): void {
    if (this.#isOver) return
    if (this.#isStarted) this.#send(this.#facts.words.stop())
    this.#over(null)
    this.#socket.close(1000)
    // A server that does not answer the closing handshake holds nothing up.
    this.#facts.wheel.after(2_000, () => this.#socket.terminate())
  }

  /** The network between the carrier and our server breaks: no stop, no closing handshake. */
  drop(): void {
    this.#socket.terminate()
    this.#over('connection lost')
  }

  /** Reads nothing of what we say for a while: a slow carrier, seen from our server. */
  stall(ms: number): void {
    this.#socket.pause()
    this.#facts.wheel.after(ms, () => this.#socket.resume())
  }

  #listen(): void {
    const socket = this.#socket
    socket.on('open', () => {
      this.#send(this.#facts.words.connected())
      this.#send(this.#facts.words.start())
      this.#isStarted = true
      this.#facts.onOpen()
    })
    socket.on('message', (data, isBinary) => this.#receive(isBinary ? '' : (data as Buffer).toString('utf8')))
    socket.on('error', (error) => this.#over(error.message))
    socket.on('close', (code) => this.#over(code === 1000 || code === 1001 || code === 1005 ? null : `closed with ${code}`))
  }

  #receive(text: string): void {
    if (this.#isOver) return
    this.stats.messagesReceived++
    const said = this.#facts.words.read(text)
    if (said.kind === 'media' && this.#facts.speaks) return this.#queue(said.bytes)
    if (said.kind === 'mark' && this.#facts.speaks) return this.#mark(said.name)
    if (said.kind === 'clear' && this.#facts.speaks) return this.#clear()
    this.#complain(said.kind === 'fault' ? said : { code: '31924', detail: 'This stream is not bidirectional.' })
  }

  #queue(bytes: Buffer): void {
    this.stats.bytesReceived += bytes.length
    if (this.stats.bytesReceived === bytes.length) this.#facts.call.note('media.first')
    this.#facts.call.emit('media', performance.now(), bytes)
    this.#playout.push(bytes)
    this.stats.waitingMsMax = Math.max(this.stats.waitingMsMax, this.#playout.waitingBytes / this.#bytesPerMs)
  }

  #mark(name: string): void {
    this.#dryFrames = STUTTER_FRAMES
    if (this.#playout.mark(name)) this.#returnMark(name, 'at once')
  }

  #clear(): void {
    this.stats.clears++
    this.#dryFrames = STUTTER_FRAMES
    this.#facts.call.note('media.clear', `${Math.round(this.#playout.waitingBytes / this.#bytesPerMs)} ms thrown away`)
    for (const name of this.#playout.clear()) this.#returnMark(name, 'cleared')
  }

  #returnMark(name: string, how: string): void {
    this.stats.marksReturned++
    this.#dryFrames = STUTTER_FRAMES
    this.#facts.call.note(`mark.${how === 'cleared' ? 'cleared' : 'played'}`, name)
    this.#way.sendInOrder(this.#facts.words.mark(name))
  }

  #complain({ code, detail }: { code: string; detail: string }): void {
    this.stats.faults++
    this.#facts.call.note('media.fault', `${code} ${detail}`)
    const text = this.#facts.words.fault(code, detail)
    if (text !== null) this.#way.sendInOrder(text)
  }

  #watchStutter(isSound: boolean): void {
    if (!isSound) return void this.#dryFrames++
    if (this.#dryFrames > 0 && this.#dryFrames < STUTTER_FRAMES) {
      this.stats.underruns++
      this.#facts.call.note('media.underrun', `${this.#dryFrames * 20} ms`)
    }
    this.#dryFrames = 0
  }

  #send(text: string): void {
    if (this.#socket.readyState === WebSocket.OPEN) this.#socket.send(text)
  }

  #over(error: string | null): void {
    if (this.#isOver) return
    this.#isOver = true
    this.#way.close()
    this.stats.framesLost = this.#way.lost
    this.stats.framesSwapped = this.#way.swapped
    this.#facts.onClosed(error)
  }
}

const quiet = (format: LineFormat): Buffer => Buffer.alloc(frameBytes(format), silenceByte(format))
