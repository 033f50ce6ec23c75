import { spawn, type ChildProcess } from 'node:child_process'
import { readFileSync, renameSync, rmSync, statSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { serverEnvironment } from './env.ts'
import { processFacts, waitUntilGone } from './process-table.ts'

const KEEPER = fileURLToPath(new URL('./keeper.ts', import.meta.url))
const LOG_LIMIT_BYTES = 10 * 1024 * 1024
const TAKEOVER_TIMEOUT_MS = 30_000

export interface SystemUser {
  uid: number
  gid: number
}

/** One server for a keeper to run. Secrets must not be in here: it travels in the keeper's command line. */
export interface KeeperSpec {
  command: string
  args: string[]
  cwd: string
  env: Record<string, string>
  user: SystemUser | null
  logFile: string
  stateFile: string
  stopSignal: 'SIGINT' | 'SIGTERM'
  killAfterMs: number
  ownerPid: number
}

export type KeeperMessage =
  { event: 'started'; serverPid: number } | { event: 'failed'; reason: string } | { event: 'ended'; code: number | null; signal: NodeJS.Signals | null }

export interface ServerExit {
  code: number | null
  signal: NodeJS.Signals | null
}

export interface Supervised {
  serverPid: number
  /** Settles when the server has ended, asked or not. Never rejects. */
  exited: Promise<ServerExit>
  /** Asks politely, waits for the end. May be called twice. */
  stop(): Promise<void>
}

/** Starts a server under a keeper (see keeper.ts). Resolves when the process exists; whether it answers is for the caller to ask. */
export async function supervise(spec: Omit<KeeperSpec, 'ownerPid'>): Promise<Supervised> {
  rotateLog(spec.logFile)
  const full: KeeperSpec = { ...spec, ownerPid: process.pid }
  const keeper = spawn(process.execPath, [KEEPER, JSON.stringify(full)], {
    stdio: ['pipe', 'pipe', 'inherit'],
    detached: true,
    env: serverEnvironment(),
  })
  keeper.stdin.on('error', () => {}) // The keeper ended first; `exited` tells.
  const { started, exited } = listen(keeper)
  const serverPid = await started
  return {
    serverPid,
    exited,
    async stop() {
      keeper.stdin.end()
      await exited
    },
  }
}

function listen(keeper: ChildProcess & { stdout: NodeJS.ReadableStream }) {
  let lastWord: ServerExit = { code: null, signal: null }
  const exited = new Promise<ServerExit>((resolve) => keeper.once('close', () => resolve(lastWord)))
  const started = new Promise<number>((resolve, reject) => {
    createInterface({ input: keeper.stdout }).on('line', (line) => {
      const message = JSON.parse(line) as KeeperMessage
      if (message.event === 'started') resolve(message.serverPid)
      if (message.event === 'failed') reject(new Error(`the server could not be started: ${message.reason}`))
      if (message.event === 'ended') lastWord = { code: message.code, signal: message.signal }
    })
    keeper.once('error', reject)
    keeper.once('close', () => reject(new Error('the keeper process ended before it had started the server')))
  })
  return { started, exited }
}

/**
 * Makes sure that nothing runs on this data any more. A server that was left behind (its owner was killed with -9) is
 * waited for, or stopped if its keeper is gone too; one whose owner is alive is an error; a pid that has been given to
 * another program in the meantime is left alone. `proof` is text that only our server has in its command line.
 */
export async function takeOver(stateFile: string, proof: string, stopSignal: NodeJS.Signals): Promise<void> {
  const state = readState(stateFile)
  if (!state) return
  const server = processFacts(state.serverPid)
  if (server?.commandLine.includes(proof)) {
    const keeper = processFacts(state.keeperPid)
    const kept = keeper !== null && keeper.commandLine.includes(KEEPER) && server.parentPid === keeper.pid
    if (kept && keeper.parentPid === state.ownerPid) {
      throw new Error(`${proof} is in use by the running process ${state.ownerPid}; stop that one first, or choose another data folder`)
    }
    if (!kept) process.kill(server.pid, stopSignal)
    if (!(await waitUntilGone(server.pid, TAKEOVER_TIMEOUT_MS))) {
      throw new Error(`a server left over from an earlier run (process ${server.pid}) does not stop; stop it by hand, then start again`)
    }
  }
  rmSync(stateFile, { force: true })
}

interface KeeperState {
  serverPid: number
  keeperPid: number
  ownerPid: number
}

function readState(stateFile: string): KeeperState | null {
  try {
    return JSON.parse(readFileSync(stateFile, 'utf8')) as KeeperState
  } catch {
    return null // No file, or half a file from a crash: then there is no pid we could prove ours.
  }
}

function rotateLog(logFile: string): void {
  const size = statSync(logFile, { throwIfNoEntry: false })?.size ?? 0
  if (size > LOG_LIMIT_BYTES) renameSync(logFile, `${logFile}.1`)
}
