import { randomUUID } from 'node:crypto'
import type { Call } from '../call.ts'
import type { LineFormat } from '../format.ts'
import { MediaSocket } from '../media-socket.ts'
import { NETWORK_FINE } from '../network.ts'
import type { CarrierWorld, LiveCall } from '../world.ts'
import type { TelnyxNumber } from './account.ts'
import { telnyxWords } from './words.ts'

/** A media stream as commands and TeXML ask for it, under one name. */
export type StreamWish = {
  url: string
  codec: string
  mode: string
  bidirectionalCodec: string
  bidirectionalRate: number
  authToken: string | null
  parameters: { name: string; value: string }[]
}

const G711 = { PCMU: 'pcmu', PCMA: 'pcma' } as const

export const lineFormat = (codec: 'PCMU' | 'PCMA'): LineFormat => ({ encoding: G711[codec], sampleRateHz: 8_000 })

/** L16 is forwarded at 16 kHz. */
function formatOf(codec: string, rate: number, number: TelnyxNumber): LineFormat | null {
  if (codec === 'PCMU' || codec === 'PCMA') return lineFormat(codec)
  return codec === 'L16' ? { encoding: number.l16_byte_order === 'big' ? 'l16be' : 'l16le', sampleRateHz: rate } : null
}

const isStreamUrl = (url: string): boolean => {
  const address = URL.parse(url)
  return address !== null && (address.protocol === 'wss:' || (address.protocol === 'ws:' && /^(127\.|localhost$|\[::1\]$)/.test(address.hostname)))
}

/** Null: nothing that Telnyx would take. */
export function checkWish(wish: StreamWish, number: TelnyxNumber): string | null {
  if (!isStreamUrl(wish.url)) return 'stream_url'
  if (wish.mode !== 'rtp') return 'stream_bidirectional_mode: the sandbox plays rtp, not mp3'
  return formatOf(wish.bidirectionalCodec, wish.bidirectionalRate, number) === null ? 'stream_bidirectional_codec: the sandbox plays PCMU, PCMA and L16' : null
}

export type StreamCallbacks = { onStarted(streamId: string): void; /** `error` null: closed in good order. */ onStopped(streamId: string, error: string | null): void }
export type CallIds = { callControlId: string; sessionId: string; clientState: string | null }

export function openStream(world: CarrierWorld, live: LiveCall, wish: StreamWish, number: TelnyxNumber, ids: CallIds, callbacks: StreamCallbacks): MediaSocket {
  const { call } = live
  const streamId = randomUUID()
  const forwarded = number.transcodes ? formatOf(wish.codec, 16_000, number) : null
  const [hears, speaks] = [forwarded ?? call.facts.format, formatOf(wish.bidirectionalCodec, wish.bidirectionalRate, number)!]
  const socket = new MediaSocket({
    call, streamId, url: wish.url, hears, speaks, wheel: world.wheel, network: live.options.network ?? NETWORK_FINE,
    headers: wish.authToken === null ? {} : { 'x-telnyx-streaming-auth-token': wish.authToken },
    words: telnyxWords({ ...ids, streamId, from: call.facts.from, to: call.facts.to, parameters: wish.parameters, authToken: wish.authToken, hears, speaks }),
    onOpen: () => {
      note(world, call, 'connected', 'accepted', wish.url, streamId)
      callbacks.onStarted(streamId)
    },
    onClosed: (error) => {
      note(world, call, 'closed', error === null ? 'accepted' : 'fault', wish.url, streamId, error ?? undefined)
      if (live.socket === socket) live.socket = null
      call.disconnect(socket)
      callbacks.onStopped(streamId, error)
    },
  })
  live.sockets.push(socket)
  live.socket = socket
  call.connect(socket)
  return socket
}

function note(world: CarrierWorld, call: Call, kind: string, outcome: 'accepted' | 'fault', to: string, callbackData: string, text?: string): void {
  call.note(`media.${kind}`, text)
  world.journal.add({ target: 'telnyx.media', outcome, status: 0, number: call.facts.direction === 'inbound' ? call.facts.to : call.facts.from, to, id: call.id, callbackData, kind, text })
}
