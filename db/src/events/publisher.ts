import type { Clock, Id, Logger } from '@trunkline/core'
import type { Redis } from 'ioredis'
import type { RedisOptions } from '../redis/connect.ts'
import { loadScript, runScript } from '../redis/script.ts'
import { sealJson, type Keyring } from '../seal.ts'
import type { NewEvent, StoredEvent } from './contract.ts'
import { eventsTopic, streamKey, type EventLimits } from './keys.ts'
import type { Note } from './notes.ts'
import type { Watched } from './watched.ts'

export type Publisher = {
  /** Takes the events and returns at once. Call it after the commit that made them true. Nothing happens for a tenant nobody listens to. */
  publish(tenantId: Id, events: readonly NewEvent[]): void
  /** The same for what transactions have said: give it to `connectDb` as `onCommitted`. */
  committed(notes: readonly Note[]): void
  /** Something happened that nobody can tell any more: everybody who listens is told of a gap. */
  missed(): void
  /** Resolves when everything that was taken has been told or given up. */
  idle(): Promise<void>
  close(): void
  stats(): { published: number; lost: number; waiting: number }
}

export type PublisherDeps = { redis: Redis; prefix: NonNullable<RedisOptions['prefix']>; keyring: Keyring; clock: Clock; log: Logger; watched: Watched }

type Waiting = { tenantId: Id; event: StoredEvent }

const append = loadScript('append-events')
const BATCH = 200
/** Tenants whose gaps are remembered until they are told. */
const GAPS_MAX = 10_000
const RETRY_MS = 500

/**
 * Fire and forget, but bounded and in order: what comes while Redis is asked leaves together as the next command. What Redis did not take
 * is not tried again (it may have), and the tenant's listeners are told that something may be missing.
 */
export function createPublisher({ redis, prefix, keyring, clock, log, watched }: PublisherDeps, limits: EventLimits): Publisher {
  const totals = { published: 0, lost: 0 }
  const gaps = new Set<Id>()
  let waiting: Waiting[] = []
  let running: Promise<void> | null = null
  let cancelRetry: (() => void) | null = null

  const push = (tenantId: Id, event: NewEvent) => {
    if (!watched.has(tenantId)) return
    if (waiting.length >= limits.waitingMax) return lose([{ tenantId }])
    const { type, data, projectId, at } = event
    waiting.push({ tenantId, event: { type, data, project_id: projectId, at: (at ?? new Date(clock.nowMs())).toISOString() } as StoredEvent })
    running ??= drain()
  }

  function lose(events: readonly { tenantId: Id }[]): void {
    totals.lost += events.length
    for (const { tenantId } of events) if (gaps.size < GAPS_MAX) gaps.add(tenantId)
  }

  async function drain(): Promise<void> {
    // What one commit made true is said one after the other in this turn of the event loop.
    await new Promise((resolve) => setImmediate(resolve))
    while (waiting.length > 0) {
      const batch = waiting.slice(0, BATCH)
      waiting = waiting.slice(BATCH)
      await tell(batch)
    }
    running = null
  }

  /** Gaps come first: what they speak of lies before what is told now. */
  async function tell(batch: readonly Waiting[]): Promise<void> {
    const holes = [...gaps].slice(0, BATCH)
    try {
      await send([...holes.filter((tenantId) => watched.has(tenantId)).map(gapOf), ...batch])
      for (const tenantId of holes) gaps.delete(tenantId)
      totals.published += batch.length
    } catch (error) {
      if (gaps.size === 0) log.warn({ error }, 'live events could not be told: Redis does not answer')
      lose(batch)
    }
    // A gap is told also when nothing else happens.
    if (gaps.size > 0) cancelRetry ??= clock.after(RETRY_MS, tellGaps)
  }

  function missed(): void {
    for (const tenantId of watched.all()) if (gaps.size < GAPS_MAX) gaps.add(tenantId)
    if (gaps.size > 0) tellGaps()
  }

  function tellGaps(): void {
    cancelRetry = null
    running ??= tell([]).then(drain)
  }

  const gapOf = (tenantId: Id): Waiting => ({ tenantId, event: { type: 'events.gap', data: { reason: 'lost' }, project_id: null, at: new Date(clock.nowMs()).toISOString() } })

  async function send(events: readonly Waiting[]): Promise<void> {
    if (events.length === 0) return
    const tenants = [...new Set(events.map(({ tenantId }) => tenantId))]
    const place = new Map(tenants.map((tenantId, index) => [tenantId, index + 1]))
    const sealed = events.flatMap(({ tenantId, event }) => [place.get(tenantId)!, sealJson(keyring, event, tenantId).toString('base64')])
    await runScript(redis, append, tenants.map(streamKey), [limits.kept, limits.watchMs + limits.streamGraceMs, ...tenants.map((tenantId) => `${prefix}bell:${eventsTopic(tenantId)}`), ...sealed])
  }

  return {
    publish: (tenantId, events) => events.forEach((event) => push(tenantId, event)),
    committed: (notes) => notes.forEach(({ tenantId, event }) => push(tenantId, event)),
    missed,
    async idle() {
      for (let work = running; work; work = running) await work
    },
    close: () => cancelRetry?.(),
    stats: () => ({ ...totals, waiting: waiting.length }),
  }
}
