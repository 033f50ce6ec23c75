import { addressFault, checkPrompt, guardedNetwork, guardedTransport } from '@trunkline/agents'
import { carriers, channels, socketUrl, type CarrierClient } from '@trunkline/channels'
import { systemClock, type CarrierId, type ChannelClient, type MessageChannelId, type Logger } from '@trunkline/core'
import { connectDb, connectRedis, createAcceptor, createAccess, createBell, createCache, createEventBus, createFolderStore, createKeyring, createLimiter, createNumberRouting, numbers, openSpeechKeys, redisReady, VENDOR_KEYS_BELL, type Acceptor, type Db, type Keyring, type Redis } from '@trunkline/db'
import { openSpeechHouse } from '@trunkline/media'
import { collectDefaultMetrics, Counter, Registry } from 'prom-client'
import type { ApiDeps } from './deps.ts'
import type { ApiEnv } from './env.ts'
import { createMailer } from './mailer.ts'
import type { BusinessPorts } from './ports.ts'
import { createProvisioner } from './provision.ts'
import { createSandboxNumbers } from './sandbox-numbers.ts'
import { createAccessTokens } from './tokens.ts'
import { Restarts } from './voice/restarts.ts'

const SUPPLIER_TIMEOUT_MS = 15_000
/** A Redis that is away does not stop the start: everything falls back, and it is found again when it is there. */
const REDIS_WAIT_MS = 2_000

export type Composed = { deps: ApiDeps; close(): Promise<void> }

/** The one place where the rooms meet in this process. */
export async function compose(env: ApiEnv, log: Logger): Promise<Composed> {
  const metrics = new Registry()
  collectDefaultMetrics({ register: metrics })
  const counters = createCounters(metrics)
  const clock = systemClock
  const keyring = createKeyring(env.TRUNKLINE_SECRETS)
  const db = connectDb({ url: env.DATABASE_URL, secret: env.DATABASE_SECRET, maxConnections: env.DB_CONNECTIONS, onSystem: (reason) => counters.system.inc({ reason }), onCommitted: (notes) => events.committed(notes) })
  const { redis, subscriber } = await connectRedises(env, log)
  const events = createEventBus({ redis, keyring, clock, log })
  const cache = createCache(redis)
  const access = createAccess({ db, redis, subscriber, keyring, clock, log })
  const mailer = createMailer({ smtpUrl: env.SMTP_URL, from: env.MAIL_FROM, log })
  const bell = createBell(redis, { url: env.REDIS_URL, prefix: env.REDIS_PREFIX })
  const acceptor = createAcceptor({ db, redis, keyring, clock, log }, { capacity: env.QUEUE_CAPACITY })
  const carrierClients = carrierClientsOf(env)
  // Nobody talks here: there is no speech to detect.
  const network = guardedNetwork({ allow: env.PRIVATE_ADDRESSES })
  const own = { keys: (tenantId: string) => db.tenant(tenantId, (tx) => openSpeechKeys(tx, keyring, tenantId)), guarded: guardedTransport(network) }
  const speech = await openSpeechHouse({ ...env.speech, vad: 'energy' }, { clock, log, own })
  bell.listen(VENDOR_KEYS_BELL, (tenantId) => speech.keysChanged(tenantId))

  const restarts = new Restarts({ clock, log })
  const deps: ApiDeps = {
    db,
    redis,
    keyring,
    cache,
    access,
    tokens: createAccessTokens(keyring, clock),
    limiter: createLimiter({ redis, processes: env.API_PROCESSES, onFallback: () => counters.limiterFallback.inc() }),
    log,
    clock,
    config: env.config,
    channels,
    clients: clientsOf(env.GRAPH_URL),
    carriers,
    carrierClients,
    voice: {
      db, clock, log, bell, carrierClients, restarts, tenantCallsMax: env.TENANT_CALLS_MAX,
      addresses: { publicUrl: env.config.publicUrl, mediaUrl: socketUrl(env.VOICE_PUBLIC_URL ?? env.config.publicUrl), mediaKey: keyring.derive('call media') },
    },
    speech,
    mailer,
    provision: createProvisioner({ keyring, publicUrl: env.config.publicUrl, startCreditMicros: env.START_CREDIT_MICROS, sandbox: env.SANDBOX_URL === undefined ? null : createSandboxNumbers(env.SANDBOX_URL), vendor: env.RECEPTIONIST_VENDOR, model: env.RECEPTIONIST_MODEL }),
    metrics,
    events,
    ports: portsOf({ env, db, redis, cache, keyring, bell, acceptor }),
  }
  return {
    deps,
    async close() {
      restarts.close()
      await acceptor.idle()
      await mailer.close()
      await speech.close()
      await network.close()
      await Promise.all(Object.values(carrierClients).map((client) => client.close()))
      await access.close()
      await events.close()
      bell.close()
      subscriber.disconnect()
      redis.disconnect()
      await db.close()
    },
  }
}

function createCounters(metrics: Registry) {
  return {
    system: new Counter({ name: 'trunkline_system_transactions_total', help: 'Transactions across tenants, by reason', labelNames: ['reason'], registers: [metrics] }),
    limiterFallback: new Counter({ name: 'trunkline_limiter_fallbacks_total', help: 'Rate limits decided in the process because Redis did not answer', registers: [metrics] }),
  }
}

async function connectRedises({ REDIS_URL: url, REDIS_PREFIX: prefix }: ApiEnv, log: Logger): Promise<{ redis: Redis; subscriber: Redis }> {
  const onError = (err: Error) => log.warn({ err }, 'Redis')
  const [redis, subscriber] = [connectRedis({ url, prefix, onError }), connectRedis({ url, prefix, onError })]
  await Promise.all([redis, subscriber].map((connection) => redisReady(connection, REDIS_WAIT_MS).catch((err: unknown) => log.warn({ err }, 'starting without Redis'))))
  return { redis, subscriber }
}

const clientsOf = (graphUrl: string) =>
  Object.fromEntries(Object.entries(channels).map(([id, channel]) => [id, channel.client({ baseUrl: graphUrl, timeoutMs: SUPPLIER_TIMEOUT_MS })])) as Record<MessageChannelId, ChannelClient>

/** Without an address of their own: the carriers' hosts. */
function carrierClientsOf(env: ApiEnv): Record<CarrierId, CarrierClient> {
  const client = (id: CarrierId, baseUrl: string | undefined) => carriers[id].client({ baseUrl: baseUrl ?? null, timeoutMs: SUPPLIER_TIMEOUT_MS })
  return { twilio: client('twilio', env.TWILIO_URL), telnyx: client('telnyx', env.TELNYX_URL) }
}

type PortDeps = { env: ApiEnv; db: Db; redis: Redis; cache: ApiDeps['cache']; keyring: Keyring; bell: ReturnType<typeof createBell>; acceptor: Acceptor }

const portsOf = ({ env, db, redis, cache, keyring, bell, acceptor }: PortDeps): BusinessPorts => ({
  mediaStore: createFolderStore(env.MEDIA_DIR),
  routing: createNumberRouting({ db, redis, cache, keyring, clock: systemClock }),
  accept: (number, events) => acceptor.accept(number, events),
  numberByAddress: (tenantId, channel, address) => db.tenant(tenantId, (tx) => numbers.findByAddress(tx, channel, address)),
  wakeDirectSends: async (numberId) => bell.ring('direct', numberId),
  wakeMedia: async () => bell.ring('media'),
  bell,
  checkPrompt: (content) => checkPrompt(content, { allow: env.PRIVATE_ADDRESSES }),
  checkAddress: (url) => addressFault(url, { allow: env.PRIVATE_ADDRESSES }),
})
