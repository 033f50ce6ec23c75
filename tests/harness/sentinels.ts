import { randomBytes } from 'node:crypto'
import { mkdirSync, writeFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { Redis } from 'ioredis'
import { findOnPath, serverEnvironment } from '../../apps/standalone/src/infra/env.ts'
import { startRedis, type RunningRedis } from '../../apps/standalone/src/infra/redis.ts'
import { supervise, type Supervised } from '../../apps/standalone/src/infra/supervise.ts'
import { freePort } from './processes.ts'

const [NAME, SENTINELS, QUORUM] = ['trunkline', 3, 2]
/** A server that says nothing for so long is down. What a running one may be late with on a busy machine is more than this only when it is frozen. */
const DOWN_AFTER_MS = 1_000
/** Sentinels leave twice that between one failover and the next. */
const FAILOVER_TIMEOUT_MS = 1_500
const SETTLE_MS = 60_000

/** Null: sentinels can be started here. Otherwise why not. */
export const noSentinels: string | null = findOnPath('redis-server') === null ? 'redis-server is not on PATH' : null

/** How the master is lost: killed, frozen (it holds its sockets and says nothing), or asked to step down. */
export type Loss = 'kill' | 'freeze' | 'ask'

/** One master, one replica and three sentinels that watch them, on 127.0.0.1. */
export type WatchedRedis = {
  /** `redis+sentinel://…` */
  url: string
  masterPort(): Promise<number>
  /** Resolves when the sentinels have made the replica the master, and what was the master is there again: to become its replica in its own time, which the next failover waits for. */
  failOver(loss: Loss): Promise<void>
  close(): Promise<void>
}

type Server = RunningRedis & { port: number; folder: string }

export async function openWatchedRedis(): Promise<WatchedRedis> {
  const folder = await mkdtemp(join(tmpdir(), 'trunkline-sentinels-'))
  const password = randomBytes(16).toString('hex')
  const sentinels: Supervised[] = []
  const servers: Server[] = []
  const ports = await Promise.all(Array.from({ length: SENTINELS }, freePort))
  const asking = (port: number, ...words: string[]) => asked(port, password, words)
  const ask = async (...words: string[]) => String(await asking(ports[0]!, 'SENTINEL', ...words))
  const masterOf = async (port: number) => Number(((await asking(port, 'SENTINEL', 'get-master-addr-by-name', NAME)) as string[])[1])

  async function start(name: string, master: number | null, port?: number): Promise<Server> {
    const own = join(folder, name)
    mkdirSync(own, { recursive: true })
    writeFileSync(join(own, 'redis.password'), password)
    const following: Record<string, string> = master === null ? {} : { replicaof: `127.0.0.1 ${master}` }
    const server = await startRedis({ dataDir: own, ...(port === undefined ? {} : { port }), settings: { masterauth: password, 'repl-diskless-sync-delay': '0', 'repl-timeout': '5', ...following } })
    return { ...server, port: Number(new URL(server.url).port), folder: name }
  }

  /** All sentinels know this master, its replica follows it, and they know enough of each other to act. */
  const settled = (master: number) =>
    until(`sentinels that agree on ${master} with a replica that follows it`, async () => {
      const told = await Promise.all(ports.map(masterOf))
      if (told.some((each) => each !== master) || !(await ask('ckquorum', NAME)).startsWith('OK')) return false
      return /(^|\n)slave0:.*state=online/.test(String(await asking(master, 'INFO', 'replication')))
    })

  async function close(): Promise<void> {
    await Promise.all(sentinels.map((sentinel) => sentinel.stop()))
    await Promise.all(servers.map((server) => server.stop()))
    await rm(folder, { recursive: true, force: true })
  }

  async function lose(server: Server, loss: Loss): Promise<void> {
    if (loss === 'ask') return until('a failover on request', async () => (await ask('failover', NAME)) === 'OK')
    process.kill(server.pid, loss === 'kill' ? 'SIGKILL' : 'SIGSTOP')
    if (loss === 'kill') await server.exited
  }

  try {
    servers.push(await start('one', null))
    servers.push(await start('two', servers[0]!.port))
    for (const port of ports) sentinels.push(await startSentinel(join(folder, `sentinel-${port}`), port, servers[0]!.port, password))
    await settled(servers[0]!.port)
  } catch (error) {
    await close()
    throw error
  }
  return {
    url: `redis+sentinel://:${password}@${ports.map((port) => `127.0.0.1:${port}`).join(',')}/${NAME}/0?sentinel_password=${password}`,
    masterPort: () => masterOf(ports[0]!),
    async failOver(loss) {
      const master = await masterOf(ports[0]!)
      await settled(master)
      const [lost, next] = servers[0]!.port === master ? [servers[0]!, servers[1]!] : [servers[1]!, servers[0]!]
      await lose(lost, loss)
      await until('another master', async () => (await Promise.all(ports.map(masterOf))).every((port) => port === next.port))
      if (loss === 'kill') servers[servers.indexOf(lost)] = await start(lost.folder, next.port, lost.port)
      if (loss === 'freeze') process.kill(lost.pid, 'SIGCONT')
    },
    close,
  }
}

/** It writes what it learns into its own settings. */
async function startSentinel(folder: string, port: number, master: number, password: string): Promise<Supervised> {
  mkdirSync(folder, { recursive: true })
  const configFile = join(folder, 'sentinel.conf')
  const settings = [
    `port ${port}`, 'bind 127.0.0.1', `dir ${JSON.stringify(folder)}`, `requirepass ${password}`, `sentinel sentinel-pass ${password}`, `sentinel monitor ${NAME} 127.0.0.1 ${master} ${QUORUM}`, `sentinel auth-pass ${NAME} ${password}`,
    `sentinel down-after-milliseconds ${NAME} ${DOWN_AFTER_MS}`, `sentinel failover-timeout ${NAME} ${FAILOVER_TIMEOUT_MS}`, `sentinel parallel-syncs ${NAME} 1`,
  ]
  writeFileSync(configFile, `${settings.join('\n')}\n`, { mode: 0o600 })
  const sentinel = await supervise({
    command: findOnPath('redis-server')!, args: [configFile, '--sentinel'], cwd: folder, env: serverEnvironment(), user: null,
    logFile: join(folder, 'sentinel.log'), stateFile: join(folder, 'keeper.json'), stopSignal: 'SIGTERM', killAfterMs: 5_000,
  })
  await until('a sentinel', async () => (await asked(port, password, ['PING'])) === 'PONG')
  return sentinel
}

/** Over a connection of its own; rejects when the server refuses, or is not there. */
async function asked(port: number, password: string, [name, ...words]: string[]): Promise<unknown> {
  const redis = new Redis({ host: '127.0.0.1', port, password, lazyConnect: true, retryStrategy: () => null, connectTimeout: 1_000, commandTimeout: 1_000, maxRetriesPerRequest: 0 })
  redis.on('error', () => {})
  try {
    await redis.connect()
    return await redis.call(name!, ...words)
  } finally {
    redis.disconnect()
  }
}

/** Sentinels tell what they do on a channel each; asking is simpler, and a server that is not there yet only means: not yet. */
async function until(what: string, isSo: () => Promise<boolean>): Promise<void> {
  const deadline = Date.now() + SETTLE_MS
  while (!(await isSo().catch(() => false))) {
    if (Date.now() > deadline) throw new Error(`There was no ${what} within ${SETTLE_MS} ms.`)
    await delay(25)
  }
}
