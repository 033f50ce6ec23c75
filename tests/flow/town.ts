import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { buildApp, compose, readEnv as readApiEnv } from '@trunkline/app-api'
import { startSandbox, type Sandbox, type SandboxOptions } from '@trunkline/app-sandbox'
import { composeWorker, readEnv as readWorkerEnv, type Worker } from '@trunkline/app-worker'
import { silentLogger, type Clock, type Logger } from '@trunkline/core'
import { connectDb, type Db } from '@trunkline/db'
import { freshDatabase, TEST_SECRET } from '../harness/database.ts'
import { freshRedis } from '../harness/redis.ts'
import { openBusiness, type Business } from './business.ts'
import { environmentOf } from './environment.ts'
import { watchDatabase, type Watch } from './watch.ts'

/** The whole system in this process, over real HTTP, Postgres and Redis, with the sandbox as the outside world. */
export type Town = Watch & {
  apiUrl: string
  sandbox: Sandbox
  /** As the apps see the database. */
  db: Db
  worker: Worker
  databaseUrl: string
  redis: { url: string; prefix: string }
  /** Of all apps, as an operator would write it. */
  environment: Record<string, string>
  mediaDir: string
  /** Signs up a tenant through the API. */
  business(name?: string): Promise<Business>
  close(): Promise<void>
}

export type TownOptions = {
  /** More environment, of api and worker alike. */
  settings?: Record<string, string>
  sandbox?: SandboxOptions
  /** Telephone numbers are at the sandbox's carriers. */
  carriers?: boolean
  log?: Logger
  /** The worker's. */
  clock?: Clock
}

export async function openTown(options: TownOptions = {}): Promise<Town> {
  const log = options.log ?? silentLogger
  const closers: (() => Promise<unknown>)[] = []
  const close = async () => {
    for (const closer of closers.splice(0).reverse()) await closer()
  }
  try {
    const database = await freshDatabase()
    closers.push(() => database.drop())
    const folder = await mkdtemp(join(tmpdir(), 'trunkline-town-'))
    closers.push(() => rm(folder, { recursive: true, force: true }))
    const sandbox = await startSandbox(options.sandbox)
    closers.push(() => sandbox.close())
    const watch = await watchDatabase(database.url)
    closers.push(() => watch.close())
    const db = connectDb({ url: database.url, secret: TEST_SECRET, maxConnections: 2 })
    closers.push(() => db.close())

    const redis = freshRedis()
    const environment = environmentOf(sandbox, { TRUNKLINE_SECRETS: TEST_SECRET, DATABASE_URL: database.url, REDIS_URL: redis.url, REDIS_PREFIX: redis.prefix, MEDIA_DIR: folder, ...(options.carriers ? { TWILIO_URL: `${sandbox.url}/twilio`, TELNYX_URL: `${sandbox.url}/telnyx` } : {}), ...options.settings })
    const worker = await composeWorker(readWorkerEnv(environment), log, options.clock)
    closers.push(() => worker.stop())
    await worker.start()
    const api = await compose(readApiEnv(environment), log)
    closers.push(() => api.close())
    const app = await buildApp(api.deps)
    closers.push(() => app.close())
    const apiUrl = await app.listen({ host: '127.0.0.1', port: Number(options.settings?.['PORT'] ?? 0) })
    return { ...watch, apiUrl, sandbox, db, worker, databaseUrl: database.url, redis, environment, mediaDir: folder, business: (name) => openBusiness({ apiUrl, sandbox }, name), close }
  } catch (error) {
    await close()
    throw error
  }
}
