import type { VendorDirectory } from '@trunkline/agents'
import type { realtime } from '@trunkline/channels'
import type { Clock, Logger } from '@trunkline/core'
import { createClientSecrets, createSessionBook, type Access, type Cache, type Db, type Keyring, type Redis } from '@trunkline/db'
import type { SpeechHouse } from '@trunkline/media'
import type { VoiceEnv } from '../env.ts'
import { Sessions } from './sessions.ts'
import { serveSockets, type Sockets } from './sockets.ts'

export type RealtimeDeps = {
  env: Pick<VoiceEnv, 'SESSIONS_MAX' | 'SESSION_SECONDS_MAX' | 'REALTIME_BETA'>
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

/** OpenAI's Realtime protocol in this process. */
export function composeRealtime({ env, access, db, redis, cache, keyring, vendors, speech, clock, log }: RealtimeDeps): Sockets {
  const secrets = createClientSecrets<realtime.SecretGrant>({ redis, keyring, purpose: 'realtime' })
  const book = createSessionBook({ redis, keyring })
  const limits = { sessionsMax: env.SESSIONS_MAX, sessionSecondsMax: env.SESSION_SECONDS_MAX, beta: env.REALTIME_BETA }
  const sessions = new Sessions({ db, cache, book, vendors, speech, clock, log, limits })
  return serveSockets({ access, db, secrets, book, clock, log, limits, sessions })
}
