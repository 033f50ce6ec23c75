import { performance } from 'node:perf_hooks'
import { Queue, Worker } from 'bullmq'
import { Redis } from 'ioredis'
import { serveJobs } from '../stage/actor.ts'
import { errands, giveAll, openDiary, type Diary, type Errand } from './diary.ts'
import { AT_ONCE, RETRY_MS, type QueueJob, type QueueResult } from './job.ts'

// BullMQ as its guide has it: one queue, one worker of concurrency 100, a fixed back-off. It keeps no order per number and stores in Redis only.

const CONCURRENCY = 100
let place: ReturnType<typeof open> | null = null
let diary: Diary | null = null

function open({ redisUrl }: QueueJob) {
  const connection = () => new Redis(redisUrl, { maxRetriesPerRequest: null })
  const queue = new Queue<Errand & { text: string }>('bench', { connection: connection(), defaultJobOptions: { attempts: 3, backoff: { type: 'fixed', delay: RETRY_MS }, removeOnComplete: true } })
  const worker = new Worker<Errand & { text: string }>(
    'bench',
    async ({ data }) => {
      diary?.attempt(data)
      diary?.done(data)
    },
    { connection: connection(), concurrency: CONCURRENCY },
  )
  worker.on('error', () => {})
  return queue
}

serveJobs<QueueJob>(async (job): Promise<QueueResult> => {
  const queue = (place ??= open(job))
  diary = openDiary(job.messages, job.numbers.length)
  const startMs = performance.now()
  await giveAll(errands(job.messages, job.numbers.length), AT_ONCE, (errand) => queue.add('message', { ...errand, text: 'When do you open, and can I bring my bike today?' }, { jobId: `${job.run}.${errand.number}.${errand.place}` }))
  const givenMs = performance.now() - startMs
  await diary.finished
  return { givenMs, elapsedMs: performance.now() - startMs, ...diary.totals() }
})
