import { chmodSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { connectDb, createKeyring, migrate, type Db, type Keyring } from '@trunkline/db'
import { startPostgres } from '../../apps/standalone/src/infra/postgres.ts'
import { startRedis } from '../../apps/standalone/src/infra/redis.ts'
import { freePort, spawnNode, type SpawnedNode } from '../../tests/harness/processes.ts'
import type { Watched } from '../measure/process.ts'

/** Of this bench only; the database ends with it. */
export const SECRET = 'the-secret-of-a-benchmark-and-of-nothing-else'

export type Server = Watched & { url: string; process: SpawnedNode }

/** Real servers, each a process of its own. Durability of PostgreSQL as the factory set it; Redis keeps an append-only file. */
export type Stack = {
  folder: string
  databaseUrl: string
  redisUrl: string
  postgres: Watched
  redis: Watched
  db: Db
  keyring: Keyring
  api(settings?: Record<string, string>): Promise<Server>
  worker(settings?: Record<string, string>): Promise<Server>
  voice(settings?: Record<string, string>): Promise<Server>
  sandbox(settings?: Record<string, string>): Promise<Server & { mailPort: number }>
  stop(server: Server): Promise<void>
  close(): Promise<void>
}

const ENTRIES = { api: '../../apps/api/src/main.ts', worker: '../../apps/worker/src/main.ts', voice: '../../apps/voice/src/main.ts', sandbox: '../../apps/sandbox/src/main.ts' }

export async function openStack(): Promise<Stack> {
  const folder = mkdtempSync(join(tmpdir(), 'trunkline-bench-'))
  chmodSync(folder, 0o755) // PostgreSQL's user must be able to enter when the bench runs as root.
  const closers: (() => Promise<unknown>)[] = [async () => rmSync(folder, { recursive: true, force: true })]
  const postgres = await startPostgres({ dataDir: join(folder, 'postgres') })
  closers.push(() => postgres.stop())
  const redis = await startRedis({ dataDir: join(folder, 'redis') })
  closers.push(() => redis.stop())
  await migrate(postgres.url, SECRET)
  const db = connectDb({ url: postgres.url, secret: SECRET, maxConnections: 4, statementTimeoutMs: 120_000 })
  closers.push(() => db.close())
  const running = new Set<Server>()
  closers.push(() => Promise.all([...running].map((server) => server.process.stop())))
  let sandbox: (Server & { mailPort: number }) | null = null

  const environment = (): Record<string, string> => ({
    DATABASE_URL: postgres.url,
    REDIS_URL: redis.url,
    TRUNKLINE_SECRETS: SECRET,
    LOG_LEVEL: 'error',
    MEDIA_DIR: join(folder, 'media'),
    SMTP_URL: `smtp://127.0.0.1:${sandbox?.mailPort ?? 1}`,
    ...(sandbox ? { GRAPH_URL: sandbox.url, OPENAI_API_KEY: 'sandbox', OPENAI_BASE_URL: `${sandbox.url}/v1`, PRIVATE_ADDRESSES: new URL(sandbox.url).host } : {}),
  })

  async function start(name: keyof typeof ENTRIES, settings: Record<string, string>): Promise<Server & { ready: Record<string, unknown> }> {
    const child = spawnNode(fileURLToPath(new URL(ENTRIES[name], import.meta.url)), settings)
    const [line] = await child.line(/^\{.*"ready".*\}$/)
    const ready = JSON.parse(line) as Record<string, unknown>
    const server = { name, pid: child.pid, url: String(ready.url), process: child, ready }
    running.add(server)
    return server
  }

  mkdirSync(join(folder, 'media'))
  return {
    folder,
    databaseUrl: postgres.url,
    redisUrl: redis.url,
    postgres: { name: 'postgres', pid: postgres.pid, tree: true },
    redis: { name: 'redis', pid: redis.pid },
    db,
    keyring: createKeyring([SECRET]),
    api: (settings = {}) => start('api', { ...environment(), PORT: '0', API_PROCESSES: '1', ...settings }),
    worker: (settings = {}) => start('worker', { ...environment(), WORKER_PORT: '0', ...settings }),
    // Carriers sign the address of a media socket: it has to be known beforehand.
    voice: async (settings = {}) => {
      const port = String(await freePort())
      return start('voice', { ...environment(), VOICE_PORT: port, VOICE_PUBLIC_URL: `http://127.0.0.1:${port}`, SPEECH_DIR: join(folder, 'speech'), ...settings })
    },
    async sandbox(settings = {}) {
      const server = await start('sandbox', { SANDBOX_PORT: '0', SANDBOX_MAIL_PORT: '0', ...settings })
      sandbox = { ...server, mailPort: Number(server.ready.mail_port) }
      return sandbox
    },
    async stop(server) {
      await server.process.stop()
      running.delete(server)
    },
    async close() {
      for (const closer of closers.splice(0).reverse()) await closer()
    },
  }
}

/** Opens a stack, runs the work and closes it whatever happens. */
export async function withStack<T>(work: (stack: Stack) => Promise<T>): Promise<T> {
  const stack = await openStack()
  try {
    return await work(stack)
  } finally {
    await stack.close()
  }
}
