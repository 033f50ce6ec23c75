import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { bareEnvironment } from './env.ts'

export { freePort } from '../../apps/standalone/src/infra/port.ts'

/** How much of what a process writes is kept for a failure's message. */
const KEPT_LINES = 2_000
const KILL_AFTER_MS = 10_000

export interface SpawnedNode {
  pid: number
  /** What it has written so far, newest last, at most 2,000 lines each. */
  stdout: readonly string[]
  stderr: readonly string[]
  /** Settles when the process has ended and its output is read. Never rejects. */
  exited: Promise<{ code: number | null; signal: NodeJS.Signals | null }>
  /** The first line of standard output (also an earlier one) that matches. Rejects with its stderr when it ends first, or after `timeoutMs` (default 30,000). */
  line(pattern: RegExp, timeoutMs?: number): Promise<RegExpExecArray>
  /** Sends a signal: SIGSTOP and SIGCONT freeze and thaw, SIGKILL is `kill -9`. False when it has already ended. */
  signal(name: NodeJS.Signals): boolean
  /** SIGTERM, then SIGKILL ten seconds later. Resolves when it has ended. */
  stop(): Promise<void>
  /** Everything a failing test should show. */
  report(): string
}

const running = new Set<ChildProcess>()
// A test that fails half-way must not leave processes behind. SIGKILL also ends one that is frozen by SIGSTOP.
process.on('exit', () => running.forEach((child) => child.kill('SIGKILL')))

/** For programs that start processes: a signal ends them as `process.exit` does, so that nobody they started is left. */
export function exitOnSignals(): void {
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, () => process.exit(1))
}

/**
 * Starts a TypeScript entry file in a Node of its own. `env` is added to a bare environment (PATH, HOME, TZ), so that a
 * test never depends on what the machine has set.
 */
export function spawnNode(entry: string, env: Record<string, string> = {}, args: readonly string[] = []): SpawnedNode {
  const child = spawn(process.execPath, [entry, ...args], { stdio: ['ignore', 'pipe', 'pipe'], env: { ...bareEnvironment(), ...env } })
  running.add(child)
  const exited = once(child, 'close').then(() => {
    running.delete(child)
    return { code: child.exitCode, signal: child.signalCode }
  })
  child.once('error', () => {}) // 'close' follows; `line` and `exited` tell.
  const stdout: string[] = []
  const stderr: string[] = []
  const listeners = new Set<(line: string) => void>()
  keepLines(child.stdout, stdout, (line) => listeners.forEach((listener) => listener(line)))
  keepLines(child.stderr, stderr, () => {})

  const report = (): string =>
    `${entry} (pid ${child.pid}, ${describeEnd(child)})\n--- stdout\n${stdout.slice(-50).join('\n')}\n--- stderr\n${stderr.slice(-50).join('\n')}`

  return {
    pid: child.pid ?? 0,
    stdout,
    stderr,
    exited,
    report,
    signal: (name) => child.kill(name),
    line(pattern, timeoutMs = 30_000) {
      return new Promise((resolve, reject) => {
        const finish = (settle: () => void): void => {
          clearTimeout(timer)
          listeners.delete(look)
          settle()
        }
        const look = (line: string): void => {
          const match = pattern.exec(line)
          if (match) finish(() => resolve(match))
        }
        const fail = (why: string): void => finish(() => reject(new Error(`${why} ${pattern}\n${report()}`)))
        const timer = setTimeout(() => fail(`no line within ${timeoutMs} ms that matches`), timeoutMs)
        listeners.add(look)
        stdout.forEach(look)
        void exited.then(() => fail('it ended without a line that matches'))
      })
    },
    async stop() {
      if (child.exitCode !== null || child.signalCode !== null) return
      child.kill('SIGCONT') // A frozen process cannot handle SIGTERM.
      child.kill('SIGTERM')
      const force = setTimeout(() => child.kill('SIGKILL'), KILL_AFTER_MS)
      await exited
      clearTimeout(force)
    },
  }
}

function keepLines(stream: NodeJS.ReadableStream, kept: string[], tell: (line: string) => void): void {
  createInterface({ input: stream }).on('line', (line) => {
    kept.push(line)
    if (kept.length > KEPT_LINES) kept.shift()
    tell(line)
  })
}

function describeEnd(child: ChildProcess): string {
  if (child.exitCode === null && child.signalCode === null) return 'still running'
  return `ended with ${child.exitCode ?? child.signalCode}`
}
