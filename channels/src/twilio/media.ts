import { clip } from '../text.ts'
import { id, record, type Json } from '../json.ts'
import { bad, count, type MediaEvent, type MediaStart, type MediaWire } from '../carriers/media.ts'
import { createWire } from '../carriers/wire.ts'

/** Twilio Media Streams (twilio.com/docs/voice/media-streams/websocket-messages): mu-law at 8 kHz both ways, nothing else. */
const MULAW = { encoding: 'pcmu', sampleRateHz: 8_000 } as const

function strings(value: unknown): Record<string, string> {
  const entries = Object.entries(record(value) ?? {}).filter((entry): entry is [string, string] => typeof entry[1] === 'string')
  return Object.fromEntries(entries.slice(0, 50))
}

function readStart(message: Json): MediaStart | MediaEvent {
  const streamId = id(message.streamSid, 255)
  if (streamId === undefined) return bad('missing', 'streamSid')
  const start = record(message.start)
  if (!start) return bad('missing', 'start')
  const carrierCallId = id(start.callSid, 255)
  if (carrierCallId === undefined) return bad('missing', 'start.callSid')
  const format = record(start.mediaFormat)
  const isMulaw = format?.encoding === 'audio/x-mulaw' && count(format.sampleRate) === 8_000 && count(format.channels) === 1
  if (!isMulaw) return bad('unsupported_format', 'start.mediaFormat')
  return { kind: 'start', streamId, carrierCallId, inbound: MULAW, outbound: MULAW, parameters: strings(start.customParameters), from: null, to: null, reference: null }
}

/** Twilio has no such message; errors are told to the stream's status address. */
const readFailure = (message: Json) => ({ code: id(message.code, 64) ?? 'unknown', message: clip(id(message.message, 1024) ?? '', 255) })

export function mediaWire(): MediaWire {
  return createWire({ sequenceKey: 'sequenceNumber', streamKey: 'streamSid', namesStream: true, payloadMsMin: 0, readStart, readFailure })
}
