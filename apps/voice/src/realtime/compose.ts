import type { VendorDirectory } from '@trunkline/agents'
import type { realtime } from '@trunkline/channels'
import { AppError, type Clock, type Logger } from '@trunkline/core'
import { createClientSecrets, createSessionBook, type Access, type Cache, type Db, type Keyring, type Redis } from '@trunkline/db'
import { createMediasoupPlane, type MediaPlane, type SpeechHouse } from '@trunkline/media'
import type { VoiceEnv } from '../env.ts'
import { Sessions } from './sessions.ts'
import { serveCalls, type RealtimeCalls } from './calls.ts'
import { serveSockets, type Sockets } from './sockets.ts'

export type RealtimeDeps = {
  env: Pick<VoiceEnv, 'SESSIONS_MAX' | 'SESSION_SECONDS_MAX' | 'REALTIME_BETA' | 'MEDIASOUP_WORKER_BIN' | 'WEBRTC_WORKERS' | 'WEBRTC_LISTEN_IP' | 'WEBRTC_ANNOUNCED_ADDRESS' | 'WEBRTC_PORTS'>
  access: Access
  db: Db
  redis: Redis
  cache: Cache
  keyring: Keyring
  vendors: VendorDirectory
  speech: SpeechHouse
  clock: Clock
  log: Logger
}

export type RealtimeHere = Pick<Sockets, 'upgrade' | 'close'> & Pick<RealtimeCalls, 'handle'>

/** OpenAI's Realtime protocol in this process: over sockets, and over WebRTC where there is a media worker. */
export function composeRealtime({ env, access, db, redis, cache, keyring, vendors, speech, clock, log }: RealtimeDeps): RealtimeHere {
  const secrets = createClientSecrets<realtime.SecretGrant>({ redis, keyring, purpose: 'realtime' })
  const book = createSessionBook({ redis, keyring })
  const limits = { sessionsMax: env.SESSIONS_MAX, sessionSecondsMax: env.SESSION_SECONDS_MAX, beta: env.REALTIME_BETA }
  const sessions = new Sessions({ db, cache, book, vendors, speech, clock, log, limits })
  const plane = createPlaneDoor(env, log)
  const door = { access, db, secrets, book, clock, log, limits, sessions }
  const sockets = serveSockets(door)
  const calls = serveCalls({ ...door, plane: plane.open })
  return {
    upgrade: (request, stream, head) => sockets.upgrade(request, stream, head),
    handle: (request, response) => calls.handle(request, response),
    async close() {
      await sockets.close()
      await calls.close()
      await plane.close()
    },
  }
}

/** The media workers start with the first call: most installations have none. */
function createPlaneDoor({ MEDIASOUP_WORKER_BIN: workerBin, WEBRTC_WORKERS: workers, WEBRTC_LISTEN_IP: ip, WEBRTC_ANNOUNCED_ADDRESS: announcedAddress, WEBRTC_PORTS: portRange }: RealtimeDeps['env'], log: Logger) {
  let opening: Promise<MediaPlane> | null = null
  return {
    open: async (): Promise<MediaPlane> => {
      if (workerBin === undefined) throw new AppError('unavailable', { message: 'This installation serves no WebRTC: MEDIASOUP_WORKER_BIN is not set (`node scripts/mediasoup-worker.mjs` makes it).' })
      const listen = { ip, ...(announcedAddress === undefined ? {} : { announcedAddress }), ...(portRange === undefined ? {} : { portRange }) }
      opening ??= createMediasoupPlane({ workerBin, workers, listen, onFault: (error) => log.error({ error }, 'media plane') })
      return opening.catch((error: unknown) => {
        opening = null
        throw new AppError('unavailable', { message: 'The media worker does not start.', cause: error })
      })
    },
    close: async (): Promise<void> => {
      await opening?.then((plane) => plane.close(), () => {})
    },
  }
}
