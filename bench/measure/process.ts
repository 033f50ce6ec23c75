import { readdirSync, readFileSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'

/** A server whose work is counted. `tree`: with the processes it starts (PostgreSQL has one per connection). */
export type Watched = { name: string; pid: number; tree?: boolean }

/** `sysconf(_SC_CLK_TCK)` is 100 on every Linux that Node runs on; /proc/<pid>/stat counts in it (proc_pid_stat(5)). */
const MS_PER_TICK = 10

type Stat = { pid: number; parent: number; ownTicks: number; reapedTicks: number }

function statOf(pid: number): Stat | null {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'utf8')
    // The name in brackets may hold spaces: count from the last bracket on. Fields 4 ppid, 14 utime, 15 stime, 16 cutime, 17 cstime.
    const fields = text.slice(text.lastIndexOf(')') + 2).split(' ').map(Number)
    return { pid, parent: fields[1]!, ownTicks: fields[11]! + fields[12]!, reapedTicks: fields[13]! + fields[14]! }
  } catch {
    return null // It has ended.
  }
}

function childrenOf(pid: number): Stat[] {
  const all = readdirSync('/proc').filter((name) => /^\d+$/.test(name))
  return all.flatMap((name) => {
    const stat = statOf(Number(name))
    return stat?.parent === pid ? [stat] : []
  })
}

/** User and system time so far; of a tree also of children that have ended. */
export function cpuMs({ pid, tree }: Watched): number {
  const own = statOf(pid)
  if (!own) return 0
  if (!tree) return own.ownTicks * MS_PER_TICK
  return [own.ownTicks + own.reapedTicks, ...childrenOf(pid).map((child) => child.ownTicks)].reduce((sum, ticks) => sum + ticks, 0) * MS_PER_TICK
}

/** User and system time so far of each kind of thread, by its name; the one that began the process is `main`. */
export function threadCpuMs(pid: number): Record<string, number> {
  const threads: Record<string, number> = {}
  for (const tid of readdirSync(`/proc/${pid}/task`)) {
    const stat = threadStat(pid, tid)
    if (stat) threads[stat.name] = (threads[stat.name] ?? 0) + stat.ticks * MS_PER_TICK
  }
  return threads
}

function threadStat(pid: number, tid: string): { name: string; ticks: number } | null {
  try {
    const text = readFileSync(`/proc/${pid}/task/${tid}/stat`, 'utf8')
    const fields = text.slice(text.lastIndexOf(')') + 2).split(' ').map(Number)
    const name = Number(tid) === pid ? 'main' : text.slice(text.indexOf('(') + 1, text.lastIndexOf(')'))
    return { name, ticks: fields[11]! + fields[12]! }
  } catch {
    return null // It has ended.
  }
}

/** Resident memory in bytes. */
export function residentBytes(pid: number): number {
  const line = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))
  return Number(line?.[1] ?? 0) * 1024
}

/** Resident memory that is the process's own (heap and stacks), without the files it maps. */
export function anonymousBytes(pid: number): number {
  const line = /^RssAnon:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))
  return Number(line?.[1] ?? 0) * 1024
}

export type CpuUse = Record<string, number>

/** CPU milliseconds of each server from now until `stop`. */
export function meterCpu(watched: readonly Watched[]): { stop(): CpuUse } {
  const before = watched.map(cpuMs)
  return { stop: () => Object.fromEntries(watched.map((server, index) => [server.name, cpuMs(server) - before[index]!])) }
}

const LOOK_EVERY_MS = 500

/** Resolves when a server has done with what it does at its start: it and its children take less than this share of a core. */
export async function untilIdle(watched: Watched, shareMax: number, timeoutMs: number): Promise<void> {
  const deadlineMs = performance.now() + timeoutMs
  for (let before = cpuMs(watched); ;) {
    await delay(LOOK_EVERY_MS)
    const now = cpuMs(watched)
    if (now - before < LOOK_EVERY_MS * shareMax) return
    if (performance.now() > deadlineMs) throw new Error(`${watched.name} is still busy after ${timeoutMs} ms`)
    before = now
  }
}

export const totalCpu = (use: CpuUse): number => Object.values(use).reduce((sum, ms) => sum + ms, 0)
