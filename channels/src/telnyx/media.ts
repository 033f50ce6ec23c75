import { id, list, record, type Json } from '../json.ts'
import type { CarrierConfig } from '../carriers/contract.ts'
import { bad, count, type MediaEvent, type MediaStart, type MediaWire } from '../carriers/media.ts'
import { checked } from '../carriers/parsing.ts'
import { createWire } from '../carriers/wire.ts'
import { referenceOf } from './state.ts'
import { inboundFormat, outboundFormat, Settings } from './wire.ts'

/** Telnyx's media socket (developers.telnyx.com/api-reference/websockets/stream-call-media-over-websocket). */

/** Told as an object, or as the list of names and values that they were given as. */
function parametersOf(value: unknown): Record<string, string> {
  const pairs = Array.isArray(value) ? list(value).map((item) => [record(item)?.name, record(item)?.value]) : Object.entries(record(value) ?? {})
  const strings = pairs.filter((pair): pair is [string, string] => typeof pair[0] === 'string' && typeof pair[1] === 'string')
  return Object.fromEntries(strings.slice(0, 50))
}

function readStart(message: Json, settings: Settings): MediaStart | MediaEvent {
  const streamId = id(message.stream_id, 255)
  if (streamId === undefined) return bad('missing', 'stream_id')
  const start = record(message.start)
  if (!start) return bad('missing', 'start')
  const carrierCallId = id(start.call_control_id, 255)
  if (carrierCallId === undefined) return bad('missing', 'start.call_control_id')
  const format = record(start.media_format)
  const inbound = format && count(format.channels ?? 1) === 1 ? inboundFormat(format.encoding, count(format.sample_rate), settings) : null
  if (!inbound) return bad('unsupported_format', 'start.media_format')
  return {
    kind: 'start', streamId, carrierCallId, inbound, outbound: outboundFormat(settings),
    parameters: parametersOf(start.custom_parameters),
    from: id(start.from, 255) ?? null,
    to: id(start.to, 255) ?? null,
    reference: referenceOf(start.client_state) ?? null,
  }
}

/** 100002 unknown_error, 100003 malformed_frame, 100004 invalid_media, 100005 rate_limit_reached. The detail may quote what we sent. */
function readFailure(message: Json): { code: string; message: string } {
  const payload = record(message.payload) ?? {}
  return { code: id(payload.code, 64) ?? 'unknown', message: id(payload.title, 255) ?? '' }
}

/** Frames come in any order. What we send has to be 20 ms at least (the documents name no behaviour below): a short tail is filled up. */
export function mediaWire(config: CarrierConfig): MediaWire {
  const settings = checked(Settings, config.settings, 'settings')
  return createWire({ sequenceKey: 'sequence_number', streamKey: 'stream_id', namesStream: false, payloadMsMin: 20, readStart: (message) => readStart(message, settings), readFailure })
}
