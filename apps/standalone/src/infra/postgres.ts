import { spawn } from 'node:child_process'
import { chownSync, existsSync, mkdirSync, mkdtempSync, readFileSync, realpathSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { serverEnvironment } from './env.ts'
import { placePostgres, type PostgresPlace } from './postgres-place.ts'
import { freePort } from './port.ts'
import { processFacts } from './process-table.ts'
import { secretFrom } from './secret-file.ts'
import { supervise, takeOver, type ServerExit } from './supervise.ts'

/** Crash recovery of a large cluster is the slow case. */
const READY_TIMEOUT_MS = 120_000
const OWNER = 'postgres'
const DATABASE = 'trunkline'
/** Same order and same upper/lower case on every machine, whatever locales it has: https://www.postgresql.org/docs/18/locale.html (builtin provider). */
const LOCALE = ['--locale-provider=builtin', '--builtin-locale=C.UTF-8', '--locale=C']

export interface PostgresOptions {
  /** A folder of its own: cluster, password and log live in it. */
  dataDir: string
  /** Default: any free port. */
  port?: number
  /** Tells in a sentence what takes time. */
  log?: (line: string) => void
  /** Extra settings, as in postgresql.conf; they win over ours. */
  settings?: Record<string, string>
}

export interface RunningPostgres {
  /** URL of the superuser, who owns the database. Not for serving requests: it bypasses row level security. */
  url: string
  pid: number
  /** Settles when the server has ended, asked or not. */
  exited: Promise<ServerExit>
  stop(): Promise<void>
}

/**
 * A private PostgreSQL on 127.0.0.1. The cluster is made once and found again later. Durability stays as the factory
 * set it (fsync, synchronous_commit). Stopped when this process ends, in whatever way. Resolves when it accepts connections.
 */
export async function startPostgres(options: PostgresOptions): Promise<RunningPostgres> {
  const log = options.log ?? (() => {})
  mkdirSync(options.dataDir, { recursive: true })
  const dataDir = realpathSync(options.dataDir)
  const place = placePostgres(dataDir, log)
  const stateFile = join(dataDir, 'postgres.keeper.json')
  const logFile = join(dataDir, 'postgres.log')
  await takeOver(stateFile, place.cluster, 'SIGINT')

  const password = secretFrom(join(dataDir, 'postgres.password'))
  await initialiseOnce(place, password, log)
  removeStaleLock(place.cluster)
  const port = options.port ?? (await freePort())
  const server = await supervise({
    command: place.postgres,
    args: ['-D', place.cluster, ...flags({ ...settingsFor(port), ...options.settings })],
    cwd: place.cluster,
    env: serverEnvironment({ LC_MESSAGES: 'C' }),
    user: place.user,
    logFile,
    stateFile,
    stopSignal: 'SIGINT', // "Fast shutdown": ends sessions, writes a checkpoint.
    killAfterMs: 60_000,
  })
  try {
    await untilReady(place.cluster, server.serverPid, server.exited)
  } catch (error) {
    await server.stop()
    throw new Error(`PostgreSQL did not get ready on port ${port}; its log is ${logFile}`, { cause: error })
  }
  const url = `postgres://${OWNER}:${password}@127.0.0.1:${port}/${DATABASE}`
  return { url, pid: server.serverPid, exited: server.exited, stop: () => server.stop() }
}

function settingsFor(port: number): Record<string, string> {
  return {
    port: String(port),
    listen_addresses: '127.0.0.1',
    unix_socket_directories: '',
    max_connections: '200',
    shared_buffers: '256MB',
    max_wal_size: '2GB',
    // Our queries are short; compiling them costs more than it saves.
    jit: 'off',
    timezone: 'UTC',
    log_timezone: 'UTC',
    // Statements and parameters hold personal data: never in a log.
    log_min_error_statement: 'panic',
    log_parameter_max_length_on_error: '0',
    log_error_verbosity: 'terse',
    log_line_prefix: '%m [%p] ',
  }
}

function flags(settings: Record<string, string>): string[] {
  return Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`])
}

/** Makes the cluster in a folder beside its final name and renames it when whole, so that an interrupted first start leaves nothing half-made. */
async function initialiseOnce(place: PostgresPlace, password: string, log: (line: string) => void): Promise<void> {
  if (existsSync(join(place.cluster, 'PG_VERSION'))) return
  log('making the PostgreSQL cluster (first start only)')
  const draft = mkdtempSync(`${place.cluster}.draft-`)
  if (place.user) chownSync(draft, place.user.uid, place.user.gid)
  const passwordFile = join(draft, '.password')
  writeFileSync(passwordFile, `${password}\n`, { mode: 0o600 })
  if (place.user) chownSync(passwordFile, place.user.uid, place.user.gid)
  const cluster = join(draft, 'cluster')
  const args = [
    `--pgdata=${cluster}`,
    `--username=${OWNER}`,
    `--pwfile=${passwordFile}`,
    '--auth=scram-sha-256',
    '--encoding=UTF8',
    ...LOCALE,
    '--no-instructions',
  ]
  try {
    await runToEnd(place.initdb, args, place)
    await singleUser(place, cluster, `CREATE DATABASE ${DATABASE};\n`)
    renameSync(cluster, place.cluster)
  } finally {
    rmSync(draft, { recursive: true, force: true })
  }
}

/** Single-user mode runs one statement without opening a port. */
function singleUser(place: PostgresPlace, cluster: string, statement: string): Promise<void> {
  return runToEnd(place.postgres, ['--single', '-D', cluster, 'postgres'], place, statement)
}

function runToEnd(command: string, args: string[], place: PostgresPlace, input = ''): Promise<void> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { cwd: '/', env: serverEnvironment({ LC_ALL: 'C' }), ...place.user })
    let output = ''
    const collect = (chunk: Buffer): void => void (output = (output + chunk.toString()).slice(-4_000))
    child.stdout.on('data', collect)
    child.stderr.on('data', collect)
    child.once('error', reject)
    child.once('close', (code, signal) => {
      if (code === 0) resolve()
      else reject(new Error(`${command} failed (${code ?? signal}): ${output.trim()}`))
    })
    child.stdin.on('error', () => {}) // It ended early; its exit code says why.
    child.stdin.end(input)
  })
}

/**
 * After kill -9 or a power cut postmaster.pid stays behind. PostgreSQL sorts that out itself unless its old pid now
 * belongs to another program of the same user, then it refuses to start. A pid that is no postmaster of this cluster is no reason.
 */
function removeStaleLock(cluster: string): void {
  const lockFile = join(cluster, 'postmaster.pid')
  if (!existsSync(lockFile)) return
  const holder = processFacts(Number(readFileSync(lockFile, 'utf8').split('\n')[0]))
  if (holder?.commandLine.includes(cluster)) {
    throw new Error(`a PostgreSQL server already runs on ${cluster} (process ${holder.pid}); stop that one first`)
  }
  rmSync(lockFile, { force: true })
}

/** postmaster.pid ends in "ready" once connections are accepted; pg_ctl waits for the same line (PostgreSQL source, src/bin/pg_ctl, wait_for_postmaster_start). */
async function untilReady(cluster: string, serverPid: number, exited: Promise<ServerExit>): Promise<void> {
  let ended: ServerExit | undefined
  void exited.then((exit) => (ended = exit))
  const deadline = Date.now() + READY_TIMEOUT_MS
  while (!saysReady(join(cluster, 'postmaster.pid'), serverPid)) {
    if (ended) throw new Error(`it ended with code ${ended.code ?? ended.signal}`)
    if (Date.now() > deadline) throw new Error(`not ready within ${READY_TIMEOUT_MS} ms`)
    await delay(10)
  }
}

function saysReady(lockFile: string, serverPid: number): boolean {
  try {
    const lines = readFileSync(lockFile, 'utf8').split('\n')
    return Number(lines[0]) === serverPid && lines[7]?.trim() === 'ready'
  } catch {
    return false
  }
}
