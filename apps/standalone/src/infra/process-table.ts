import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'

/** What the operating system says about a process. Enough to prove that a pid from a file is still the process we started. */
export interface ProcessFacts {
  pid: number
  parentPid: number
  commandLine: string
}

/** Null when there is no such process (a zombie counts as gone: it holds no file and no port). */
export function processFacts(pid: number): ProcessFacts | null {
  if (!isAlive(pid)) return null
  return process.platform === 'linux' ? factsFromProc(pid) : factsFromPs(pid)
}

export function isAlive(pid: number): boolean {
  if (!Number.isInteger(pid) || pid <= 0) return false
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    // EPERM means that it exists and belongs to somebody else.
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}

/** True once the process has gone; false when `timeoutMs` went by first. The kernel offers no event for a process that is not our child. */
export async function waitUntilGone(pid: number, timeoutMs: number): Promise<boolean> {
  const deadline = Date.now() + timeoutMs
  while (processFacts(pid)) {
    if (Date.now() >= deadline) return false
    await delay(20)
  }
  return true
}

function factsFromProc(pid: number): ProcessFacts | null {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    // proc(5): "pid (comm) state ppid ..."; comm may itself hold spaces and brackets, so count from the last one.
    const [state, parentPid] = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    if (state === 'Z' || state === 'X') return null
    const commandLine = readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0').join(' ').trim()
    return { pid, parentPid: Number(parentPid), commandLine }
  } catch {
    return null // It ended while we looked.
  }
}

function factsFromPs(pid: number): ProcessFacts | null {
  try {
    const line = execFileSync('ps', ['-o', 'ppid=,stat=,command=', '-p', String(pid)], { encoding: 'utf8' }).trim()
    const match = /^(\d+)\s+(\S+)\s+(.*)$/s.exec(line)
    if (!match || match[2]?.startsWith('Z')) return null
    return { pid, parentPid: Number(match[1]), commandLine: match[3] ?? '' }
  } catch {
    return null
  }
}
