import { frameBytes, type LineFormat } from '../format.ts'
import type { MediaWords, Said } from '../media-socket.ts'

/** https://developers.telnyx.com/api-reference/websockets/stream-call-media-over-websocket. */

export type StreamFacts = {
  streamId: string
  callControlId: string
  sessionId: string
  from: string
  to: string
  clientState: string | null
  parameters: { name: string; value: string }[]
  authToken: string | null
  hears: LineFormat
  speaks: LineFormat
}

const USER_ID = '3e6f995f-85f7-4705-9741-53b116d28237'
const NAMES: Readonly<Record<LineFormat['encoding'], string>> = { pcmu: 'PCMU', pcma: 'PCMA', l16be: 'L16', l16le: 'L16' }

const fault = (code: string, detail: string): Said => ({ kind: 'fault', code, detail })
const TITLES: Readonly<Record<string, string>> = { '100002': 'unknown_error', '100003': 'malformed_frame', '100004': 'invalid_media', '100005': 'rate_limit_reached' }

function readMedia(payload: unknown, speaks: LineFormat): Said {
  if (typeof payload !== 'string' || payload === '' || !/^[A-Za-z0-9+/]+={0,2}$/.test(payload) || payload.length % 4 !== 0) return fault('100004', 'The payload is not base64.')
  const bytes = Buffer.from(payload, 'base64')
  const ms = (bytes.length / frameBytes(speaks)) * 20
  return ms < 20 || ms > 30_000 ? fault('100004', 'Chunks hold 20 milliseconds to 30 seconds.') : { kind: 'media', bytes }
}

function read(text: string, speaks: LineFormat): Said {
  let message: { event?: unknown; media?: { payload?: unknown } | null; mark?: { name?: unknown } | null }
  try {
    message = JSON.parse(text) as typeof message
  } catch {
    return fault('100003', 'The frame is not JSON.')
  }
  if (typeof message !== 'object' || message === null) return fault('100003', 'The frame is not an object.')
  if (message.event === 'clear') return { kind: 'clear' }
  if (message.event === 'media') return readMedia(message.media?.payload, speaks)
  const name = message.mark?.name
  return message.event === 'mark' && typeof name === 'string' && name !== '' ? { kind: 'mark', name } : fault('100003', 'The frame is malformed.')
}

export function telnyxWords({ streamId, callControlId, sessionId, from, to, clientState, parameters, authToken, hears, speaks }: StreamFacts): MediaWords {
  let sequence = 0
  const next = () => String(++sequence)
  return {
    connected: () => JSON.stringify({ event: 'connected', version: '1.0.0', ...(authToken === null ? {} : { 'x-telnyx-streaming-auth-token': authToken }) }),
    start: () => JSON.stringify({
      event: 'start', sequence_number: next(),
      start: {
        user_id: USER_ID, call_control_id: callControlId, call_session_id: sessionId, from, to, tags: [], client_state: clientState,
        custom_parameters: Object.fromEntries(parameters.map(({ name, value }) => [name, value])),
        media_format: { encoding: NAMES[hears.encoding], sample_rate: hears.sampleRateHz, channels: 1 },
      },
      stream_id: streamId,
    }),
    media: (chunk, timestampMs, payload) => `{"event":"media","sequence_number":"${next()}","media":{"track":"inbound","chunk":"${chunk}","timestamp":"${timestampMs}","payload":"${payload}"},"stream_id":"${streamId}"}`,
    dtmf: (digit) => JSON.stringify({ event: 'dtmf', stream_id: streamId, occurred_at: new Date().toISOString(), sequence_number: next(), dtmf: { digit } }),
    mark: (name) => JSON.stringify({ event: 'mark', sequence_number: next(), stream_id: streamId, mark: { name } }),
    stop: () => JSON.stringify({ event: 'stop', sequence_number: next(), stop: { user_id: USER_ID, call_control_id: callControlId }, stream_id: streamId }),
    fault: (code, detail) => JSON.stringify({ event: 'error', stream_id: streamId, payload: { code, title: TITLES[code] ?? 'unknown_error', detail } }),
    read: (text) => read(text, speaks),
  }
}
