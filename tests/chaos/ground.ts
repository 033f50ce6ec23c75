import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { join } from 'node:path'
import { migrate } from '@trunkline/db'
import pg from 'pg'
import { startPostgres, type RunningPostgres } from '../../apps/standalone/src/infra/postgres.ts'
import { startRedis, type RunningRedis } from '../../apps/standalone/src/infra/redis.ts'
import { redisCommand } from '../harness/probe.ts'
import { takeSlot } from '../harness/slot.ts'

const DATA = fileURLToPath(new URL('../../.data/chaos', import.meta.url))
export const SECRET = 'chaos-secret-chaos-secret-chaos-secret-0'

/** A Postgres and a Redis of our own, which may be killed. Ports stay the same over a restart. */
export type Ground = {
  /** Migrated, empty, the superuser's URL. */
  freshDatabase(): Promise<string>
  redisUrl: string
  emptyRedis(): Promise<void>
  /** kill -9, then the same data on the same port again. `meanwhile` runs while nobody listens. */
  killRedis(meanwhile?: () => Promise<unknown>): Promise<void>
  /** "Immediate shutdown": every backend ends at once, nothing is written; the next start recovers from the log. */
  killPostgres(meanwhile?: () => Promise<unknown>): Promise<void>
  close(): Promise<void>
}

export async function openGround(): Promise<Ground> {
  const slot = await takeSlot()
  const folder = join(DATA, `slot-${slot.index}`)
  let postgres: RunningPostgres = await beginPostgres(folder)
  let redis: RunningRedis = await startRedis({ dataDir: join(folder, 'redis'), fresh: true })
  const [postgresPort, redisPort] = [portOf(postgres.url), portOf(redis.url)]
  const databases: string[] = []

  return {
    redisUrl: redis.url,
    async freshDatabase() {
      const name = `chaos_${randomBytes(6).toString('hex')}`
      await asAdmin(postgres.url, `CREATE DATABASE ${name}`)
      databases.push(name)
      const url = new URL(postgres.url)
      url.pathname = `/${name}`
      await migrate(url.href, SECRET)
      return url.href
    },
    async emptyRedis() {
      await redisCommand(redis.url, 'FLUSHALL')
    },
    async killRedis(meanwhile) {
      process.kill(redis.pid, 'SIGKILL')
      await redis.exited
      await meanwhile?.()
      redis = await startRedis({ dataDir: join(folder, 'redis'), port: redisPort })
    },
    async killPostgres(meanwhile) {
      process.kill(postgres.pid, 'SIGQUIT')
      await postgres.exited
      await meanwhile?.()
      postgres = await beginPostgres(folder, postgresPort)
    },
    async close() {
      for (const name of databases) await asAdmin(postgres.url, `DROP DATABASE IF EXISTS ${name} WITH (FORCE)`).catch(() => {})
      await Promise.all([postgres.stop(), redis.stop()])
      await slot.release()
    },
  }
}

const beginPostgres = (folder: string, port?: number) =>
  startPostgres({ dataDir: join(folder, 'postgres'), settings: { max_connections: '100', shared_buffers: '64MB' }, ...(port === undefined ? {} : { port }) })

const portOf = (url: string): number => Number(new URL(url).port)

async function asAdmin(url: string, statement: string): Promise<void> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  const ended = once(client, 'end')
  try {
    await client.query(statement)
  } finally {
    await client.end()
    await ended
  }
}
