import { realtime } from '@trunkline/channels'
import { AppError, type Clock, type Logger, type PromptContent } from '@trunkline/core'
import { ledger, type Cache, type Db } from '@trunkline/db'
import type { Vendor, VendorDirectory } from '@trunkline/agents'
import type { SpeechHouse } from '@trunkline/media'
import type { IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'
import { WebSocketServer, type WebSocket } from 'ws'
import { refuse } from '../refuse.ts'
import { admit, type DoorDeps, type Visit } from './door.ts'
import { createPurse } from './purse.ts'
import { SessionHost } from './session-host.ts'

export type SocketsDeps = Omit<DoorDeps, 'nowMs'> & { db: Db; cache: Cache; vendors: VendorDirectory; speech: SpeechHouse; clock: Clock; log: Logger; limits: { sessionsMax: number; sessionSecondsMax: number; beta: boolean } }
export type Sockets = {
  /** Of the server's `upgrade` event. False: the path is none of ours, and nothing was done. */
  upgrade(request: IncomingMessage, stream: Duplex, head: Buffer): boolean
  count(): number
  /** No new sessions; those that are here are told, and closed. */
  close(): Promise<void>
}

const PATH = '/v1/realtime'
const PING_MS = 30_000
const { voice: VOICE, transcriptionModel: TRANSCRIPTION_MODEL } = realtime.USUAL
const CLOSE_GRACE_MS = 1_000

/** `GET /v1/realtime`: sockets that speak OpenAI's Realtime protocol. Whoever may not come in hears so over HTTP, before any socket. */
export function serveRealtime(deps: SocketsDeps): Sockets {
  const sockets = new WebSocketServer({
    noServer: true, maxPayload: realtime.LIMITS.messageBytes, perMessageDeflate: false,
    // Set by the upgrade, since the offer may hold a key that must not be repeated.
    handleProtocols: (_, request) => echoes.get(request) ?? false,
  })
  const echoes = new WeakMap<IncomingMessage, string>()
  const alive = new WeakSet<WebSocket>()
  let closing = false

  async function admitted(request: IncomingMessage, stream: Duplex, head: Buffer): Promise<void> {
    try {
      if (closing || sockets.clients.size >= deps.limits.sessionsMax) throw new AppError('unavailable', { message: 'No more sessions here. Try again.', retryAfterMs: 1_000 })
      const visit = await admit(request.url ?? '', request.headers, { ...deps, nowMs: () => deps.clock.nowMs() })
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
    const { tenantId, connection, made } = visit
    if (connection.beta && !deps.limits.beta) return refuseBeta(socket)
    const balances = ledger.createBalances(deps.db, deps.cache)
    const { clock, log, speech, db } = deps
    const now = () => clock.nowMs()
    const host = new SessionHost(
      socket,
      realtime.realtimeCodec(connection.beta),
      realtime.createRealtimeSession({ config, expiresAtS: Math.floor(now() / 1_000) + deps.limits.sessionSecondsMax, transcriptionModel: TRANSCRIPTION_MODEL, playout: 'client', ...(made ? { idSeed: made.idSeed } : {}) }),
      {
        vad: speech.vad, stt: speech.stt(), tts: speech.tts(), vendor, model, clock, log,
        purse: createPurse({ db, tenantId, model: { vendor: vendor.id, model }, clock, log, onCharged: (tenantId) => void balances.changed([tenantId]).catch(() => {}) }),
      },
    )
    const cancel = clock.after(deps.limits.sessionSecondsMax * 1_000, () => host.expire())
    socket.once('close', cancel)
  }

  const reaper = setInterval(() => {
    for (const socket of sockets.clients) {
      if (!alive.delete(socket)) socket.terminate()
      else socket.ping()
    }
  }, PING_MS)

  return {
    upgrade(request, stream, head) {
      if (request.url?.split('?')[0] !== PATH) return false
      // Node has none here: a client that resets while it is looked up would end the process.
      stream.on('error', () => stream.destroy())
      void admitted(request, stream, head)
      return true
    },
    count: () => sockets.clients.size,
    async close() {
      closing = true
      clearInterval(reaper)
      for (const socket of sockets.clients) {
        socket.close(1001, 'the server goes away')
        setTimeout(() => socket.terminate(), CLOSE_GRACE_MS).unref()
      }
      await new Promise((resolve) => sockets.close(resolve))
    },
  }
}

type Opening = { vendor: Vendor; model: string; config: Parameters<typeof realtime.createRealtimeSession>[0]['config'] }

/** Which supplier answers, and with what the session begins. */
async function openingOf({ tenantId, connection, model, agent, made }: Visit, { vendors }: SocketsDeps): Promise<Opening> {
  const wanted = agent && agent.vendor !== 'rules' ? { vendor: agent.vendor, model: agent.model } : { vendor: 'openai' as const, model: model || TRANSCRIPTION_MODEL }
  const vendor = (await vendors.find(wanted.vendor, tenantId)) ?? (await vendors.find('compatible', tenantId))
  if (!vendor) throw new AppError('invalid_state', { message: 'No model supplier is set up for this tenant. Add a vendor key.' })
  if (made) return { vendor, model: wanted.model, config: made.config }
  if (connection.target.mode === 'transcription') return { vendor, model: wanted.model, config: realtime.transcriptionDefaults(TRANSCRIPTION_MODEL) }
  return { vendor, model: wanted.model, config: withPrompt(realtime.realtimeDefaults({ model, voice: VOICE }), agent) }
}

const withPrompt = <Config extends { instructions: string }>(config: Config, agent: PromptContent | null): Config => (agent ? { ...config, instructions: agent.instructions } : config)

function refuseBeta(socket: WebSocket): void {
  const error = { type: 'invalid_request_error', code: 'beta_api_shape_disabled', message: 'The events of before GA are switched off here. Use the GA protocol.', param: null, event_id: null }
  socket.send(JSON.stringify({ type: 'error', event_id: 'event_refused', error }))
  socket.close(4_000, 'beta_api_shape_disabled')
}
