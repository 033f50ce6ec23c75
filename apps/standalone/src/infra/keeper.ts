/**
 * A process of its own that owns one server (PostgreSQL or Redis) on behalf of the process that started it.
 *
 * The owner holds the other end of our standard input. However the owner ends - return, Ctrl-C, kill -9 - the kernel
 * closes that pipe, we read the end of the file and stop the server in its own polite way. So no server outlives its
 * owner and nobody has to remember to install signal handlers. We run in a session of our own, so that Ctrl-C in a
 * terminal reaches the owner alone, which can then drain its work before the database goes away.
 */
import { spawn } from 'node:child_process'
import { openSync, rmSync, writeFileSync } from 'node:fs'
import type { KeeperMessage, KeeperSpec } from './supervise.ts'

const spec = JSON.parse(process.argv[2] ?? '{}') as KeeperSpec
const log = openSync(spec.logFile, 'a', 0o600)

const server = spawn(spec.command, spec.args, {
  stdio: ['ignore', log, log],
  cwd: spec.cwd,
  env: spec.env,
  ...(spec.user ? { uid: spec.user.uid, gid: spec.user.gid } : {}),
})

function tell(message: KeeperMessage): void {
  process.stdout.write(`${JSON.stringify(message)}\n`)
}

let stopping = false
function stop(): void {
  if (stopping) return
  stopping = true
  server.kill(spec.stopSignal)
  setTimeout(() => server.kill('SIGKILL'), spec.killAfterMs).unref()
}

server.once('spawn', () => {
  const serverPid = server.pid ?? 0
  writeFileSync(spec.stateFile, JSON.stringify({ serverPid, keeperPid: process.pid, ownerPid: spec.ownerPid }))
  tell({ event: 'started', serverPid })
})
server.once('error', (error) => {
  tell({ event: 'failed', reason: error.message })
  process.exitCode = 1
  process.stdin.destroy()
})
server.once('exit', (code, signal) => {
  rmSync(spec.stateFile, { force: true })
  tell({ event: 'ended', code, signal })
  process.stdin.destroy()
})

process.stdin.resume()
process.stdin.once('end', stop)
process.stdin.once('error', stop)
process.stdout.on('error', () => {}) // The owner is gone; there is nobody left to tell.
process.on('SIGTERM', stop)
process.on('SIGINT', () => {}) // Meant for the owner, which closes our input when it is ready.
process.on('SIGHUP', () => {})
