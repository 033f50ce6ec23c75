import { createHash } from 'node:crypto'
import { performance } from 'node:perf_hooks'
import { AppError, silentLogger, systemClock } from '@trunkline/core'
import { connectDb, connectRedis, createAccess, createKeyring, createLimiter, redisReady, type Access, type Limiter } from '@trunkline/db'
import pg from 'pg'
import { summarise, type Latencies } from '../measure/statistics.ts'
import { serveJobs } from '../stage/actor.ts'
import { SECRET } from '../stage/stack.ts'
import { atPace } from './pace.ts'
import type { Admission } from './windows.ts'

// One process as the API is one: its own connections, its own copies of a second.

/** One kind of key and how much of the traffic it is. Keys are taken in turn, so as many keys as checks are all cold. */
export type KeyClass = { name: string; keys: string[]; share: number }
export type AskerJob =
  | { do: 'connect'; databaseUrl: string; redisUrl: string }
  | { do: 'check'; perSecond: number; durationMs: number; classes: KeyClass[] }
  | { do: 'burst'; what: 'ours' | 'select'; keys: string[]; count: number }
  | { do: 'nothing'; perSecond: number; durationMs: number }
  | { do: 'limit'; perSecond: number; durationMs: number; keys: number; limit: number; windowMs: number; hotShare: number }
export type Checked = Record<string, { latency: Latencies; passed: number; refused: number; failed: number }>
export type Limited = { latency: Latencies; admitted: Record<string, Admission[]>; asked: number }

type Place = { access: Access; limiter: Limiter; fallbacks: () => number; pool: pg.Pool }
let place: Place

serveJobs<AskerJob>(async (job) => {
  if (job.do === 'connect') return connect(job)
  if (job.do === 'check') return check(job)
  if (job.do === 'nothing') return nothing(job)
  return job.do === 'burst' ? burst(job) : limit(job)
})

async function connect({ databaseUrl, redisUrl }: { databaseUrl: string; redisUrl: string }): Promise<null> {
  const [redis, subscriber] = [connectRedis({ url: redisUrl }), connectRedis({ url: redisUrl })]
  await Promise.all([redisReady(redis, 5_000), redisReady(subscriber, 5_000)])
  const db = connectDb({ url: databaseUrl, secret: SECRET })
  const access = createAccess({ db, redis, subscriber, keyring: createKeyring([SECRET]), clock: systemClock, log: silentLogger })
  let fallbacks = 0
  place = { access, limiter: createLimiter({ redis, processes: 2, onFallback: () => (fallbacks += 1) }), fallbacks: () => fallbacks, pool: new pg.Pool({ connectionString: databaseUrl, max: 10 }) }
  return null
}

/** How late this machine lets a process be that has nothing to do: what a latency measured beside it cannot be better than. */
async function nothing({ perSecond, durationMs }: Extract<AskerJob, { do: 'nothing' }>): Promise<Latencies> {
  const ms = new Float64Array((perSecond * durationMs) / 1_000)
  await atPace(perSecond, ms.length, async (n, dueMs) => {
    ms[n] = performance.now() - dueMs
  })
  return summarise(ms)
}

type Tally = { keys: string[]; share: number; ms: Float64Array; begun: number; passed: number; refused: number; failed: number }

async function check({ perSecond, durationMs, classes }: Extract<AskerJob, { do: 'check' }>): Promise<Checked> {
  const total = (perSecond * durationMs) / 1_000
  const tallies = classes.map(({ keys, share }): Tally => ({ keys, share, ms: new Float64Array(Math.ceil(share * total) + 1), begun: 0, passed: 0, refused: 0, failed: 0 }))
  await atPace(perSecond, total, async (n, dueMs) => {
    const tally = furthestBehind(tallies, n)
    const nth = tally.begun++
    tally[await ask(tally.keys[nth % tally.keys.length]!)] += 1
    tally.ms[nth] = performance.now() - dueMs
  })
  return Object.fromEntries(classes.map(({ name }, at) => {
    const { ms, begun, passed, refused, failed } = tallies[at]!
    return [name, { latency: summarise(ms.subarray(0, begun)), passed, refused, failed }]
  }))
}

/** Classes are mixed evenly: each piece of work goes to the one that is furthest behind its share. */
function furthestBehind(tallies: readonly Tally[], n: number): Tally {
  let most = tallies[0]!
  for (const tally of tallies) if (tally.share * (n + 1) - tally.begun > most.share * (n + 1) - most.begun) most = tally
  return most
}

const ask = (key: string): Promise<'passed' | 'refused' | 'failed'> =>
  place.access.keys.check(key).then(() => 'passed' as const, (error: unknown) => (error instanceof AppError && error.code === 'invalid_api_key' ? ('refused' as const) : ('failed' as const)))

/** As fast as 32 at once go; `select` is what many APIs do: a SHA-256 and one indexed look-up in every request. */
async function burst({ what, keys, count }: Extract<AskerJob, { do: 'burst' }>): Promise<number> {
  const select = { name: 'by-digest', text: 'SELECT id, tenant_id, project_id, scopes FROM bench_keys WHERE digest = $1 AND revoked_at IS NULL' }
  const startMs = performance.now()
  let next = 0
  await Promise.all(Array.from({ length: 32 }, async () => {
    while (next < count) {
      const key = keys[next++ % keys.length]!
      if (what === 'ours') await place.access.keys.check(key)
      else await place.pool.query({ ...select, values: [createHash('sha256').update(key).digest()] })
    }
  }))
  return performance.now() - startMs
}

/** The monotonic clock of the machine: the same in every process. */
const sharedMs = () => Number(process.hrtime.bigint()) / 1e6

/** The hot key is the first; of the others each is asked for as often. */
const HOT_KEY = 0

async function limit(job: Extract<AskerJob, { do: 'limit' }>): Promise<Limited> {
  const { perSecond, durationMs, keys, windowMs, hotShare } = job
  const total = (perSecond * durationMs) / 1_000
  const [ms, askedMs, toldMs] = [new Float64Array(total), new Float64Array(total), new Float64Array(total)]
  const [keyOf, isAllowed] = [new Uint32Array(total), new Uint8Array(total)]
  const before = place.fallbacks()
  await atPace(perSecond, total, async (n, dueMs) => {
    keyOf[n] = n % Math.round(1 / hotShare) === 0 ? HOT_KEY : 1 + Math.floor(Math.random() * keys)
    askedMs[n] = sharedMs()
    const { allowed } = await place.limiter.check([{ name: 'project', key: `k${keyOf[n]}`, limit: job.limit, windowMs }])
    toldMs[n] = sharedMs()
    isAllowed[n] = allowed ? 1 : 0
    ms[n] = performance.now() - dueMs
  })
  if (place.fallbacks() > before) throw new Error('Redis did not answer in time: these checks say nothing about the shared limit')
  const admitted: Record<string, Admission[]> = {}
  for (let n = 0; n < total; n++) if (isAllowed[n]) (admitted[keyOf[n]!] ??= []).push({ askedMs: askedMs[n]!, toldMs: toldMs[n]! })
  return { latency: summarise(ms), admitted, asked: total }
}
