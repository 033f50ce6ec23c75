import { Breakers, createHttpTools, createVendorDirectory, guardedNetwork, houseVendors } from '@trunkline/agents'
import { channels } from '@trunkline/channels'
import { systemClock, type ChannelClient, type MessageChannelId, type Clock, type Id, type Logger } from '@trunkline/core'
import {
  connectDb, connectRedis, createBell, createBuckets, createCache, createDrainer, createEffectsPump, createEventBus, createFolderStore, createKeyring, createNumberRouting, createPresence, createSchedule, createSweeper, ledger, openToolSecrets, openVendorKey, redisReady,
  type Bell, type PeriodicJob,
} from '@trunkline/db'
import { summariseCalls } from './call-summaries.ts'
import { createDirectSends } from './direct-sends.ts'
import { createEffectsHandler } from './effects-handler.ts'
import type { WorkerEnv } from './env.ts'
import { extractDueLeads } from './leads.ts'
import { expireOldHolds, tidyUp } from './maintenance.ts'
import { downloadDueMedia } from './media.ts'
import { createMetrics, type WorkerMetrics } from './metrics.ts'
import { onBell } from './on-bell.ts'
import { createNumberStopper } from './stop-number.ts'
import { createThinker } from './think.ts'
import { createTurnHandler } from './turn-handler.ts'

export type Worker = {
  start(): Promise<void>
  /** Takes no new work, lets what is under way end, then gives everything back. */
  stop(): Promise<void>
  metrics: WorkerMetrics
  /** Throws AppError `unavailable` when Postgres or Redis does not answer. */
  ready(): Promise<void>
}

const NOTE_MS = 100

/** The one place where the rooms meet in this process. */
export async function composeWorker(env: WorkerEnv, log: Logger, clock: Clock = systemClock): Promise<Worker> {
  const keyring = createKeyring(env.TRUNKLINE_SECRETS)
  const db = connectDb({ url: env.DATABASE_URL, secret: env.DATABASE_SECRET, maxConnections: env.DB_CONNECTIONS, onCommitted: (notes) => live.committed(notes) })
  const redis = connectRedis({ url: env.REDIS_URL, prefix: env.REDIS_PREFIX, onError: (error) => log.debug({ error }, 'Redis connection') })
  await redisReady(redis, 15_000)
  const live = createEventBus({ redis, keyring, clock, log })
  const bell = createBell(redis, { url: env.REDIS_URL, prefix: env.REDIS_PREFIX })
  const cache = createCache(redis)
  const routing = createNumberRouting({ db, redis, cache, keyring, clock })
  const clients = clientsOf(env, bell)
  const network = guardedNetwork({ allow: env.PRIVATE_ADDRESSES })
  const breakers = new Breakers(clock)
  const vendors = createVendorDirectory({ keys: (vendor, tenantId) => db.tenant(tenantId, (tx) => openVendorKey(tx, keyring, tenantId, vendor)), clock, house: houseVendors(env), network })
  const tools = createHttpTools({ network, clock, secrets: async (tenantId, name) => (await db.tenant(tenantId, (tx) => openToolSecrets(tx, keyring, tenantId)))[name] ?? null })
  const sending = { clients, channels, buckets: createBuckets(redis), sendTimeoutMs: env.SEND_TIMEOUT_MS }
  const stopNumber = createNumberStopper({ db, routing, log })
  const intervals = { quietMs: env.LEAD_QUIET_MS, latestMs: env.LEAD_LATEST_MS }
  const metrics = createMetrics()

  const onCharged = balanceNotes(ledger.createBalances(db, cache), log)

  const thinker = createThinker({ vendors, clients, tools, breakers, keyring, clock, log })
  const handler = createTurnHandler({ ...sending, db, keyring, log, routing, thinker, stopNumber, leadIdleMs: env.LEAD_QUIET_MS, onCharged, onMedia: () => bell.ring('media'), onRetired: (turn, outcome, reason) => metrics.turnRetired(turn, outcome, reason) })
  const drainer = createDrainer({ db, redis, keyring, clock, log, handler, maxTurnsInFlight: env.TURNS_MAX, leaseMs: env.LEASE_MS })
  const effects = createEffectsPump({ db, redis, clock, log, handler: createEffectsHandler({ keyring, routing }) })
  const sweeper = createSweeper({ db, redis, clock, log })
  const directSends = createDirectSends({ ...sending, onCharged, db, keyring, log, routing, stopNumber })
  const store = createFolderStore(env.MEDIA_DIR)
  const direct = onBell(bell, 'direct', 2_000, (signal) => directSends.run(signal), log)
  const media = onBell(bell, 'media', 5_000, (signal) => downloadDueMedia({ db, log, routing, store, clients, channels }, signal), log)
  const schedule = createSchedule({ redisUrl: env.REDIS_URL, prefix: env.REDIS_PREFIX, log, jobs: jobs() })
  metrics.watch({ db, clock, presence: createPresence(redis, 'worker'), drainer, effects, maxTurnsInFlight: env.TURNS_MAX })

  function jobs(): PeriodicJob[] {
    const leadDeps = { db, keyring, clock, log, vendors, routing, breakers, intervals }
    return [
      { name: 'leads', everyMs: Math.min(5_000, env.LEAD_QUIET_MS), run: async (signal) => void (await extractDueLeads(leadDeps, signal)) },
      { name: 'call-summaries', everyMs: 5_000, run: (signal) => summariseCalls(leadDeps, signal) },
      { name: 'holds', everyMs: 60_000, run: () => expireOldHolds({ db, log }) },
      { name: 'tidy', everyMs: 3_600_000, run: () => tidyUp({ db, log, store }) },
    ]
  }

  return {
    metrics,
    async ready() {
      await Promise.all([db.ping(), redisReady(redis, 1_000)])
    },
    async start() {
      await schedule.start()
      sweeper.start()
      await effects.start()
      await drainer.start()
      direct.start()
      media.start()
    },
    async stop() {
      await Promise.all([drainer.stop({ deadlineMs: env.DRAIN_MS }), effects.stop(), sweeper.stop(), schedule.stop(env.DRAIN_MS), direct.stop(), media.stop()])
      await Promise.all([network.close(), live.close()])
      bell.close()
      redis.disconnect()
      await db.close()
    },
  }
}

/** A web chat's supplier is ourselves: a send rings the visitor's sockets, whichever process holds them. */
function clientsOf(env: WorkerEnv, bell: Bell): Record<MessageChannelId, ChannelClient> {
  const deps = { baseUrl: env.GRAPH_URL, timeoutMs: env.SEND_TIMEOUT_MS }
  const deliverLocal = async (numberId: Id, visitorId: string, payload: Record<string, unknown>) => bell.ring(`webchat:${numberId}:${visitorId}`, JSON.stringify(payload))
  return Object.fromEntries(Object.entries(channels).map(([id, channel]) => [id, channel.client({ ...deps, deliverLocal })])) as Record<MessageChannelId, ChannelClient>
}

/** Tells the caches of balances at most every `NOTE_MS` per tenant: the ledger itself never reads them. */
function balanceNotes(balances: ReturnType<typeof ledger.createBalances>, log: Logger): (tenantIds: Id[]) => void {
  let noted = new Set<Id>()
  return (tenantIds) => {
    if (noted.size === 0) {
      setTimeout(() => {
        const changed = [...noted]
        noted = new Set()
        balances.changed(changed).catch((error: unknown) => log.warn({ error }, 'cached balances could not be dropped'))
      }, NOTE_MS)
    }
    for (const id of tenantIds) noted.add(id)
  }
}
