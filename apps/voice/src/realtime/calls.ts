import { realtime } from '@trunkline/channels'
import { AppError, type Logger } from '@trunkline/core'
import { PlayoutClock, type DataChannel, type MediaPlane } from '@trunkline/media'
import { randomBytes } from 'node:crypto'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { admitCall, ownerOf, type DoorDeps, type Visit } from './door.ts'
import { readOffer } from './offer.ts'
import { PeerOutlet } from './peer-outlet.ts'
import type { LiveSession, Opening, Sessions } from './sessions.ts'

export type CallsDeps = DoorDeps & {
  sessions: Sessions
  /** Throws AppError `unavailable` where WebRTC is not served. */
  plane: () => Promise<MediaPlane>
  log: Logger
  limits: { sessionsMax: number }
}
export type RealtimeCalls = {
  /** Of the server's `request` event. False: the path is none of ours, and nothing was done. */
  handle(request: IncomingMessage, response: ServerResponse): boolean
  /** After the sessions are told: resolves when the last of their words have left. */
  close(): Promise<void>
}

const PATH = '/v1/realtime/calls'
const HANGUP = /^\/v1\/realtime\/calls\/(rtc_[0-9a-z]{4,64})\/hangup$/
const CHANNEL = 'oai-events'
/** A secret opens one call, and no cookie is read: pages of anybody may ask. */
const CORS = { 'access-control-allow-origin': '*', 'access-control-allow-methods': 'POST', 'access-control-allow-headers': 'authorization, content-type', 'access-control-expose-headers': 'location, retry-after' }

/** `POST /v1/realtime/calls`: sessions over WebRTC. Sound is RTP in both directions, events travel over the data channel that the peer opens. */
export function serveCalls(deps: CallsDeps): RealtimeCalls {
  const { sessions, log, limits } = deps
  const wheel = new PlayoutClock()
  const live = new Set<Promise<void>>()

  async function call(request: IncomingMessage, response: ServerResponse): Promise<void> {
    if (sessions.count >= limits.sessionsMax) throw new AppError('unavailable', { message: 'No more sessions here. Try again.', retryAfterMs: 1_000 })
    const plane = await deps.plane()
    const offer = await readOffer(request)
    const visit = await admitCall({ ...offer, credential: bearerOf(request) }, deps)
    const opening = await sessions.prepare(visit)
    const { callId, answer } = await connect(plane, offer.sdp, visit, opening).catch(async (error: unknown) => {
      await opening.place.release()
      throw error
    })
    response.writeHead(201, { 'content-type': 'application/sdp', location: `${PATH}/${callId}`, ...CORS }).end(answer)
  }

  async function connect(plane: MediaPlane, offerSdp: string, visit: Visit, opening: Opening): Promise<{ callId: string; answer: string }> {
    const callId = `rtc_${randomBytes(12).toString('hex')}`
    const room = await plane.openRoom(callId)
    const outlet = new PeerOutlet((reason) => room.close(reason), log)
    let answer = ''
    let session: LiveSession | null = null
    try {
      const channels = (label: string, channel: DataChannel) => {
        if (label !== CHANNEL || !outlet.open(channel)) return channel.close()
        channel.onMessage((text) => session?.receive(text))
      }
      const leg = await room.join('caller', { kind: 'webrtc', offerSdp, onAnswer: (sdp) => (answer = sdp), onDataChannel: channels })
      const talk = sessions.open(visit, opening, outlet, { callId, playout: { wheel, leg, onFault: (error) => log.error({ error, callId }, 'the playout of a call failed') } })
      session = talk
      leg.onFrame((pcm) => talk.hear(pcm, leg.sampleRateHz))
      const { promise: ended, resolve } = Promise.withResolvers<void>()
      live.add(ended)
      leg.onClosed((reason) => {
        log.info({ callId, reason }, 'a call over WebRTC has ended')
        room.close(reason)
        void talk.leave().then(() => {
          live.delete(ended)
          resolve()
        })
      })
      return { callId, answer }
    } catch (error) {
      room.close('refused')
      throw error
    }
  }

  async function hangUp(callId: string, request: IncomingMessage, response: ServerResponse): Promise<void> {
    await sessions.hangUp(callId, await ownerOf(bearerOf(request), deps))
    response.writeHead(200, { 'content-type': 'application/json', ...CORS }).end('{}')
  }

  return {
    handle(request, response) {
      const path = request.url?.split('?')[0] ?? ''
      const callId = HANGUP.exec(path)?.[1]
      if (path !== PATH && callId === undefined) return false
      if (request.method === 'OPTIONS') response.writeHead(204, CORS).end()
      else if (request.method !== 'POST') refuseRequest(response, new AppError('not_found'), log)
      else (callId === undefined ? call(request, response) : hangUp(callId, request, response)).catch((error: unknown) => refuseRequest(response, error, log))
      return true
    },
    async close() {
      await Promise.all(live)
      wheel.close()
    },
  }
}

function bearerOf({ headers }: IncomingMessage): string {
  // The rules of the socket's door, for the one way in that there is here.
  const parsed = realtime.parseConnection('/?model=none', { authorization: headers.authorization })
  if (!parsed.ok) throw parsed.error
  return parsed.connection.credential.value
}

function refuseRequest(response: ServerResponse, error: unknown, log: Logger): void {
  const known = error instanceof AppError ? error : new AppError('internal', { cause: error })
  if (known.status >= 500) log.error({ error }, 'a call over WebRTC could not begin')
  if (response.headersSent) return void response.destroy()
  const retry: Record<string, string> = known.retryAfterMs === undefined ? {} : { 'retry-after': String(Math.max(1, Math.ceil(known.retryAfterMs / 1_000))) }
  // The rest of a body that was too long is not waited for.
  response.writeHead(known.status, { 'content-type': 'application/json', connection: 'close', ...retry, ...CORS })
  response.end(JSON.stringify({ error: { type: known.type, code: known.code, message: known.message, param: known.param } }))
}
