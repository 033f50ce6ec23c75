import { performance } from 'node:perf_hooks'
import { AppError, silentLogger, systemClock, type InboundMessage } from '@trunkline/core'
import { connectDb, connectRedis, createAcceptor, createBatcher, createDrainer, createKeyring, redisReady, retireTurns, type NumberRef, type QueuedTurn, type TurnHandler } from '@trunkline/db'
import { serveJobs } from '../stage/actor.ts'
import { SECRET } from '../stage/stack.ts'
import { errands, giveAll, openDiary, type Diary, type Errand } from './diary.ts'
import { AT_ONCE, RETRY_MS, type QueueJob, type QueueResult } from './job.ts'

// Our queue as api and worker use it, accepting and draining in one process: what is given is committed in PostgreSQL before
// `accept` resolves, and what is done is retired there.

let place: ReturnType<typeof open> | null = null
let round: { run: string; diary: Diary } | null = null

async function open({ databaseUrl, redisUrl }: QueueJob) {
  const redis = connectRedis({ url: redisUrl })
  await redisReady(redis, 5_000)
  const db = connectDb({ url: databaseUrl, secret: SECRET, maxConnections: 10 })
  const deps = { db, redis, keyring: createKeyring([SECRET]), clock: systemClock, log: silentLogger }
  const retire = createBatcher<QueuedTurn, boolean>({
    maxSize: 200,
    maxInFlight: 2,
    run: async (turns) => {
      const refused = await db.system('queue', (tx) => retireTurns(tx, [...turns]))
      return turns.map((turn) => !refused.has(turn.numberId))
    },
  })
  const drainer = createDrainer({ ...deps, handler: handlerOf((turn) => retire.add(turn)), limits: { retryBaseMs: RETRY_MS, retryMaxMs: RETRY_MS } })
  await drainer.start()
  return createAcceptor(deps, { capacity: 1_000_000 })
}

function handlerOf(retire: (turn: QueuedTurn) => Promise<boolean>): TurnHandler {
  return {
    async answer(turn) {
      for (const errand of errandsOf(turn)) round?.diary.attempt(errand)
      return 'ready'
    },
    async send(turn) {
      if (!(await retire(turn))) throw new AppError('fenced')
      for (const errand of errandsOf(turn)) round?.diary.done(errand)
      return 'retired'
    },
    park: () => Promise.reject(new Error('nothing is parked in this bench')),
  }
}

const errandsOf = (turn: QueuedTurn): Errand[] =>
  turn.items.map((item) => {
    const [, number, place] = item.message.providerMessageId.split('.')
    return { number: Number(number), place: Number(place) }
  })

const messageOf = (run: string, { number, place }: Errand): InboundMessage => ({
  kind: 'message',
  to: 'bench',
  atMs: Date.now(),
  providerMessageId: `${run}.${number}.${place}`,
  from: { identities: [{ kind: 'phone', value: `49${place % 5}` }] },
  content: { kind: 'text', text: 'When do you open, and can I bring my bike today?' },
})

serveJobs<QueueJob>(async (job): Promise<QueueResult> => {
  const acceptor = await (place ??= open(job))
  const diary = openDiary(job.messages, job.numbers.length)
  round = { run: job.run, diary }
  const startMs = performance.now()
  await giveAll(errands(job.messages, job.numbers.length), AT_ONCE, (errand) => acceptor.accept(job.numbers[errand.number] as NumberRef, [messageOf(job.run, errand)]))
  const givenMs = performance.now() - startMs
  await diary.finished
  return { givenMs, elapsedMs: performance.now() - startMs, ...diary.totals() }
})
