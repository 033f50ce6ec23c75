import { AppError } from '@trunkline/core'
import { id, record, type Json } from '../json.ts'
import { bad, bytesPerSample, count, fromBase64, MARK_CHARS_MAX, MESSAGE_CHARS_MAX, PAYLOAD_BYTES_MAX, silenceByte, toBase64, type MediaEvent, type MediaFormat, type MediaStart, type MediaWire } from './media.ts'

/** Twilio's protocol and Telnyx's are of one family: the same events and the same `media` object under other names of the envelope. */
export type WireDialect = {
  sequenceKey: 'sequenceNumber' | 'sequence_number'
  streamKey: 'streamSid' | 'stream_id'
  /** Twilio wants its stream id in everything we say. */
  namesStream: boolean
  /** The least that one message of ours may hold; what is shorter is filled up. 0: anything goes. */
  payloadMsMin: number
  readStart(message: Json): MediaStart | MediaEvent
  readFailure(message: Json): { code: string; message: string }
}

const isStart = (event: MediaEvent): event is MediaStart => event.kind === 'start'

/** Undefined: no JSON. Null: JSON, but no object. */
function parse(text: string): Json | null | undefined {
  try {
    return record(JSON.parse(text)) ?? null
  } catch {
    return undefined
  }
}

export function createWire(dialect: WireDialect): MediaWire {
  return new Wire(dialect)
}

class Wire implements MediaWire {
  readonly #dialect: WireDialect
  #start: MediaStart | null = null
  #mediaHead: string
  #payloadBytesMin = 0
  #silence = 0

  constructor(dialect: WireDialect) {
    this.#dialect = dialect
    this.#mediaHead = '{"event":"media","media":{"payload":"'
  }

  get start(): MediaStart | null {
    return this.#start
  }

  decode(text: string): MediaEvent {
    if (text.length > MESSAGE_CHARS_MAX) return bad('too_large', '')
    const message = parse(text)
    if (!message) return bad(message === null ? 'wrong_type' : 'not_json', '')
    switch (message.event) {
      case 'media':
        return this.#media(message)
      case 'connected':
        return { kind: 'connected' }
      case 'start':
        return this.#open(message)
      case 'mark':
        return this.#named(message, 'mark', 'name', MARK_CHARS_MAX, (name) => ({ kind: 'mark', name }))
      case 'dtmf':
        return this.#named(message, 'dtmf', 'digit', 1, (digit) => (/^[0-9A-D*#]$/.test(digit) ? { kind: 'dtmf', digit } : bad('wrong_type', 'dtmf.digit')))
      case 'stop':
        return this.#of(message) ?? { kind: 'stop' }
      case 'error':
        return { kind: 'failed', ...this.#dialect.readFailure(message) }
      default:
        return typeof message.event === 'string' ? { kind: 'other', name: message.event.slice(0, 64) } : bad(message.event === undefined ? 'missing' : 'wrong_type', 'event')
    }
  }

  encodeMedia(payload: Uint8Array): string {
    this.#needsStart()
    if (payload.length === 0 || payload.length > PAYLOAD_BYTES_MAX) throw new AppError('invalid_request', { message: `One media message holds 1 to ${PAYLOAD_BYTES_MAX} bytes.`, param: 'payload' })
    return this.#mediaHead + toBase64(payload.length < this.#payloadBytesMin ? this.#filled(payload) : payload) + '"}}'
  }

  encodeMark(name: string): string {
    this.#needsStart()
    if (name.length === 0 || name.length > MARK_CHARS_MAX) throw new AppError('invalid_request', { message: `A mark has 1 to ${MARK_CHARS_MAX} characters.`, param: 'name' })
    return JSON.stringify({ event: 'mark', ...this.#address(), mark: { name } })
  }

  encodeClear(): string {
    this.#needsStart()
    return JSON.stringify({ event: 'clear', ...this.#address() })
  }

  #open(message: Json): MediaEvent {
    if (this.#start) return bad('second_start', 'start')
    const start = this.#dialect.readStart(message)
    if (!isStart(start)) return start
    this.#start = start
    this.#mediaHead = `{"event":"media",${JSON.stringify(this.#address()).slice(1, -1)}${this.#dialect.namesStream ? ',' : ''}"media":{"payload":"`
    this.#payloadBytesMin = leastBytes(start.outbound, this.#dialect.payloadMsMin)
    this.#silence = silenceByte(start.outbound)
    return start
  }

  /** Fifty times a second: nothing is built that is not needed. */
  #media(message: Json): MediaEvent {
    const fault = this.#of(message)
    if (fault) return fault
    const media = message.media as Json | undefined
    if (typeof media !== 'object' || media === null) return bad('missing', 'media')
    const { payload: text, track } = media
    if (typeof text !== 'string') return bad(text === undefined ? 'missing' : 'wrong_type', 'media.payload')
    if (track !== 'inbound' && track !== 'outbound') return bad('wrong_type', 'media.track')
    const sequence = count(message[this.#dialect.sequenceKey])
    if (sequence < 0) return bad('wrong_type', this.#dialect.sequenceKey)
    const chunk = count(media.chunk)
    if (chunk < 0) return bad('wrong_type', 'media.chunk')
    const timestampMs = count(media.timestamp)
    if (timestampMs < 0) return bad('wrong_type', 'media.timestamp')
    const payload = fromBase64(text)
    if (payload === null) return bad('bad_base64', 'media.payload')
    if (payload.length % bytesPerSample(this.#start!.inbound) !== 0) return bad('bad_length', 'media.payload')
    return { kind: 'media', sequence, chunk, timestampMs, track, payload }
  }

  #named(message: Json, key: 'mark' | 'dtmf', field: 'name' | 'digit', max: number, make: (value: string) => MediaEvent): MediaEvent {
    const fault = this.#of(message)
    if (fault) return fault
    const value = id(record(message[key])?.[field], max)
    return value === undefined ? bad(message[key] === undefined ? 'missing' : 'wrong_type', `${key}.${field}`) : make(value)
  }

  /** Belongs to the stream that `start` named? Null: yes. */
  #of(message: Json): MediaEvent | null {
    if (!this.#start) return bad('before_start', 'event')
    return message[this.#dialect.streamKey] === this.#start.streamId ? null : bad('wrong_stream', this.#dialect.streamKey)
  }

  #address(): Record<string, string> {
    return this.#dialect.namesStream && this.#start ? { [this.#dialect.streamKey]: this.#start.streamId } : {}
  }

  #needsStart(): void {
    if (!this.#start) throw new AppError('invalid_state', { message: 'The media stream has not started.' })
  }

  #filled(payload: Uint8Array): Uint8Array {
    const filled = Buffer.alloc(this.#payloadBytesMin, this.#silence)
    filled.set(payload)
    return filled
  }
}

/** Opus frames are what they are. */
function leastBytes(format: MediaFormat, ms: number): number {
  return format.encoding === 'opus' ? 0 : (format.sampleRateHz / 1_000) * ms * bytesPerSample(format)
}
