import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createConnection } from 'node:net'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { spawnNode, type SpawnedNode } from '../../../../tests/harness/processes.ts'
import { postgresRows, redisCommand } from '../../../../tests/harness/probe.ts'
import { startPostgres } from './postgres.ts'
import { processFacts, waitUntilGone } from './process-table.ts'
import { startRedis } from './redis.ts'

let folder: string
/** A process that owns both servers and then waits, as `npm start` does. */
let ownerEntry: string

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'trunkline-infra-'))
  chmodSync(folder, 0o755) // The database's user must be able to enter when the tests run as root.
  ownerEntry = join(folder, 'owner.ts')
  writeFileSync(
    ownerEntry,
    `import { startPostgres } from ${JSON.stringify(join(import.meta.dirname, 'postgres.ts'))};
     import { startRedis } from ${JSON.stringify(join(import.meta.dirname, 'redis.ts'))};
     const postgres = await startPostgres({ dataDir: process.env.DATA + '/postgres' });
     const redis = await startRedis({ dataDir: process.env.DATA + '/redis' });
     console.log(JSON.stringify({ postgres: { url: postgres.url, pid: postgres.pid }, redis: { url: redis.url, pid: redis.pid } }));
     setInterval(() => {}, 1_000);`,
  )
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

interface Servers {
  owner: SpawnedNode
  postgres: { url: string; pid: number }
  redis: { url: string; pid: number }
}

async function startOwner(data: string): Promise<Servers> {
  const owner = spawnNode(ownerEntry, { DATA: join(folder, data) })
  onTestFinished(() => owner.stop())
  const [line] = await owner.line(/^\{.*\}$/)
  return { owner, ...(JSON.parse(line) as Omit<Servers, 'owner'>) }
}

function portIsClosed(url: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = createConnection({ host: '127.0.0.1', port: Number(new URL(url).port) })
    socket.once('connect', () => {
      socket.destroy()
      resolve(false)
    })
    socket.once('error', () => resolve(true))
  })
}

describe('the private PostgreSQL', () => {
  it('keeps its data and its password over a restart, and closes its port in between', async () => {
    const dataDir = join(folder, 'keep', 'postgres')
    const first = await startPostgres({ dataDir })
    await postgresRows(first.url, 'CREATE TABLE kept AS SELECT 42 AS answer')
    await first.stop()
    expect(await portIsClosed(first.url)).toBe(true)

    const second = await startPostgres({ dataDir })
    onTestFinished(() => second.stop())
    expect(await postgresRows(second.url, 'SELECT answer FROM kept')).toEqual([{ answer: 42 }])
    expect(new URL(second.url).password).toBe(new URL(first.url).password)
  })

  it("is durable, knows the world's letters, and listens on 127.0.0.1 only", async () => {
    const server = await startPostgres({ dataDir: join(folder, 'settings', 'postgres') })
    onTestFinished(() => server.stop())
    const settings = await postgresRows(
      server.url,
      `SELECT current_setting('fsync') AS fsync, current_setting('synchronous_commit') AS commit, current_setting('listen_addresses') AS listen,
              current_setting('jit') AS jit, current_setting('max_connections') AS connections, upper('łódź') AS letters`,
    )
    expect(settings).toEqual([{ fsync: 'on', commit: 'on', listen: '127.0.0.1', jit: 'off', connections: '200', letters: 'ŁÓDŹ' }])
  })

  it('says that the data is in use while another process has it, and leaves that one alone', async () => {
    const { owner, postgres } = await startOwner('busy')
    await expect(startPostgres({ dataDir: join(folder, 'busy', 'postgres') })).rejects.toThrow(`in use by the running process ${owner.pid}`)
    expect(await postgresRows(postgres.url, 'SELECT 1 AS alive')).toEqual([{ alive: 1 }])
  })

  it('starts over a lock file whose pid now belongs to another program, and does not touch that program', async () => {
    const dataDir = join(folder, 'reused', 'postgres')
    const first = await startPostgres({ dataDir })
    const [{ cluster }] = (await postgresRows(first.url, `SELECT current_setting('data_directory') AS cluster`)) as [{ cluster: string }]
    await first.stop()
    // As a power cut leaves it, with a pid that has been given to somebody else since: here, to this test.
    writeFileSync(join(cluster, 'postmaster.pid'), `${process.pid}\n${cluster}\n1\n5432\n\n127.0.0.1\n\nready\n`)
    writeFileSync(join(dataDir, 'postgres.keeper.json'), JSON.stringify({ serverPid: process.pid, keeperPid: process.pid, ownerPid: process.pid }))
    const second = await startPostgres({ dataDir })
    onTestFinished(() => second.stop())
    expect(await postgresRows(second.url, 'SELECT 1 AS alive')).toEqual([{ alive: 1 }])
  })

  it('recovers committed data after kill -9 of the server itself, and tells its owner that it ended', async () => {
    const dataDir = join(folder, 'crash', 'postgres')
    const first = await startPostgres({ dataDir })
    await postgresRows(first.url, 'CREATE TABLE kept AS SELECT 7 AS answer')
    process.kill(first.pid, 'SIGKILL')
    expect(await first.exited).toEqual({ code: null, signal: 'SIGKILL' })
    const second = await startPostgres({ dataDir })
    onTestFinished(() => second.stop())
    expect(await postgresRows(second.url, 'SELECT answer FROM kept')).toEqual([{ answer: 7 }])
  })

  it.runIf(process.getuid?.() === 0)('lives elsewhere when its user may not enter the folder, as with a clone in the home of root', async () => {
    const home = join(folder, 'home-of-root')
    mkdirSync(home, { mode: 0o700 })
    const said: string[] = []
    const server = await startPostgres({ dataDir: join(home, 'postgres'), log: (line) => said.push(line) })
    const [{ cluster }] = (await postgresRows(server.url, `SELECT current_setting('data_directory') AS cluster`)) as [{ cluster: string }]
    await server.stop()
    expect(cluster).toMatch(/^\/var\/lib\/trunkline\//)
    expect(said).toContainEqual(expect.stringContaining(dirname(dirname(cluster))))
    rmSync(dirname(dirname(cluster)), { recursive: true })
  })

  it('names its log when it cannot start', async () => {
    const dataDir = join(folder, 'wrong', 'postgres')
    await expect(startPostgres({ dataDir, settings: { shared_buffers: 'plenty' } })).rejects.toThrow(join(dataDir, 'postgres.log'))
    expect(readFileSync(join(dataDir, 'postgres.log'), 'utf8')).toContain('invalid value for parameter "shared_buffers"')
  })
})

describe('the private Redis', () => {
  it('keeps its data over a restart, evicts nothing, and asks for its password', async () => {
    const dataDir = join(folder, 'keep', 'redis')
    const first = await startRedis({ dataDir })
    expect(await redisCommand(first.url, 'SET', 'kept', 'yes')).toBe('+OK')
    await first.stop()
    const second = await startRedis({ dataDir })
    onTestFinished(() => second.stop())
    expect(await redisCommand(second.url, 'GET', 'kept')).toBe('yes')
    expect(await redisCommand(second.url, 'CONFIG', 'GET', 'maxmemory-policy')).toContain('noeviction')
    const stranger = new URL(second.url)
    stranger.password = ''
    expect(await redisCommand(stranger.href, 'GET', 'kept')).toMatch(/^-NOAUTH/)
  })

  it('forgets when it is asked to start fresh', async () => {
    const dataDir = join(folder, 'fresh', 'redis')
    const first = await startRedis({ dataDir })
    await redisCommand(first.url, 'SET', 'kept', 'yes')
    await first.stop()
    const second = await startRedis({ dataDir, fresh: true })
    onTestFinished(() => second.stop())
    expect(await redisCommand(second.url, 'DBSIZE')).toBe(':0')
  })
})

describe('servers whose owner ends', () => {
  it.each(['SIGTERM', 'SIGKILL'] as const)('end too after %s, and a new owner finds the data', async (signal) => {
    const data = `owner-${signal}`
    const first = await startOwner(data)
    await postgresRows(first.postgres.url, 'CREATE TABLE kept AS SELECT 1 AS answer')
    const keepers = [first.postgres.pid, first.redis.pid].map((pid) => processFacts(pid)?.parentPid ?? 0)
    first.owner.signal(signal)
    await first.owner.exited
    // At once, while the old servers may still be shutting down: the new owner waits for them.
    const second = await startOwner(data)
    expect(await postgresRows(second.postgres.url, 'SELECT answer FROM kept')).toEqual([{ answer: 1 }])
    for (const pid of [first.postgres.pid, first.redis.pid, ...keepers]) expect(await waitUntilGone(pid, 10_000)).toBe(true)
  })

  it('are taken over when the keeper was killed as well', async () => {
    const first = await startOwner('orphans')
    const keepers = [first.postgres.pid, first.redis.pid].map((pid) => processFacts(pid)?.parentPid ?? 0)
    keepers.forEach((pid) => process.kill(pid, 'SIGKILL'))
    first.owner.signal('SIGKILL')
    await first.owner.exited
    expect(processFacts(first.postgres.pid)).not.toBeNull() // Really an orphan now.
    const second = await startOwner('orphans')
    expect([processFacts(first.postgres.pid), processFacts(first.redis.pid)]).toEqual([null, null])
    expect(await redisCommand(second.redis.url, 'PING')).toBe('+PONG')
  })
})
