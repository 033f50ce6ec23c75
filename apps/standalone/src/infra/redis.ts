import { mkdirSync, realpathSync, rmSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { findOnPath, serverEnvironment } from './env.ts'
import { freePort } from './port.ts'
import { secretFrom } from './secret-file.ts'
import { supervise, takeOver, type ServerExit } from './supervise.ts'

const READY_TIMEOUT_MS = 60_000

export interface RedisOptions {
  /** A folder of its own: data, settings, password and log live in it. */
  dataDir: string
  /** Default: any free port. */
  port?: number
  /** Extra settings, as in redis.conf. */
  settings?: Record<string, string>
  /** Forget what was kept from an earlier run. */
  fresh?: boolean
}

export interface RunningRedis {
  url: string
  pid: number
  /** Settles when the server has ended, asked or not. */
  exited: Promise<ServerExit>
  stop(): Promise<void>
}

/**
 * A private redis-server on 127.0.0.1 that keeps what it is told: append-only file, fsync every second, no eviction.
 * It is stopped when this process ends, in whatever way. Resolves when it answers PING.
 */
export async function startRedis(options: RedisOptions): Promise<RunningRedis> {
  const binary = findOnPath('redis-server')
  if (!binary) throw new Error('redis-server is not on PATH; run "npm run setup", or set REDIS_URL to a server of yours')
  mkdirSync(options.dataDir, { recursive: true, mode: 0o700 })
  const dataDir = realpathSync(options.dataDir)
  const configFile = join(dataDir, 'redis.conf')
  const stateFile = join(dataDir, 'redis.keeper.json')
  const logFile = join(dataDir, 'redis.log')
  await takeOver(stateFile, configFile, 'SIGTERM')
  if (options.fresh) rmSync(join(dataDir, 'appendonlydir'), { recursive: true, force: true })

  const port = options.port ?? (await freePort())
  const password = secretFrom(join(dataDir, 'redis.password'))
  writeFileSync(configFile, configText({ port, password, dataDir }, options.settings), { mode: 0o600 })
  const server = await supervise({
    command: binary,
    args: [configFile],
    cwd: dataDir,
    env: serverEnvironment(),
    user: null,
    logFile,
    stateFile,
    stopSignal: 'SIGTERM',
    killAfterMs: 20_000,
  })
  try {
    await untilReady(port, password, server.exited)
  } catch (error) {
    await server.stop()
    throw new Error(`redis-server did not get ready on port ${port}; its log is ${logFile}`, { cause: error })
  }
  return { url: `redis://:${password}@127.0.0.1:${port}/0`, pid: server.serverPid, exited: server.exited, stop: () => server.stop() }
}

function configText(base: { port: number; password: string; dataDir: string }, extra: Record<string, string> = {}): string {
  const settings: Record<string, string> = {
    bind: '127.0.0.1',
    port: String(base.port),
    'protected-mode': 'yes',
    requirepass: base.password,
    dir: JSON.stringify(base.dataDir),
    appendonly: 'yes',
    appendfsync: 'everysec',
    save: '""',
    // BullMQ must never lose a key: https://docs.bullmq.io/guide/going-to-production#max-memory-policy
    'maxmemory-policy': 'noeviction',
    daemonize: 'no',
    // Keeps the path of this file in the process list, by which a later run recognises the server as ours.
    'set-proc-title': 'no',
    ...extra,
  }
  return Object.entries(settings)
    .map(([name, value]) => `${name} ${value}\n`)
    .join('')
}

async function untilReady(port: number, password: string, exited: Promise<ServerExit>): Promise<void> {
  let ended: ServerExit | undefined
  void exited.then((exit) => (ended = exit))
  const deadline = Date.now() + READY_TIMEOUT_MS
  while (!(await answersPing(port, password))) {
    if (ended) throw new Error(`it ended with code ${ended.code ?? ended.signal}`)
    if (Date.now() > deadline) throw new Error(`no answer to PING within ${READY_TIMEOUT_MS} ms`)
    await delay(10)
  }
}

/** One AUTH and PING over a fresh connection. False also while the server still loads its file (it answers -LOADING). */
function answersPing(port: number, password: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ port, host: '127.0.0.1' })
    let answer = ''
    const finish = (ready: boolean): void => {
      socket.destroy()
      resolve(ready)
    }
    socket.setTimeout(2_000, () => finish(false))
    socket.once('error', () => finish(false))
    socket.once('close', () => finish(false))
    socket.once('connect', () => socket.write(`AUTH ${password}\r\nPING\r\n`))
    socket.on('data', (chunk) => {
      answer += chunk.toString('latin1')
      if (answer.split('\r\n').length > 2) finish(answer.includes('+PONG'))
    })
  })
}
