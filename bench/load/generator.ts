import { performance } from 'node:perf_hooks'
import { serveJobs } from '../stage/actor.ts'
import { summarise, type Latencies } from '../measure/statistics.ts'
import { webhookMaker, type BodyShape, type Target } from './bodies.ts'
import { Connection } from './connection.ts'

/**
 * The load, in a process of its own. `closed`: every connection sends its next request when the last one was answered (capacity).
 * `open`: requests leave at fixed times whatever the answers do, and latency counts from the time at which a request should have
 * left (no coordinated omission).
 */
export type LoadJob = {
  url: string
  targets: Target[]
  secret: string
  shape: BodyShape
  /** Of the first webhook: a later job of the same run goes on counting. */
  from: number
  durationMs: number
  connections: number
  mode: { kind: 'closed' } | { kind: 'open'; perSecond: number }
}
export type LoadResult = { sent: number; ok: number; statuses: Record<string, number>; elapsedMs: number; latency: Latencies }

serveJobs<LoadJob>(async (job) => {
  const url = new URL(job.url)
  const make = webhookMaker(job.targets, job.secret, job.shape, url.host)
  const connections = Array.from({ length: job.connections }, () => new Connection(url))
  try {
    return await (job.mode.kind === 'closed' ? closed(job, connections, make) : open(job, job.mode.perSecond, connections, make))
  } finally {
    for (const connection of connections) connection.close()
  }
})

function tally() {
  const statuses: Record<string, number> = {}
  const latencies: number[] = []
  return {
    note(status: number, ms: number) {
      statuses[status] = (statuses[status] ?? 0) + 1
      latencies.push(ms)
    },
    result: (sent: number, elapsedMs: number): LoadResult => ({ sent, ok: statuses[200] ?? 0, statuses, elapsedMs, latency: summarise(latencies) }),
  }
}

async function closed(job: LoadJob, connections: Connection[], make: (n: number) => string): Promise<LoadResult> {
  const { note, result } = tally()
  const startMs = performance.now()
  let sent = 0
  await Promise.all(connections.map(async (connection) => {
    while (performance.now() - startMs < job.durationMs) {
      const atMs = performance.now()
      note(await connection.send(make(job.from + sent++)), performance.now() - atMs)
    }
  }))
  return result(sent, performance.now() - startMs)
}

function open(job: LoadJob, perSecond: number, connections: Connection[], make: (n: number) => string): Promise<LoadResult> {
  const { note, result } = tally()
  const total = Math.round((job.durationMs / 1_000) * perSecond)
  const free = [...connections]
  const startMs = performance.now()
  let [sent, answered] = [0, 0]
  return new Promise((resolve) => {
    const leave = (): void => {
      const due = Math.min(total, Math.floor(((performance.now() - startMs) * perSecond) / 1_000))
      while (sent < due && free.length > 0) go(free.pop()!, sent++)
    }
    const go = (connection: Connection, n: number): void => {
      const dueMs = startMs + (n * 1_000) / perSecond
      void connection.send(make(job.from + n)).then((status) => {
        note(status, performance.now() - dueMs)
        free.push(connection)
        if (++answered < total) return leave()
        clearInterval(timer)
        resolve(result(sent, performance.now() - startMs))
      })
    }
    const timer = setInterval(leave, 1)
  })
}
