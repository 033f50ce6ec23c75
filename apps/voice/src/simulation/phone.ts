import { createDecoder, createEncoder, type Noise, type Pcm } from '@trunkline/media'
import { EventEmitter } from 'node:events'
import type { RawData } from 'ws'
import type { MediaSocket } from '../calls/line.ts'
import type { Metronome } from './metronome.ts'
import { Playout } from './playout.ts'
import { Way, type WaySettings } from './way.ts'

export type PhoneEvents = {
  /** 20 ms of what the caller hears, lent; after it was heard. `callerSounds`: in the same 20 ms the caller said something. */
  heard(pcm: Pcm, callerSounds: boolean): void
  /** The line is gone; `caller`: we hung up. */
  ended(by: 'caller' | 'agent'): void
}
export type PhoneOptions = { callId: string; metronome: Metronome; noise: Noise | null; way: WaySettings; events: PhoneEvents }

const MULAW = { encoding: 'pcmu', sampleRateHz: 8_000 } as const
const FRAME_SAMPLES = 160
const FRAME_MS = 20

/**
 * A telephone at the other end of a call, with the carrier in between: it speaks Twilio's words of a media stream
 * (twilio.com/docs/voice/media-streams/websocket-messages) over a socket that is none.
 */
export class SimulatedPhone {
  readonly socket: MediaSocket
  readonly #line = new EventEmitter()
  readonly #options: PhoneOptions
  readonly #way: Way
  readonly #mouth = new Playout()
  readonly #playout = new Playout()
  readonly #encoder = createEncoder(MULAW)
  readonly #decoder = createDecoder(MULAW)
  readonly #out = new Int16Array(FRAME_SAMPLES)
  readonly #in = new Int16Array(FRAME_SAMPLES)
  readonly #streamSid: string
  #stop: (() => void) | null = null
  #sequence = 0
  #ticks = 0
  #over = false

  constructor(options: PhoneOptions) {
    this.#options = options
    this.#streamSid = `MZ${options.callId.replaceAll('-', '')}`
    this.#way = new Way(options.way, (text) => this.#line.emit('message', Buffer.from(text)))
    this.socket = {
      bufferedAmount: 0,
      send: (text) => this.#receive(text),
      close: () => this.#end('agent'),
      pause: () => {},
      terminate: () => this.#end('agent'),
      on: (event: string, listener: (data: RawData) => void) => this.#line.on(event, listener),
    }
  }

  /** Milliseconds since it was answered. */
  get nowMs(): number {
    return this.#ticks * FRAME_MS
  }

  /** Says something after what it is saying already. */
  get speaking(): boolean {
    return !this.#mouth.isEmpty
  }

  get framesLost(): number {
    return this.#way.lost
  }

  answer(): void {
    const callSid = `CA${this.#options.callId.replaceAll('-', '')}`
    this.#tell({ event: 'connected', protocol: 'Call', version: '1.0.0' })
    this.#tell({ event: 'start', start: { accountSid: 'simulation', callSid, streamSid: this.#streamSid, tracks: ['inbound'], mediaFormat: { encoding: 'audio/x-mulaw', sampleRate: 8_000, channels: 1 }, customParameters: {} } })
    this.#stop = this.#options.metronome.add(() => this.#tick())
  }

  /** At 8 kHz. */
  say(pcm: Pcm): void {
    this.#mouth.push(pcm)
  }

  press(digit: string): void {
    this.#tell({ event: 'dtmf', dtmf: { track: 'inbound_track', digit } })
  }

  hangUp(): void {
    if (this.#over) return
    this.#way.flush()
    this.#tell({ event: 'stop', stop: { accountSid: 'simulation' } })
    this.#end('caller')
  }

  #tick(): void {
    if (this.#over) return
    this.#ticks += 1
    const callerSounds = this.speaking
    this.#mouth.pull(this.#out)
    this.#options.noise?.addTo(this.#out)
    const payload = Buffer.from(this.#encoder.encode(this.#out)).toString('base64')
    this.#way.send(this.#message({ event: 'media', media: { track: 'inbound', chunk: String(this.#ticks), timestamp: String((this.#ticks - 1) * FRAME_MS), payload } }), this.nowMs)
    this.#way.tick(this.nowMs)
    this.#playout.pull(this.#in)
    for (const name of this.#playout.reached()) this.#tell({ event: 'mark', mark: { name } })
    this.#options.events.heard(this.#in, callerSounds)
  }

  #receive(text: string): void {
    if (this.#over) return
    const message = JSON.parse(text) as { event: string; media?: { payload: string }; mark?: { name: string } }
    if (message.event === 'media') this.#playout.push(this.#decoder.decode(Buffer.from(message.media!.payload, 'base64')))
    else if (message.event === 'mark') this.#playout.mark(message.mark!.name)
    else if (message.event === 'clear') this.#playout.clear()
  }

  #tell(message: object): void {
    this.#way.sendSurely(this.#message(message), this.nowMs)
  }

  #message(message: object): string {
    this.#sequence += 1
    return JSON.stringify({ ...message, sequenceNumber: String(this.#sequence), streamSid: this.#streamSid })
  }

  #end(by: 'caller' | 'agent'): void {
    if (this.#over) return
    this.#over = true
    this.#stop?.()
    this.#line.emit('close')
    this.#options.events.ended(by)
  }
}
