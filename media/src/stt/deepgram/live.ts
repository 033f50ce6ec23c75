import type { IncomingMessage } from 'node:http'
import type { LookupFunction } from 'node:net'
import type { Clock } from '@trunkline/core'
import { WebSocket } from 'ws'
import type { RawData } from 'ws'
import type { Encoder } from '../../codec/index.ts'
import type { Pcm } from '../../frame.ts'
import { codeWord, httpFailure, socketFailure } from '../../tts/failure.ts'
import type { SpeechFailure, SttOptions } from '../contract.ts'
import { QUIET_RMS, rms } from '../loudness.ts'
import type { PartStream, Sink } from '../part.ts'
import type { KeepAlive } from './keep-alive.ts'
import { Message, finalOf } from './wire.ts'
import type { Results } from './wire.ts'

export type LiveFacts = { url: string; apiKey: string; encoder: Encoder; options: SttOptions; sink: Sink; clock: Clock; keepAlive: KeepAlive; lookup: LookupFunction | undefined }

const ID = 'deepgram'
/** Sound that the socket cannot get rid of: half a minute at 16 kHz, as much as a chain replays at once, and more. */
const MAX_WAITING_BYTES = 4_000_000
const MAX_MESSAGE_BYTES = 1_000_000
/** Finals end up to so much before or after what we count, for their times are rounded. */
const SLACK_MS = 60
/**
 * `Finalize` is only answered when a noticeable amount of sound is open (docs, "finalize"). When nothing loud was sent since the last
 * final, the first wait is enough; else the second, and only if Deepgram has said anything since (a dead socket is the deadline's).
 */
const QUIET_FINALIZE_MS = 700
const LOUD_FINALIZE_MS = 1_500
/**
 * After so long a silence, silence goes in portions, and a caller listens for more than half of a call: each message costs two processes a
 * system call. Deepgram takes 20 to 250 ms at once (docs, "measuring streaming latency"). The first sound takes all that waits along with it.
 */
const RESTING_AFTER_MS = 1_000
const RESTING_PORTION_MS = 100

/** One socket. Sound that was pushed before it opened is sent when it does. */
export class DeepgramLive implements PartStream {
  readonly #facts: LiveFacts
  readonly #socket: WebSocket
  /** Until the socket is open; null stands for a Finalize, which must not come behind later sound: it would cut a word in two. */
  #waiting: (Uint8Array | null)[] = []
  /** Silence that is not sent yet, and where in the sound it begins. */
  #resting: Uint8Array[] = []
  #restingFromMs = 0
  #pushed = 0
  #coveredMs = 0
  #openWords = false
  #lastLoudMs = 0
  /** Whether anything was heard since the last Finalize. */
  #isAnswering = false
  /** Where in the sound each `finish` was that nobody was answered yet; how many were, and how many Finalizes. */
  #finishes: number[] = []
  #answered = 0
  #replies = 0
  #cancelQuiet: () => void = () => undefined
  #isOver = false

  constructor(facts: LiveFacts) {
    this.#facts = facts
    this.#socket = new WebSocket(facts.url, { headers: { authorization: `Token ${facts.apiKey}` }, perMessageDeflate: false, maxPayload: MAX_MESSAGE_BYTES, followRedirects: false, ...(facts.lookup ? { lookup: facts.lookup } : {}) })
    this.#socket.on('upgrade', (response: IncomingMessage) => facts.sink.opened(headerOf(response, 'dg-request-id')))
    this.#socket.on('open', () => this.#opened())
    this.#socket.on('message', (data: RawData, isBinary) => isBinary || this.#receive((data as Buffer).toString('utf8')))
    this.#socket.on('unexpected-response', (_request, response) => this.#refused(response))
    this.#socket.on('error', (error) => this.#fail(socketFailure(ID, error)))
    this.#socket.on('close', (code, reason) => this.#closed(code, reason.toString('utf8')))
  }

  push(pcm: Pcm): void {
    this.#pushed += pcm.length
    if (rms(pcm) > QUIET_RMS) this.#lastLoudMs = this.#pushedMs()
    const bytes = this.#facts.encoder.encode(pcm)
    if (this.#socket.readyState === WebSocket.CONNECTING) this.#waiting.push(bytes)
    else this.#portion(bytes)
  }

  finish(): void {
    this.#finishes.push(this.#pushedMs())
    if (this.#socket.readyState === WebSocket.CONNECTING) this.#waiting.push(null)
    else this.#finalize()
  }

  close(): void {
    if (this.#isOver) return
    this.#isOver = true
    this.#sendResting()
    this.#release()
    if (this.#socket.readyState === WebSocket.OPEN) this.#socket.send('{"type":"CloseStream"}', () => this.#socket.close())
    // Before the socket is open only an abort is possible, and it tells an error that nobody asked for.
    else this.#socket.terminate()
  }

  /** Nothing was sent for a while: Deepgram closes sockets that are silent for 10 s (docs, "audio keep alive"). */
  keepAlive(): void {
    if (this.#socket.readyState === WebSocket.OPEN) this.#socket.send('{"type":"KeepAlive"}')
  }

  #opened(): void {
    this.#facts.keepAlive.add(this)
    const waiting = this.#waiting
    this.#waiting = []
    for (const bytes of waiting) {
      if (bytes) this.#send(bytes)
      else this.#finalize()
    }
  }

  #portion(bytes: Uint8Array): void {
    const nowMs = this.#pushedMs()
    if (nowMs - this.#lastLoudMs <= RESTING_AFTER_MS && this.#resting.length === 0) return this.#send(bytes)
    if (this.#resting.length === 0) this.#restingFromMs = nowMs
    this.#resting.push(bytes)
    if (this.#lastLoudMs === nowMs || nowMs - this.#restingFromMs >= RESTING_PORTION_MS) this.#sendResting()
  }

  #sendResting(): void {
    const portion = this.#resting
    this.#resting = []
    if (portion.length > 0) this.#send(portion.length === 1 ? portion[0]! : Buffer.concat(portion))
  }

  #send(bytes: Uint8Array): void {
    if (this.#socket.readyState !== WebSocket.OPEN) return
    if (this.#socket.bufferedAmount > MAX_WAITING_BYTES) return this.#fail({ code: 'timeout', message: `${ID} takes sound too slowly`, requestId: null })
    this.#facts.keepAlive.sent(this)
    this.#socket.send(bytes)
  }

  #finalize(): void {
    if (this.#socket.readyState !== WebSocket.OPEN) return
    this.#sendResting()
    this.#socket.send('{"type":"Finalize"}')
    this.#facts.keepAlive.sent(this)
    this.#isAnswering = false
    this.#cancelQuiet()
    this.#answer()
    if (this.#finishes.length === 0) return
    const isLoud = this.#lastLoudMs > this.#coveredMs + SLACK_MS
    this.#cancelQuiet = this.#facts.clock.after(isLoud ? LOUD_FINALIZE_MS : QUIET_FINALIZE_MS, () => {
      if (!this.#openWords && (this.#isAnswering || !isLoud)) this.#answer(Infinity)
    })
  }

  #receive(text: string): void {
    this.#facts.sink.alive()
    this.#isAnswering = true
    const message = Message.safeParse(parsed(text))
    // A kind of message that we do not know is news of the API; bytes that are no message at all are a failure.
    if (!message.success) return isKnownShape(text) ? undefined : this.#fail({ code: 'unavailable', message: `${ID} sent something that is no message`, requestId: null })
    if (message.data.type === 'Results') this.#results(message.data)
  }

  #results(results: Results): void {
    const { sink, options } = this.#facts
    const heard = results.channel.alternatives[0]!
    if (!results.is_final) {
      this.#openWords = heard.transcript !== ''
      return sink.partial(heard.transcript.trim(), heard.confidence ?? null)
    }
    this.#openWords = false
    const final = finalOf(results, options.language)
    this.#coveredMs = Math.max(this.#coveredMs, final.endMs)
    sink.final(final)
    if (results.from_finalize) this.#replies++
    this.#answer()
  }

  /** Each `finish` whose sound is covered; and the first n, where n Finalizes were answered: a reply never counts for a later one. */
  #answer(replies = this.#replies): void {
    while (this.#finishes.length > 0 && (this.#coveredMs >= this.#finishes[0]! - SLACK_MS || this.#answered < replies)) {
      this.#finishes.shift()
      this.#answered++
      this.#facts.sink.finished()
    }
    if (this.#finishes.length === 0) this.#cancelQuiet()
  }

  #refused(response: IncomingMessage): void {
    response.resume()
    const requestId = headerOf(response, 'dg-request-id')
    this.#fail(httpFailure(ID, response.statusCode ?? 500, { requestId, retryAfter: headerOf(response, 'retry-after') }))
  }

  /** Whatever the code: we did not ask for it. 1008 and 1011 name what was wrong by a code word (docs, "websocket errors"). */
  #closed(code: number, reason: string): void {
    this.#release()
    this.#fail({ code: code === 1008 ? 'bad_request' : 'cut', message: `${ID} closed the socket (${code}${wordOf(reason)})`, requestId: null })
  }

  #fail(failure: SpeechFailure): void {
    if (this.#isOver) return
    this.#isOver = true
    this.#release()
    this.#socket.terminate()
    this.#facts.sink.failed(failure)
  }

  #release(): void {
    this.#cancelQuiet()
    this.#waiting = []
    this.#resting = []
    this.#facts.keepAlive.remove(this)
  }

  #pushedMs(): number {
    return (this.#pushed / this.#facts.options.sampleRateHz) * 1_000
  }
}

const headerOf = (response: IncomingMessage, name: string): string | null => [response.headers[name] ?? null].flat()[0] ?? null

const wordOf = (reason: string): string => {
  const word = codeWord(/\b((?:NET|DATA)-?\d{4})\b/i.exec(reason)?.[1])
  return word === null ? '' : `, ${word}`
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return null
  }
}

const Known = new Set(['Results', 'Metadata', 'SpeechStarted', 'UtteranceEnd'])
/** A message with a type that is not one of those whose fields we read. */
function isKnownShape(text: string): boolean {
  const type = (parsed(text) as { type?: unknown } | null)?.type
  return typeof type === 'string' && !Known.has(type)
}
