import { newId, type ChannelId, type Clock, type Id, type PromptContent } from '@trunkline/core'
import type { Redis } from 'ioredis'
import type { Cache } from '../redis/cache.ts'
import { openJson, type Keyring } from '../seal.ts'
import type { Db, Tx } from '../tenancy.ts'
import type { NumberStatus, OrderMode } from './numbers.ts'

/** The prompt that answers on a number, at the version that counts now. */
export type RoutedAgent = { id: Id; promptId: Id; promptVersion: number; content: PromptContent }

/** Everything a webhook or a worker has to know about a number. Credentials are opened: never log it, never cache it outside the process. */
export type RoutedNumber = {
  id: Id
  tenantId: Id
  projectId: Id
  tenantStatus: 'active' | 'suspended'
  channel: ChannelId
  address: string
  name: string
  status: NumberStatus
  credentials: Record<string, unknown>
  settings: Record<string, unknown>
  orderMode: OrderMode
  windowSize: number
  coalesceMs: number
  headDeadlineMs: number
  /** Null: nobody answers on this number yet. */
  agent: RoutedAgent | null
}

type CachedNumber = Omit<RoutedNumber, 'credentials'> & { /** Sealed, base64. */ credentials: string }

export type NumberRouting = {
  /**
   * By id, across tenants; null for an unknown number. A deleted number is given with its status, a suspended tenant with
   * its own. At most about two seconds old in this process when `invalidateNumber` was called by another one; not at all with `fresh`.
   */
  numberForRouting(numberId: Id, options?: { fresh?: boolean }): Promise<RoutedNumber | null>
  /** Call after the commit of anything that changes what `numberForRouting` says. */
  invalidateNumber(numberId: Id): Promise<void>
  /** The same for every number of a tenant: call it after suspending one or letting it go on. */
  invalidateTenant(tenantId: Id): Promise<void>
}

export type RoutingDeps = { db: Db; redis: Redis; cache: Cache; keyring: Keyring; clock: Pick<Clock, 'nowMs'> }

const COPY_MS = 1_500
const COPIES_MAX = 20_000
const GENERATION_SECONDS = 3_600
/** Numbers are found before their tenant is known, so their entries stand under a name that is no tenant's. */
const NAMESPACE = 'routing'

const generationKey = (numberId: Id) => `routing:generation:${numberId}`

/**
 * Three layers: a copy in the process, Redis, Postgres. Each invalidation names a new generation and entries are kept under
 * their generation, so that a reader that began before a change cannot put the old state back after it. (A generation
 * outlives every entry: entries live 10 minutes at most.)
 */
export function createNumberRouting(deps: RoutingDeps): NumberRouting {
  const copies = new Map<Id, { until: number; number: Promise<RoutedNumber | null> }>()

  const read = async (numberId: Id): Promise<RoutedNumber | null> => {
    const generation = await deps.redis.get(generationKey(numberId)).catch(() => null)
    const load = () => deps.db.system('routing', (tx) => loadNumber(tx, numberId))
    const cached = await deps.cache.read(NAMESPACE, `number:${numberId}:${generation ?? '0'}`, load)
    return cached ? open(deps.keyring, cached) : null
  }

  const invalidateNumber = async (numberId: Id): Promise<void> => {
    await deps.redis.set(generationKey(numberId), newId(), 'EX', GENERATION_SECONDS).catch(() => {})
    copies.delete(numberId)
  }

  return {
    invalidateNumber,
    async invalidateTenant(tenantId) {
      const { rows } = await deps.db.tenant(tenantId, (tx) => tx.query<{ id: Id }>("SELECT id FROM phone_numbers WHERE status <> 'deleted'"))
      await Promise.all(rows.map((row) => invalidateNumber(row.id)))
    },
    numberForRouting(numberId, { fresh = false } = {}) {
      const now = deps.clock.nowMs()
      const copy = copies.get(numberId)
      if (!fresh && copy && copy.until > now) return copy.number
      const number = read(numberId)
      copies.delete(numberId)
      if (copies.size >= COPIES_MAX) copies.delete(copies.keys().next().value!)
      copies.set(numberId, { until: now + COPY_MS, number })
      number.catch(() => copies.delete(numberId))
      return number
    },
  }
}

function open(keyring: Keyring, cached: CachedNumber): RoutedNumber {
  const credentials = openJson(keyring, Buffer.from(cached.credentials, 'base64'), cached.tenantId)
  return { ...cached, credentials: credentials as Record<string, unknown> }
}

type Row = {
  id: Id
  tenant_id: Id
  project_id: Id
  tenant_status: RoutedNumber['tenantStatus']
  channel: ChannelId
  address: string
  name: string
  status: NumberStatus
  credentials_sealed: Buffer
  settings: Record<string, unknown>
  order_mode: OrderMode
  window_size: number
  coalesce_ms: number
  head_deadline_ms: number
  agent_id: Id | null
  prompt_id: Id
  version: number
  content: PromptContent
}

async function loadNumber(tx: Tx, numberId: Id): Promise<CachedNumber | undefined> {
  const { rows } = await tx.query<Row>(
    `SELECT n.id, n.tenant_id, n.project_id, t.status AS tenant_status, n.channel, n.address, n.name, n.status, n.credentials_sealed, n.settings,
       n.order_mode, n.window_size, n.coalesce_ms, n.head_deadline_ms, a.id AS agent_id, a.prompt_id, v.version, v.content
     FROM phone_numbers n
     JOIN tenants t ON t.id = n.tenant_id
     LEFT JOIN (agents a JOIN prompts p ON p.id = a.prompt_id JOIN prompt_versions v ON v.prompt_id = p.id AND v.version = coalesce(a.pinned_version, p.current_version))
       ON a.number_id = n.id AND a.ended_at IS NULL
     WHERE n.id = $1`,
    [numberId],
    'numbers_route',
  )
  return rows[0] && cachedNumber(rows[0])
}

const cachedNumber = (row: Row): CachedNumber => ({
  id: row.id,
  tenantId: row.tenant_id,
  projectId: row.project_id,
  tenantStatus: row.tenant_status,
  channel: row.channel,
  address: row.address,
  name: row.name,
  status: row.status,
  credentials: row.credentials_sealed.toString('base64'),
  settings: row.settings,
  orderMode: row.order_mode,
  windowSize: row.window_size,
  coalesceMs: row.coalesce_ms,
  headDeadlineMs: row.head_deadline_ms,
  agent: row.agent_id === null ? null : { id: row.agent_id, promptId: row.prompt_id, promptVersion: row.version, content: row.content },
})
