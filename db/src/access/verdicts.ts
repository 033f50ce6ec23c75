import { AppError, type Clock, type Logger } from '@trunkline/core'
import type { Redis } from 'ioredis'
import { isDatabaseAway } from '../away.ts'
import { createBatcher } from '../queue/batcher.ts'
import { runScript, scriptOf } from '../redis/script.ts'

/** What is known about a credential. `tenantId` null: refused, and no tenant is known. */
export type Verdict<T> = { tenantId: string | null; value: T | null }

export type Verdicts<Asked, T> = {
  /** Local copy (1 s), Redis (5 min; refusals 30 s), else `load`, once per name however many ask. Throws AppError `unavailable` when nobody can tell. */
  get(name: string, asked: Asked): Promise<T | null>
  /** After the commit that changed something about these names. */
  drop(names: string[]): Promise<void>
  /** After the commit that changed something about everybody of a tenant. */
  dropTenant(tenantId: string): Promise<void>
  close(): Promise<void>
}

export type VerdictOptions<Asked, T> = {
  /** What Postgres knows, in the order of what is asked: those that are asked for at the same moment go together. */
  load: (asked: readonly Asked[]) => Promise<Verdict<T>[]>
  redis: Redis
  /** A connection of its own that only listens: other processes' drops arrive here. */
  subscriber: Redis
  clock: Clock
  log: Logger
  /** Keeps kinds of verdicts apart, e.g. `key`. */
  kind: string
  localTtlMs?: number
  localMax?: number
  /** Past so many that are being looked up in Postgres further ones are told `unavailable`. */
  loadQueueMax?: number
}

const REDIS_TTL_MS = 300_000
const REFUSED_TTL_MS = 30_000

// `epoch` rises with every drop. A verdict is written only if the epoch is still the one from before its look-up, so that a
// look-up which began before a revocation can never put the old truth back. `floor` is the epoch below which nothing counts:
// it is raised when Redis answers again after it was away, because drops of that time were lost.
const SET_IF_UNCHANGED = scriptOf(`
if (redis.call('GET', KEYS[1]) or '0') ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[2], ARGV[2], 'PX', ARGV[3])
if ARGV[4] ~= '' then redis.call('SADD', KEYS[3], ARGV[4]) redis.call('PEXPIRE', KEYS[3], ARGV[5]) end
return 1`)

type Drop = { names?: string[]; tenantId?: string; all?: true }
type Local<T> = { verdict: Verdict<T>; untilMs: number }
type Stored<T> = Verdict<T> & { epoch: number }

const RECOVER_EVERY_MS = 250

export function createVerdicts<Asked, T>(options: VerdictOptions<Asked, T>): Verdicts<Asked, T> {
  const copies = createCopies<T>(options)
  const remote = createRemote<T>(options, (drop) => copies.forget(drop))
  const lookUp = createLookUp(options)
  return {
    get: async (name, asked) => (await copies.get(name, () => remote.readThrough(name, () => lookUp(asked)))).value,
    drop: (names) => remote.publish({ names }),
    dropTenant: (tenantId) => remote.publish({ tenantId }),
    close: () => remote.close(),
  }
}

const LOADS_AT_ONCE = 2
const LOAD_SIZE = 200

function createLookUp<Asked, T>({ load, loadQueueMax = 1_000 }: Pick<VerdictOptions<Asked, T>, 'load' | 'loadQueueMax'>): (asked: Asked) => Promise<Verdict<T>> {
  const batcher = createBatcher<Asked, Verdict<T>>({ run: load, maxSize: LOAD_SIZE, maxInFlight: LOADS_AT_ONCE })
  return async (asked) => {
    if (batcher.size() >= loadQueueMax) throw new AppError('unavailable', { retryAfterMs: 1_000 })
    return batcher.add(asked).catch(sayAway)
  }
}

function sayAway(error: unknown): never {
  throw isDatabaseAway(error) ? new AppError('unavailable', { cause: error, retryAfterMs: 1_000 }) : error
}

/** This process's copies of a second, and its look-ups under way. */
function createCopies<T>({ clock, localTtlMs = 1_000, localMax = 10_000 }: Pick<VerdictOptions<never, T>, 'clock' | 'localTtlMs' | 'localMax'>) {
  const known = new Map<string, Local<T>>()
  const loading = new Map<string, Promise<Verdict<T>>>()
  let drops = 0

  const keep = (name: string, verdict: Verdict<T>) => {
    if (known.size >= localMax) known.delete(known.keys().next().value!)
    known.set(name, { verdict, untilMs: clock.nowMs() + localTtlMs })
  }
  async function start(name: string, fetch: () => Promise<Verdict<T>>): Promise<Verdict<T>> {
    const before = drops
    const verdict = await fetch()
    // A drop since then may have meant this one.
    if (before === drops) keep(name, verdict)
    return verdict
  }
  return {
    forget(drop: Drop): void {
      drops++
      for (const name of drop.names ?? []) {
        known.delete(name)
        loading.delete(name)
      }
      if (drop.names !== undefined) return
      loading.clear()
      for (const [name, { verdict }] of known) if (drop.all || verdict.tenantId === drop.tenantId) known.delete(name)
    },
    async get(name: string, fetch: () => Promise<Verdict<T>>): Promise<Verdict<T>> {
      const copy = known.get(name)
      if (copy !== undefined && copy.untilMs > clock.nowMs()) return copy.verdict
      const running = loading.get(name)
      if (running !== undefined) return running
      const started = start(name, fetch).finally(() => {
        if (loading.get(name) === started) loading.delete(name)
      })
      loading.set(name, started)
      return started
    },
  }
}

/** What the processes share: verdicts in Redis, and word of every drop. */
function createRemote<T>(options: Pick<VerdictOptions<never, T>, 'redis' | 'subscriber' | 'clock' | 'log' | 'kind'>, forget: (drop: Drop) => void) {
  const { redis, subscriber, clock, log, kind } = options
  const verdictKey = (name: string) => `verdict:${kind}:${name}`
  const membersKey = (tenantId: string) => `verdicts:${kind}:${tenantId}`
  const [epochKey, floorKey] = [`verdict-epoch:${kind}`, `verdict-floor:${kind}`]
  const channel = `${redis.options.keyPrefix ?? ''}verdict-drops:${kind}`
  // True while a drop may have missed Redis: what it holds is passed over until the floor has been raised.
  let behind = false
  let cancelRetry: (() => void) | undefined

  /** Rejects when Redis did not take it. */
  async function store(name: string, verdict: Verdict<T>, epoch: string): Promise<void> {
    const stored: Stored<T> = { ...verdict, epoch: Number(epoch) }
    const ttlMs = verdict.value === null ? REFUSED_TTL_MS : REDIS_TTL_MS
    const member = verdict.tenantId === null ? '' : name
    await runScript(redis, SET_IF_UNCHANGED, [epochKey, verdictKey(name), membersKey(verdict.tenantId ?? 'none')], [epoch, JSON.stringify(stored), ttlMs, member, REDIS_TTL_MS])
  }

  async function apply(drop: Drop): Promise<void> {
    const members = drop.tenantId === undefined ? [] : await redis.smembers(membersKey(drop.tenantId))
    const gone = [...(drop.names ?? []), ...members].map(verdictKey)
    const work = redis.multi().incr(epochKey)
    if (gone.length > 0) work.del(gone)
    await work.publish(channel, JSON.stringify(drop)).exec()
  }

  async function recover(): Promise<void> {
    cancelRetry?.()
    if (!behind) return
    try {
      await redis.set(floorKey, await redis.incr(epochKey))
      await redis.publish(channel, JSON.stringify({ all: true } satisfies Drop))
      behind = false
    } catch {
      cancelRetry = clock.after(RECOVER_EVERY_MS, () => void recover())
    }
  }
  const fallBehind = () => {
    if (behind) return
    behind = true
    log.warn({ kind }, 'Redis is away: cached verdicts are passed over until it answers')
    cancelRetry = clock.after(RECOVER_EVERY_MS, () => void recover())
  }
  const onMessage = (from: string, text: string) => {
    if (from === channel) forget(JSON.parse(text) as Drop)
  }
  const listen = () => void subscriber.subscribe(channel).catch((err: unknown) => log.warn({ err, kind }, 'drops of other processes are not heard'))
  subscriber.on('message', onMessage).on('ready', listen)
  if (subscriber.status === 'ready') listen()
  redis.on('close', fallBehind)

  return {
    async readThrough(name: string, load: () => Promise<Verdict<T>>): Promise<Verdict<T>> {
      if (behind) return load()
      const found = await redis.mget(verdictKey(name), epochKey, floorKey).catch(() => null)
      if (found === null) return load()
      const [cached, epoch, floor] = found
      const stored = typeof cached === 'string' ? (JSON.parse(cached) as Stored<T>) : null
      if (stored !== null && stored.epoch >= Number(floor ?? 0)) return stored
      const verdict = await load()
      // Whoever asked does not wait until the others know.
      void store(name, verdict, epoch ?? '0').catch(() => {})
      return verdict
    },
    async publish(drop: Drop): Promise<void> {
      forget(drop)
      await apply(drop).catch(fallBehind)
    },
    async close(): Promise<void> {
      cancelRetry?.()
      behind = false
      subscriber.off('message', onMessage).off('ready', listen)
      redis.off('close', fallBehind)
      await subscriber.unsubscribe(channel).catch(() => {})
    },
  }
}
