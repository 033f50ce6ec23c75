import { fileURLToPath } from 'node:url'
import { join } from 'node:path'
import type { TestProject } from 'vitest/node'
import { startPostgres, type RunningPostgres } from '../../apps/standalone/src/infra/postgres.ts'
import { startRedis, type RunningRedis } from '../../apps/standalone/src/infra/redis.ts'
import { dropLeftovers } from './database.ts'
import { databaseUrl, redisUrl } from './env.ts'
import { takeSlot } from './slot.ts'

const DATA = fileURLToPath(new URL('../../.data/test', import.meta.url))

declare module 'vitest' {
  export interface ProvidedContext {
    /** Superuser URL of the PostgreSQL of this run. Use freshDatabase() for a database to work in. */
    postgresUrl: string
    /** URL of the Redis of this run, with database 0. Use freshRedis() for a corner of your own. */
    redisUrl: string
  }
}

/**
 * One real PostgreSQL and one real Redis for the whole run, or those of TEST_DATABASE_URL (a superuser's) and
 * TEST_REDIS_URL. Data folders are kept, so that only the first run ever makes a cluster.
 */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  requireNode24()
  const slot = await takeSlot()
  const folder = join(DATA, `slot-${slot.index}`)
  const starting = [postgresFor(folder), redisFor(folder)] as const
  const stop = async (): Promise<void> => {
    const started = await Promise.allSettled(starting)
    await Promise.all(started.flatMap((server) => (server.status === 'fulfilled' ? [server.value.stop()] : [])))
    await slot.release()
  }
  const [postgres, redis] = await Promise.all(starting).catch(async (error: unknown) => {
    await stop() // A run that cannot start must not hang on the half that did.
    throw error
  })
  await dropLeftovers(postgres.url)
  project.provide('postgresUrl', postgres.url)
  project.provide('redisUrl', redis.url)
  return stop
}

type Server = Pick<RunningPostgres | RunningRedis, 'url' | 'stop'>

function postgresFor(folder: string): Promise<Server> {
  if (databaseUrl) return Promise.resolve({ url: databaseUrl, stop: async () => {} })
  return startPostgres({
    dataDir: join(folder, 'postgres'),
    log: (line) => console.log(`[harness] ${line}`),
    // A power cut may cost the data of a test run. A kill -9 of the server still loses nothing: the kernel has the pages.
    settings: { fsync: 'off', max_connections: '300' },
  })
}

function redisFor(folder: string): Promise<Server> {
  if (redisUrl) return Promise.resolve({ url: redisUrl, stop: async () => {} })
  return startRedis({ dataDir: join(folder, 'redis'), fresh: true })
}

function requireNode24(): void {
  if (Number(process.versions.node.split('.')[0]) >= 24) return
  throw new Error(`the tests need Node 24 and this is ${process.version}; run them with "npm test", or put node_modules/.bin first on PATH`)
}
