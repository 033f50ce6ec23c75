import { newId, type Clock, type InboundMessage, type Logger } from '@trunkline/core'
import type { Redis } from 'ioredis'
import { redisReady } from '../redis/connect.ts'
import { createGate } from '../redis/gate.ts'
import { createLeaseBook } from '../redis/lease.ts'
import { createReadySet } from '../redis/ready.ts'
import { openJson, type Keyring } from '../seal.ts'
import type { Db } from '../tenancy.ts'
import type { TurnHandler } from './contract.ts'
import { createDrain, type Drain, type LaneStore, type Wakes } from './drain.ts'
import { claimLanes, readLog, type ClaimedLane } from './lanes.ts'
import { DEFAULT_LIMITS, type LaneLimits, type LaneSettings } from './order.ts'

export type DrainerOptions = {
  db: Db
  /** For scripts; two more connections are made beside it (one that blocks, one that listens). */
  redis: Redis
  keyring: Keyring
  clock: Clock
  log: Logger
  handler: TurnHandler
  /** Names this worker in Redis and in `lanes.owner`. Unique for each start; default a new id. */
  owner?: string
  /** Default: the number's own columns, read with the claim. */
  laneSettings?: (claimed: ClaimedLane) => LaneSettings
  /** Handlers at work in this process at most. Default 512. */
  maxTurnsInFlight?: number
  /** Numbers held at once. Default 2,000. */
  maxLanes?: number
  /** How long a worker that has died keeps its numbers. Default 10,000. */
  leaseMs?: number
  /** Messages of a lane in memory. Default 200. */
  lookAhead?: number
  limits?: Partial<LaneLimits>
}

const TAKE_MS = 500
const CLAIM_MAX = 200

/** A worker's drainer on Postgres and Redis. It holds numbers under leases and runs their turns in order; see drain.ts. */
export function createDrainer(options: DrainerOptions): Drain {
  const { db, redis, keyring, clock, log, handler, owner = newId(), leaseMs = 10_000, lookAhead = 200 } = options
  const store: LaneStore = {
    readLimit: lookAhead,
    claim: (numberIds) => db.system('queue', (tx) => claimLanes(tx, numberIds, owner, lookAhead)),
    read: (after) => db.single('queue', (one) => readLog(one, after, lookAhead)),
  }
  const link = redisWakes(redis, owner, leaseMs)
  const drain = createDrain(
    { store, wakes: link.wakes, handler, clock, log, open: (row, tenantId) => openJson(keyring, row.sealed, tenantId) as InboundMessage },
    {
      limits: { ...DEFAULT_LIMITS, ...options.limits },
      leaseMs,
      maxTurnsInFlight: options.maxTurnsInFlight ?? 512,
      maxLanes: options.maxLanes ?? 2_000,
      claimMax: CLAIM_MAX,
      takeMs: TAKE_MS,
      settingsOf: options.laneSettings,
    },
  )
  return {
    async start() {
      link.connect()
      await drain.start()
    },
    async stop(how) {
      await drain.stop(how)
      link.disconnect()
    },
    stats: () => drain.stats(),
  }
}

function redisWakes(redis: Redis, owner: string, leaseMs: number): { wakes: Wakes; connect(): void; disconnect(): void } {
  // A pop that blocks holds up everything behind it: a connection of its own, with a deadline beyond the pop's.
  const blocking = redis.duplicate({ commandTimeout: TAKE_MS + 2_000, enableAutoPipelining: false, lazyConnect: true })
  blocking.on('error', () => {})
  const ready = createReadySet(redis, blocking)
  const leases = createLeaseBook(redis)
  const gate = createGate(redis)
  const wakes: Wakes = {
    take: (timeoutMs) => ready.take(timeoutMs),
    claim: (max, taken) => ready.claim(owner, leaseMs, max, taken),
    heartbeat: (numberIds) => leases.heartbeat(owner, leaseMs, numberIds),
    release: (releases) => leases.release(owner, releases),
    retired: (count) => gate.retired(count),
    listen: (onWake) => leases.listen(owner, onWake),
    interrupt: () => blocking.disconnect(),
  }
  return { wakes, connect: () => void redisReady(blocking, 1_000).catch(() => {}), disconnect: () => blocking.disconnect() }
}
