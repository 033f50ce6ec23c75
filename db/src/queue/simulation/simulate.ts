import { AppError, silentLogger, type Clock, type Id, type InboundMessage } from '@trunkline/core'
import type { QueuedTurn, TurnHandler } from '../contract.ts'
import { createDrain, type Drain, type LaneStore, type Wakes } from '../drain.ts'
import { DEFAULT_LIMITS, type LaneSettings } from '../order.ts'
import { Broken, createPostgres, type Postgres } from './postgres.ts'
import { createRedis, type Redis } from './redis.ts'
import { createRandom, createScheduler, deliver, machineClock, type Machine, type Random, type Scheduler } from './scheduler.ts'

export type SimulationOptions = {
  workers?: number
  numbers?: number
  messages?: number
  /** Chance of each fault in a step of its kind, 0 (none) to 1. Default 1: the usual mix. */
  trouble?: number
  /** Default true. Without it only the wake-ups themselves bring messages to workers. */
  sweeper?: boolean
}
export type SimulationReport = { seed: number; messages: number; turnsSent: number; refusedCommits: number; claims: number; crashes: number; freezes: number; redisLosses: number; events: number; simulatedMs: number }

const START_MS = 1_800_000_000_000
const ARRIVALS_MS = 20_000
const LIMIT_MS = 900_000
const LEASE_MS = 3_000
const LIMITS = { ...DEFAULT_LIMITS, turnCap: 6 }
const READ_LIMIT = 12

type World = {
  random: Random
  scheduler: Scheduler
  postgres: Postgres
  redis: Redis
  workers: Worker[]
  /** Bodies that left for the supplier, by turn. */
  sent: Map<string, number>
  redisAway: boolean
  postgresAway: boolean
  trouble: number
  broken: Error | null
  settings: ReadonlyMap<Id, LaneSettings>
  /** Some handler ignores its signal: it may run beside the turn that took its place. */
  hung: boolean
  counts: { crashes: number; freezes: number; redisLosses: number }
}
type Worker = { machine: Machine; owner: string; drain: Drain; onWake: ((news: { numberId: Id; count: number } | null) => void) | null; answering: Map<string, number> }

/**
 * Plays workers, Postgres, Redis, suppliers and their faults from one seed and drives the real drainer and the real order
 * machine. Throws an error that names the seed when a promise of the queue is broken: a message lost or retired twice, an
 * order violated, a turn sent twice, a group changed, a conversation served twice at once, a window exceeded, a standstill.
 */
export async function simulate(seed: number, options: SimulationOptions = {}): Promise<SimulationReport> {
  const world = createWorld(seed, options)
  try {
    return await play(world, seed)
  } catch (cause) {
    throw new Error(`seed ${seed}: ${cause instanceof Error ? cause.message : String(cause)}`, { cause })
  }
}

function createWorld(seed: number, options: SimulationOptions): World {
  const random = createRandom(seed)
  const scheduler = createScheduler(START_MS)
  const numbers = Array.from({ length: options.numbers ?? random.between(1, 4) }, (_, index) => `n${index}`)
  const settings = new Map(numbers.map((id) => [id, laneSettings(random)]))
  const postgres = createPostgres(settings, LIMITS.turnCap)
  const world: World = {
    random,
    scheduler,
    postgres,
    redis: createRedis(() => scheduler.nowMs(), (owner, numberId, count) => tellOwner(world, owner, numberId, count)),
    workers: [],
    sent: new Map(),
    redisAway: false,
    postgresAway: false,
    trouble: options.trouble ?? 1,
    broken: null,
    settings,
    hung: false,
    counts: { crashes: 0, freezes: 0, redisLosses: 0 },
  }
  for (let index = options.workers ?? random.between(1, 3); index > 0; index--) startWorker(world)
  for (let index = options.messages ?? random.between(5, 80); index > 0; index--) planArrival(world, random.pick(numbers))
  if (options.sweeper ?? true) sweepEvery(world, 2_000)
  planFaults(world)
  return world
}

const laneSettings = (random: Random): LaneSettings => ({
  orderMode: random.chance(0.7) ? 'number' : 'conversation',
  windowSize: random.between(1, 4),
  coalesceMs: random.pick([0, 0, 500, 1_000]),
  headDeadlineMs: 20_000,
})

async function play(world: World, seed: number): Promise<SimulationReport> {
  const { counts } = world.postgres
  const allDone = () => world.broken !== null || (world.scheduler.nowMs() > START_MS + ARRIVALS_MS && counts.retired === counts.accepted)
  const events = await world.scheduler.run(START_MS + LIMIT_MS, allDone)
  if (world.broken) throw world.broken
  if (counts.retired !== counts.accepted) throw new Broken(`${counts.retired} of ${counts.accepted} messages were retired: ${JSON.stringify(world.workers.map((worker) => worker.drain.stats()))}`)
  for (const [turn, times] of world.sent) if (times > 1) throw new Broken(`turn ${turn} was sent ${times} times`)
  return { seed, messages: counts.accepted, turnsSent: world.sent.size, refusedCommits: counts.refused, claims: counts.claims, ...world.counts, events, simulatedMs: world.scheduler.nowMs() - START_MS }
}

// ── Traffic and faults ──────────────────────────────────────────────────────────────────────────────────────────────────
function planArrival({ random, scheduler, ...world }: World, numberId: Id): void {
  const conversation = `c${random.between(0, 3)}`
  scheduler.at(START_MS + random.between(0, ARRIVALS_MS), () => {
    world.postgres.accept(numberId, conversation, scheduler.nowMs())
    // The acceptor may die between its commit and its wake-up.
    if (!random.chance(0.05 * world.trouble)) scheduler.at(scheduler.nowMs() + random.between(0, 20), () => world.redisAway || world.redis.wake(numberId))
  })
}

function sweepEvery(world: World, everyMs: number): void {
  world.scheduler.at(world.scheduler.nowMs() + everyMs, () => {
    if (!world.redisAway && !world.postgresAway) world.redis.wakeIdle(world.postgres.waiting())
    sweepEvery(world, everyMs)
  })
}

/** Faults stop a while after the last arrival, so that a standstill cannot hide behind them. */
function planFaults(world: World): void {
  const { random, scheduler } = world
  const faults = world.trouble === 0 ? 0 : random.between(0, 8)
  for (let index = 0; index < faults; index++) {
    scheduler.at(START_MS + random.between(0, ARRIVALS_MS + 10_000), random.pick([crash, freeze, freeze, restart, loseRedis, losePostgres]).bind(null, world))
  }
}

function crash(world: World): void {
  const worker = world.random.pick(world.workers)
  worker.machine.alive = false
  world.workers.splice(world.workers.indexOf(worker), 1)
  world.counts.crashes += 1
  world.scheduler.at(world.scheduler.nowMs() + world.random.between(0, 5_000), () => startWorker(world))
  if (world.workers.length === 0) startWorker(world)
}

function freeze(world: World): void {
  const { machine } = world.random.pick(world.workers)
  machine.frozenUntilMs = world.scheduler.nowMs() + world.random.between(100, 3 * LEASE_MS)
  world.counts.freezes += 1
}

/** SIGTERM: the old one drains while a new one takes over. */
function restart(world: World): void {
  const worker = world.random.pick(world.workers)
  startWorker(world)
  void worker.drain.stop({ deadlineMs: world.random.between(0, 5_000) }).then(() => {
    const at = world.workers.indexOf(worker)
    if (at >= 0) world.workers.splice(at, 1)
    if (world.workers.length === 0) startWorker(world)
    if (worker.drain.stats().lanes > 0) world.broken ??= new Broken('a worker stopped with lanes in its hands')
  })
}

function loseRedis(world: World): void {
  world.counts.redisLosses += 1
  if (world.random.chance(0.7)) world.redis.empty()
  if (world.random.chance(0.5)) return
  world.redisAway = true
  world.redis.cut()
  world.scheduler.at(world.scheduler.nowMs() + world.random.between(50, 2 * LEASE_MS), () => {
    world.redisAway = false
    for (const worker of world.workers) deliver(world.scheduler, worker.machine, world.scheduler.nowMs() + 20, () => worker.onWake?.(null))
  })
}

function losePostgres(world: World): void {
  world.postgresAway = true
  world.scheduler.at(world.scheduler.nowMs() + world.random.between(50, 3_000), () => (world.postgresAway = false))
}

function tellOwner(world: World, owner: string, numberId: Id, count: number): void {
  const worker = world.workers.find((candidate) => candidate.owner === owner)
  if (worker && !world.random.chance(0.05 * world.trouble)) deliver(world.scheduler, worker.machine, world.scheduler.nowMs() + world.random.between(0, 30), () => worker.onWake?.({ numberId, count }))
}

// ── A worker ────────────────────────────────────────────────────────────────────────────────────────────────────────────
let owners = 0

function startWorker(world: World): void {
  const { scheduler, random } = world
  const machine: Machine = { alive: true, frozenUntilMs: 0, skewMs: random.chance(0.5) ? 0 : random.between(-2_000, 2_000) }
  const clock = machineClock(scheduler, machine)
  const owner = `w${owners++}`
  const call = createCalls(world, machine)
  const worker: Worker = { machine, owner, onWake: null, answering: new Map(), drain: null as unknown as Drain }
  const store: LaneStore = {
    readLimit: READ_LIMIT,
    claim: (numberIds) => call.postgres(() => world.postgres.claim(numberIds, READ_LIMIT)),
    read: (after) => call.postgres(() => world.postgres.read(after, READ_LIMIT)),
  }
  worker.drain = createDrain(
    { store, wakes: workerWakes(world, worker, call), handler: workerHandler(world, worker, call, clock), clock, log: silentLogger, open: () => ({}) as InboundMessage, defer: (delayMs, fn) => void clock.after(delayMs, fn) },
    { limits: LIMITS, leaseMs: LEASE_MS, maxTurnsInFlight: random.between(1, 8), maxLanes: random.between(1, 5), claimMax: 3, takeMs: 500 },
  )
  world.workers.push(worker)
  void worker.drain.start()
}

type Calls = { postgres<T>(run: () => T): Promise<T>; redis<T>(run: () => T): Promise<T> }

/** Round trips: time both ways, a server that is away, an answer that gets lost after the work was done. */
function createCalls(world: World, machine: Machine): Calls {
  const { scheduler, random } = world
  let redisFreeMs = 0
  function call<T>(arriveMs: number, away: () => boolean, run: () => T): Promise<T> {
    return new Promise((resolve, reject) => {
      const answer = (fn: () => void) => deliver(scheduler, machine, scheduler.nowMs() + random.between(0, 10), fn)
      scheduler.at(arriveMs, () => {
        if (away()) return answer(() => reject(new Error('away')))
        try {
          const result = run()
          if (random.chance(0.005 * world.trouble)) answer(() => reject(new Error('the answer was lost')))
          else answer(() => resolve(result))
        } catch (error) {
          if (error instanceof Broken) world.broken ??= error
          answer(() => reject(error))
        }
      })
    })
  }
  return {
    postgres: (run) => call(scheduler.nowMs() + random.between(0, 10), () => world.postgresAway, run),
    redis(run) {
      // One connection: calls arrive in the order in which they were made.
      redisFreeMs = Math.max(redisFreeMs, scheduler.nowMs() + random.between(0, 5))
      return call(redisFreeMs, () => world.redisAway, run)
    },
  }
}

function workerWakes(world: World, worker: Worker, call: Calls): Wakes {
  const { scheduler, redis } = world
  const { machine, owner } = worker
  return {
    take: (timeoutMs) =>
      new Promise((resolve, reject) => {
        if (world.redisAway) return deliver(scheduler, machine, scheduler.nowMs() + 5, () => reject(new Error('away')))
        let given = false
        const waiter = {
          give(numberId: Id) {
            given = true
            deliver(scheduler, machine, scheduler.nowMs() + 2, () => resolve(numberId))
          },
          fail: () => deliver(scheduler, machine, scheduler.nowMs() + 2, () => reject(new Error('away'))),
        }
        redis.take(waiter)
        scheduler.at(scheduler.nowMs() + timeoutMs, () => {
          redis.leave(waiter)
          if (!given) deliver(scheduler, machine, scheduler.nowMs(), () => resolve(null))
        })
      }),
    claim: (max, taken) => call.redis(() => redis.claim(owner, LEASE_MS, max, taken)),
    heartbeat: (numberIds) => call.redis(() => redis.heartbeat(owner, LEASE_MS, numberIds)),
    release: (releases) => call.redis(() => redis.release(owner, releases)),
    retired: async () => {},
    listen: async (onWake) => {
      worker.onWake = onWake
      return () => {}
    },
    interrupt() {},
  }
}

/** Follows the protocol of a real handler: a row before each step, `sending` before the request leaves, retirement at the end. */
function workerHandler(world: World, worker: Worker, call: Calls, clock: Clock): TurnHandler {
  const { random, postgres } = world
  const mood = (p: number) => random.chance(p * world.trouble)
  const pause = (ms: number) => new Promise<void>((resolve) => void clock.after(ms, resolve))

  async function think(signal: AbortSignal): Promise<void> {
    if (mood(0.01)) {
      world.hung = true
      return pause(60_000) // Ignores its signal.
    }
    const hangs = mood(0.01)
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    signal.addEventListener('abort', () => reject(signal.reason as Error))
    clock.after(hangs ? 200_000 : random.between(5, 1_500), resolve)
    return promise
  }

  return {
    async answer(turn, signal) {
      const lane = `${turn.numberId}@${turn.epoch}`
      worker.answering.set(lane, (worker.answering.get(lane) ?? 0) + 1)
      checkStart(turn, worker.answering.get(lane)!)
      try {
        if (mood(0.02)) throw new Error('no idea')
        if (mood(0.02)) return { retryAfterMs: random.between(1, 2_000) }
        await call.postgres(() => postgres.openTurn(turn.numberId, turn.epoch, turn.seqs))
        await think(signal)
        if (mood(0.05)) throw new Error('vendor failed')
        if (mood(0.03)) {
          await call.postgres(() => postgres.retire(turn.numberId, turn.epoch, turn.seqs))
          return 'retired'
        }
        await call.postgres(() => postgres.answered(turn.numberId, turn.epoch, turn.firstSeq))
        return 'ready'
      } finally {
        worker.answering.set(lane, worker.answering.get(lane)! - 1)
      }
    },
    async send(turn, signal) {
      const begun = await call.postgres(() => postgres.beginSend(turn.numberId, turn.epoch, turn.firstSeq))
      if (begun === 'sending' && !signal.aborted) await leave(turn)
      await call.postgres(() => postgres.retire(turn.numberId, turn.epoch, turn.seqs))
      return 'retired'
    },
    async park(turn) {
      if (mood(0.2)) throw new Error('cannot park now')
      await call.postgres(() => postgres.retire(turn.numberId, turn.epoch, turn.seqs))
    },
  }

  function checkStart(turn: QueuedTurn, answering: number): void {
    const { windowSize, coalesceMs } = world.settings.get(turn.numberId)!
    // One more: the head may always start, and one that was given up may still run.
    if (answering > windowSize + 1 && !world.hung) world.broken ??= new Broken(`${answering} turns of ${turn.numberId} at work in a window of ${windowSize}`)
    const early = clock.nowMs() < Math.min(turn.items[0]!.receivedAtMs, clock.nowMs()) + coalesceMs
    if (early && worker.machine.skewMs === 0 && turn.resumed === null && turn.seqs.length < LIMITS.turnCap) world.broken ??= new Broken(`turn ${turn.firstSeq} of ${turn.numberId} did not wait for its conversation`)
  }

  async function leave(turn: QueuedTurn): Promise<void> {
    await pause(random.between(0, 50))
    if (mood(0.08)) {
      await call.postgres(() => postgres.sendFailed(turn.numberId, turn.firstSeq))
      throw new AppError('upstream_failed')
    }
    const key = `${turn.numberId}:${turn.firstSeq}`
    world.sent.set(key, (world.sent.get(key) ?? 0) + 1)
    await pause(random.between(0, 300))
  }
}
