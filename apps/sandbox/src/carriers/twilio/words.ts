import type { MediaWords, Said } from '../media-socket.ts'

/** https://www.twilio.com/docs/voice/media-streams/websocket-messages: numbers are strings, and `connected` counts for nothing. */

export type StreamFacts = { streamSid: string; accountSid: string; callSid: string; parameters: Record<string, string> }

const isBase64 = (text: string): boolean => /^[A-Za-z0-9+/]*={0,2}$/.test(text) && text.length % 4 === 0

const invalid = (detail: string): Said => ({ kind: 'fault', code: '31951', detail })

function named(value: unknown): string | null {
  const name = (value as { name?: unknown } | null | undefined)?.name
  return typeof name === 'string' && name !== '' ? name : null
}

/** Only these three, each with our stream's id; anything else is warned of (31951, "Stream - Protocol - Invalid message"). */
function read(text: string, streamSid: string): Said {
  let message: { event?: unknown; streamSid?: unknown; media?: { payload?: unknown } | null; mark?: unknown }
  try {
    message = JSON.parse(text) as typeof message
  } catch {
    return invalid('not JSON')
  }
  if (typeof message !== 'object' || message === null) return invalid('not an object')
  if (message.streamSid !== streamSid) return invalid('streamSid is not that of this stream')
  if (message.event === 'clear') return { kind: 'clear' }
  if (message.event === 'mark') {
    const name = named(message.mark)
    return name === null ? invalid('mark without a name') : { kind: 'mark', name }
  }
  if (message.event !== 'media') return invalid('unknown event')
  const payload = message.media?.payload
  if (typeof payload !== 'string' || !isBase64(payload)) return invalid('payload is not base64')
  return { kind: 'media', bytes: Buffer.from(payload, 'base64') }
}

export function twilioWords({ streamSid, accountSid, callSid, parameters }: StreamFacts): MediaWords {
  let sequence = 0
  const next = () => String(++sequence)
  return {
    connected: () => JSON.stringify({ event: 'connected', protocol: 'Call', version: '1.0.0' }),
    start: () => JSON.stringify({
      event: 'start', sequenceNumber: next(),
      start: { accountSid, streamSid, callSid, tracks: ['inbound'], mediaFormat: { encoding: 'audio/x-mulaw', sampleRate: 8000, channels: 1 }, customParameters: parameters },
      streamSid,
    }),
    media: (chunk, timestampMs, payload) => `{"event":"media","sequenceNumber":"${next()}","media":{"track":"inbound","chunk":"${chunk}","timestamp":"${timestampMs}","payload":"${payload}"},"streamSid":"${streamSid}"}`,
    dtmf: (digit) => JSON.stringify({ event: 'dtmf', streamSid, sequenceNumber: next(), dtmf: { track: 'inbound_track', digit } }),
    mark: (name) => JSON.stringify({ event: 'mark', sequenceNumber: next(), streamSid, mark: { name } }),
    stop: () => JSON.stringify({ event: 'stop', sequenceNumber: next(), streamSid, stop: { accountSid, callSid } }),
    fault: () => null,
    read: (text) => read(text, streamSid),
  }
}
