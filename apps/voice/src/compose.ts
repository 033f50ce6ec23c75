import { createVendorDirectory, guardedNetwork, guardedTransport, houseVendors } from '@trunkline/agents'
import { AppError, systemClock, type Clock, type Logger } from '@trunkline/core'
import { connectDb, connectRedis, createAccess, createBell, createCache, createEventBus, createKeyring, openSpeechKeys, openVendorKey, redisReady, VENDOR_KEYS_BELL } from '@trunkline/db'
import { openSpeechHouse } from '@trunkline/media'
import { createServer, type Server } from 'node:http'
import { composeCalls } from './calls/compose.ts'
import type { VoiceEnv } from './env.ts'
import { composeRealtime } from './realtime/compose.ts'
import { createPlaneDoor } from './plane.ts'
import { refuse } from './refuse.ts'

export type Voice = {
  listen(): Promise<string>
  /** No new sessions; those that are here are told and closed. */
  close(): Promise<void>
}

/** The one place where the rooms meet in this process. */
export async function composeVoice(env: VoiceEnv, log: Logger, clock: Clock = systemClock): Promise<Voice> {
  const keyring = createKeyring(env.TRUNKLINE_SECRETS)
  const db = connectDb({ url: env.DATABASE_URL, secret: env.DATABASE_SECRET, maxConnections: env.DB_CONNECTIONS, onCommitted: (notes) => news.committed(notes) })
  const redis = connectRedis({ url: env.REDIS_URL, prefix: env.REDIS_PREFIX, onError: (error) => log.debug({ error }, 'Redis connection') })
  const subscriber = connectRedis({ url: env.REDIS_URL, prefix: env.REDIS_PREFIX, onError: (error) => log.debug({ error }, 'Redis connection') })
  const news = createEventBus({ redis, keyring, clock, log })
  await Promise.all([redisReady(redis, 15_000), redisReady(subscriber, 15_000)])
  const access = createAccess({ db, redis, subscriber, keyring, clock, log })
  const network = guardedNetwork({ allow: env.PRIVATE_ADDRESSES })
  const vendors = createVendorDirectory({ keys: (vendor, tenantId) => db.tenant(tenantId, (tx) => openVendorKey(tx, keyring, tenantId, vendor)), clock, house: houseVendors(env), network })
  const own = { keys: (tenantId: string) => db.tenant(tenantId, (tx) => openSpeechKeys(tx, keyring, tenantId)), guarded: guardedTransport(network) }
  const speech = await openSpeechHouse(env.speech, { clock, log, own })
  const bell = createBell(redis, { url: env.REDIS_URL, prefix: env.REDIS_PREFIX })
  bell.listen(VENDOR_KEYS_BELL, (tenantId) => speech.keysChanged(tenantId))
  void speech.warm()
  const plane = createPlaneDoor(env, log)
  const calls = composeCalls({ env, db, redis, cache: createCache(redis), keyring, vendors, network, speech, bell, news, plane: plane.open, clock, log })
  const server = createServer((request, response) => {
    if (realtime.handle(request, response)) return
    void health(request.url ?? '/', async () => {
      await Promise.all([db.ping(), redisReady(redis, 1_000)])
    }).then(({ status, body }) => response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body)))
  })
  const realtime = composeRealtime({ env, access, db, redis, cache: createCache(redis), keyring, vendors, speech, plane: plane.open, clock, log })
  server.on('upgrade', (request, stream, head) => {
    if (!realtime.upgrade(request, stream, head) && !calls.upgrade(request, stream, head)) refuse(stream, new AppError('not_found'), log)
  })
  return {
    listen: () => listening(server, env),
    async close() {
      await Promise.all([realtime.close(), calls.close()])
      await plane.close()
      await new Promise<void>((resolve) => server.close(() => resolve()))
      await Promise.all([speech.close(), access.close(), network.close()])
      await news.close()
      bell.close()
      subscriber.disconnect()
      redis.disconnect()
      await db.close()
    },
  }
}

/** `/health` (alive) and `/ready` (Postgres and Redis answer); the rest of this port are sockets. */
async function health(url: string, ready: () => Promise<void>): Promise<{ status: number; body: unknown }> {
  const path = url.split('?')[0]
  if (path === '/health') return { status: 200, body: { ok: true } }
  if (path !== '/ready') {
    const { type, code, message } = new AppError('not_found')
    return { status: 404, body: { error: { type, code, message, param: null } } }
  }
  return ready().then(
    () => ({ status: 200, body: { ok: true } }),
    () => ({ status: 503, body: { ok: false } }),
  )
}

async function listening(server: Server, { HOST, VOICE_PORT }: VoiceEnv): Promise<string> {
  await new Promise<void>((resolve, reject) => server.once('error', reject).listen(VOICE_PORT, HOST, 1_024, resolve))
  const address = server.address()
  const port = typeof address === 'object' && address ? address.port : VOICE_PORT
  return `http://${HOST.includes(':') ? `[${HOST}]` : HOST}:${port}`
}
