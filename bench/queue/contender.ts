import { createBatcher, createAcceptor, createDrainer, connectDb, connectRedis, createKeyring, redisReady, retireTurns, type NumberRef, type QueuedTurn } from '@trunkline/db'
import { AppError, silentLogger, systemClock, type InboundMessage } from '@trunkline/core'
import { Queue, Worker } from 'bullmq'
import { Redis } from 'ioredis'
import { serveJobs } from '../stage/actor.ts'
import { countDisorder, type Done } from './order.ts'

/** One process that both brings and works off messages: through our queue, or through a bare BullMQ queue. */
export type ContenderJob =
  | { do: 'connect'; kind: 'trunkline' | 'bullmq'; databaseUrl: string; redisUrl: string; secret: string; numbers: NumberRef[] }
  | { do: 'round'; run: string; messages: number }
export type ContenderRound = { elapsedMs: number; handled: number; firstTriesFailed: number; disorder: number }

type Contender = { bring(nth: number, run: string): Promise<unknown>; idle(): Promise<void> }
/** In flight at once while they are brought, for both. */
const BRINGING = 500
const CONCURRENCY = 100
const FAILING_SHARE = 20 // Every twentieth: 5 %.
const TEXT = 'When do you open, and can I bring my bike in today? It is the blue one with the bent wheel that I had in last spring already.'

let contender: Contender
let numbers: NumberRef[] = []
let round: { done: Done[]; failed: Set<string>; wanted: number; over: () => void } | null = null

/** A number's messages come in fives, as people write: that is where order can be lost. */
const TOGETHER = 5
const place = (nth: number) => Math.floor(nth / TOGETHER) % numbers.length
const idOf = (run: string, nth: number) => `${run}.${nth}`
const fails = (id: string) => Number(id.slice(id.lastIndexOf('.') + 1)) % FAILING_SHARE === 0

/** The handler of both: nothing to do, but every twentieth message fails when it is first tried. */
function handle(number: string, id: string): void {
  if (fails(id) && !round!.failed.has(id)) {
    round!.failed.add(id)
    throw new Error('the first try fails')
  }
}

function noteDone(number: string, id: string): void {
  round!.done.push({ number, nth: Number(id.slice(id.lastIndexOf('.') + 1)) })
  if (round!.done.length >= round!.wanted) round!.over()
}

async function ours(job: Extract<ContenderJob, { do: 'connect' }>): Promise<Contender> {
  const db = connectDb({ url: job.databaseUrl, secret: job.secret })
  const redis = connectRedis({ url: job.redisUrl })
  await redisReady(redis, 5_000)
  const deps = { db, redis, keyring: createKeyring([job.secret]), clock: systemClock, log: silentLogger }
  const acceptor = createAcceptor(deps, { capacity: 1_000_000 })
  const retirer = createBatcher<QueuedTurn, boolean>({
    maxSize: 500,
    maxInFlight: 2,
    restMs: 4,
    run: (turns) => db.system('queue', async (tx) => {
      const fenced = await retireTurns(tx, [...turns])
      return turns.map((turn) => fenced.has(turn.numberId))
    }),
  })
  const drainer = createDrainer({
    ...deps,
    limits: { retryBaseMs: 5, turnCap: 1 },
    handler: {
      async answer(turn) {
        for (const { message } of turn.items) handle(turn.numberId, message.providerMessageId)
        return 'ready'
      },
      async send(turn) {
        if (await retirer.add(turn)) throw new AppError('fenced')
        for (const { message } of turn.items) noteDone(turn.numberId, message.providerMessageId)
        return 'retired'
      },
      async park() {
        throw new Error('Nothing is parked here.')
      },
    },
  })
  await drainer.start()
  const message = (nth: number, run: string): InboundMessage => ({
    kind: 'message', to: 'address', atMs: Date.now(), providerMessageId: idOf(run, nth), from: { identities: [{ kind: 'phone', value: `49${nth}` }] }, content: { kind: 'text', text: TEXT },
  })
  return { bring: (nth, run) => acceptor.accept(numbers[place(nth)]!, [message(nth, run)]), idle: () => acceptor.idle() }
}

async function bullmq({ redisUrl }: Extract<ContenderJob, { do: 'connect' }>): Promise<Contender> {
  const connection = () => new Redis(redisUrl, { maxRetriesPerRequest: null })
  const queue = new Queue('bench', { connection: connection(), defaultJobOptions: { attempts: 2, removeOnComplete: true } })
  const worker = new Worker<{ number: string; id: string }>('bench', async ({ data }) => handle(data.number, data.id), { connection: connection(), concurrency: CONCURRENCY })
  worker.on('completed', ({ data }) => noteDone(data.number, data.id))
  await Promise.all([queue.waitUntilReady(), worker.waitUntilReady()])
  return { bring: (nth, run) => queue.add('message', { number: numbers[place(nth)]!.id, id: idOf(run, nth), from: `49${nth}`, text: TEXT }), idle: async () => {} }
}

async function runRound(run: string, messages: number): Promise<ContenderRound> {
  const startMs = performance.now()
  const { promise, resolve } = Promise.withResolvers<void>()
  round = { done: [], failed: new Set(), wanted: messages, over: resolve }
  let next = 0
  await Promise.all(Array.from({ length: BRINGING }, async () => {
    while (next < messages) await contender.bring(next++, run)
  }))
  await promise
  const elapsedMs = performance.now() - startMs
  await contender.idle()
  return { elapsedMs, handled: round.done.length, firstTriesFailed: round.failed.size, disorder: countDisorder(round.done) }
}

serveJobs<ContenderJob>(async (job) => {
  if (job.do === 'round') return runRound(job.run, job.messages)
  numbers = job.numbers
  contender = await (job.kind === 'trunkline' ? ours(job) : bullmq(job))
  return null
})
