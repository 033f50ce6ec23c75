import type { VendorDirectory } from '@trunkline/agents'
import type { realtime } from '@trunkline/channels'
import type { Clock, Logger } from '@trunkline/core'
import { createClientSecrets, createLimiter, createPlaces, createSessionBook, type Access, type Cache, type Db, type Keyring, type Redis } from '@trunkline/db'
import type { SpeechHouse } from '@trunkline/media'
import type { VoiceEnv } from '../env.ts'
import type { PlaneDoor } from '../plane.ts'
import { Sessions } from './sessions.ts'
import { serveCalls, type RealtimeCalls } from './calls.ts'
import { serveSockets, type Sockets } from './sockets.ts'

export type RealtimeDeps = {
  env: Pick<VoiceEnv, 'SESSIONS_MAX' | 'SESSIONS_PER_TENANT_MAX' | 'SESSION_SECONDS_MAX' | 'REALTIME_BETA' | 'RATE_LIMIT_TENANT' | 'RATE_LIMIT_PROJECT'>
  access: Access
  db: Db
  redis: Redis
  cache: Cache
  keyring: Keyring
  vendors: VendorDirectory
  speech: SpeechHouse
  plane: PlaneDoor['open']
  clock: Clock
  log: Logger
}

export type RealtimeHere = Pick<Sockets, 'upgrade' | 'close'> & Pick<RealtimeCalls, 'handle'>

/** OpenAI's Realtime protocol in this process: over sockets, and over WebRTC where there is a media worker. */
export function composeRealtime({ env, access, db, redis, cache, keyring, vendors, speech, plane, clock, log }: RealtimeDeps): RealtimeHere {
  const secrets = createClientSecrets<realtime.SecretGrant>({ redis, keyring, purpose: 'realtime' })
  const book = createSessionBook({ redis, keyring })
  const limits = { sessionsMax: env.SESSIONS_MAX, perTenant: env.SESSIONS_PER_TENANT_MAX, sessionSecondsMax: env.SESSION_SECONDS_MAX, beta: env.REALTIME_BETA, perMinute: { tenant: env.RATE_LIMIT_TENANT, project: env.RATE_LIMIT_PROJECT } }
  const sessions = new Sessions({ db, cache, book, limiter: createLimiter({ redis }), places: createPlaces({ redis, kind: 'sessions', clock }), vendors, speech, clock, log, limits })
  const door = { access, db, secrets, book, clock, log, limits, sessions }
  const sockets = serveSockets(door)
  const calls = serveCalls({ ...door, plane })
  return {
    upgrade: (request, stream, head) => sockets.upgrade(request, stream, head),
    handle: (request, response) => calls.handle(request, response),
    async close() {
      await sockets.close()
      await calls.close()
    },
  }
}
