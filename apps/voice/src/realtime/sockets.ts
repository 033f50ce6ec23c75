import { realtime } from '@trunkline/channels'
import { AppError, type Clock, type Logger, type PromptContent } from '@trunkline/core'
import { ledger, type Cache, type Db } from '@trunkline/db'
import type { Vendor, VendorDirectory } from '@trunkline/agents'
import type { SpeechHouse } from '@trunkline/media'
import type { IncomingMessage, Server } from 'node:http'
import type { Duplex } from 'node:stream'
import { WebSocketServer, type WebSocket } from 'ws'
import { admit, type DoorDeps, type Visit } from './door.ts'
import { createPurse } from './purse.ts'
import { SessionHost } from './session-host.ts'

export type SocketsDeps = DoorDeps & { db: Db; cache: Cache; vendors: VendorDirectory; speech: SpeechHouse; clock: Clock; log: Logger; limits: { sessionsMax: number; sessionSecondsMax: number; beta: boolean } }
export type Sockets = { count(): number; /** No new sessions; those that are here are told, and closed. */ close(): Promise<void> }

const PATH = '/v1/realtime'
const PING_MS = 30_000
const DEFAULT_VOICE = 'alloy'
const TRANSCRIPTION_MODEL = 'gpt-4o-transcribe'
const CLOSE_GRACE_MS = 1_000

/** `GET /v1/realtime`: sockets that speak OpenAI's Realtime protocol. Whoever may not come in hears so over HTTP, before any socket. */
export function serveRealtime(server: Server, deps: SocketsDeps): Sockets {
  const sockets = new WebSocketServer({
    noServer: true, maxPayload: realtime.LIMITS.messageBytes, perMessageDeflate: false,
    // Set by the upgrade, since the offer may hold a key that must not be repeated.
    handleProtocols: (_, request) => echoes.get(request) ?? false,
  })
  const echoes = new WeakMap<IncomingMessage, string>()
  const alive = new WeakSet<WebSocket>()
  let closing = false

  async function upgrade(request: IncomingMessage, stream: Duplex, head: Buffer): Promise<void> {
    try {
      if (closing || sockets.clients.size >= deps.limits.sessionsMax) throw new AppError('unavailable', { message: 'No more sessions here. Try again.', retryAfterMs: 1_000 })
      const visit = await admit(request.url ?? '', request.headers, deps)
      const opening = await openingOf(visit, deps)
      if (visit.connection.subprotocolToEcho) echoes.set(request, visit.connection.subprotocolToEcho)
      sockets.handleUpgrade(request, stream, head, (socket) => {
        alive.add(socket)
        socket.on('pong', () => alive.add(socket))
        start(socket, visit, opening)
      })
    } catch (error) {
      refuse(stream, error, deps.log)
    }
  }

  function start(socket: WebSocket, visit: Visit, { vendor, model, config }: Opening): void {
    const { principal, connection } = visit
    if (connection.beta && !deps.limits.beta) return refuseBeta(socket)
    const balances = ledger.createBalances(deps.db, deps.cache)
    const { clock, log, speech, db } = deps
    const now = () => clock.nowMs()
    const host = new SessionHost(
      socket,
      realtime.realtimeCodec(connection.beta),
      realtime.createRealtimeSession({ config, expiresAtS: Math.floor(now() / 1_000) + deps.limits.sessionSecondsMax, transcriptionModel: TRANSCRIPTION_MODEL, playout: 'client' }),
      {
        vad: speech.vad, stt: speech.stt(), tts: speech.tts(), vendor, model, clock, log,
        purse: createPurse({ db, tenantId: principal.tenantId, model: { vendor: vendor.id, model }, now, onCharged: (tenantId) => void balances.changed([tenantId]).catch(() => {}) }),
        onSpeech: (usage) => log.info({ tenantId: principal.tenantId, ...usage }, 'speech of a realtime session'),
      },
    )
    const cancel = clock.after(deps.limits.sessionSecondsMax * 1_000, () => host.expire())
    socket.once('close', cancel)
  }

  const onUpgrade = (request: IncomingMessage, stream: Duplex, head: Buffer) => {
    if (new URL(request.url ?? '', 'ws://local').pathname === PATH) void upgrade(request, stream, head)
    else refuse(stream, new AppError('not_found'), deps.log)
  }
  server.on('upgrade', onUpgrade)
  const reaper = setInterval(() => {
    for (const socket of sockets.clients) {
      if (!alive.delete(socket)) socket.terminate()
      else socket.ping()
    }
  }, PING_MS)

  return {
    count: () => sockets.clients.size,
    async close() {
      closing = true
      clearInterval(reaper)
      for (const socket of sockets.clients) {
        socket.close(1001, 'the server goes away')
        setTimeout(() => socket.terminate(), CLOSE_GRACE_MS).unref()
      }
      await new Promise((resolve) => sockets.close(resolve))
      server.off('upgrade', onUpgrade)
    },
  }
}

type Opening = { vendor: Vendor; model: string; config: Parameters<typeof realtime.createRealtimeSession>[0]['config'] }

/** Which supplier answers, and with what the session begins. */
async function openingOf({ principal, connection, model, agent }: Visit, { vendors }: SocketsDeps): Promise<Opening> {
  const wanted = agent && agent.vendor !== 'rules' ? { vendor: agent.vendor, model: agent.model } : { vendor: 'openai' as const, model: model || TRANSCRIPTION_MODEL }
  const vendor = (await vendors.find(wanted.vendor, principal.tenantId)) ?? (await vendors.find('compatible', principal.tenantId))
  if (!vendor) throw new AppError('invalid_state', { message: 'No model supplier is set up for this tenant. Add a vendor key.' })
  if (connection.target.mode === 'transcription') return { vendor, model: wanted.model, config: realtime.transcriptionDefaults(TRANSCRIPTION_MODEL) }
  return { vendor, model: wanted.model, config: withPrompt(realtime.realtimeDefaults({ model, voice: DEFAULT_VOICE }), agent) }
}

const withPrompt = <Config extends { instructions: string }>(config: Config, agent: PromptContent | null): Config => (agent ? { ...config, instructions: agent.instructions } : config)

function refuseBeta(socket: WebSocket): void {
  const error = { type: 'invalid_request_error', code: 'beta_api_shape_disabled', message: 'The events of before GA are switched off here. Use the GA protocol.', param: null, event_id: null }
  socket.send(JSON.stringify({ type: 'error', event_id: 'event_refused', error }))
  socket.close(4_000, 'beta_api_shape_disabled')
}

function refuse(stream: Duplex, error: unknown, log: Logger): void {
  const known = error instanceof AppError ? error : new AppError('internal', { cause: error })
  if (known.status >= 500) log.error({ error }, 'a realtime session could not begin')
  const body = JSON.stringify({ error: { type: known.type, code: known.code, message: known.message, param: known.param } })
  stream.end(`HTTP/1.1 ${known.status} Refused\r\nContent-Type: application/json\r\nContent-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n\r\n${body}`)
}
