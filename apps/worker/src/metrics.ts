import type { Clock } from '@trunkline/core'
import { queueDepth, suggestedWorkers, type Db, type Drain, type EffectsPump, type Presence, type QueueDepth, type QueuedTurn, type TurnOutcome } from '@trunkline/db'
import { collectDefaultMetrics, Counter, Gauge, Registry } from 'prom-client'

export type WorkerMetrics = {
  registry: Registry
  turnRetired(turn: QueuedTurn, outcome: TurnOutcome, reason: string | null): void
  watch(parts: Watched): void
}
type Watched = { db: Db; clock: Clock; presence: Presence; drainer: Drain; effects: EffectsPump; maxTurnsInFlight: number }

/** What an operator and an autoscaler read. Labels are closed sets: outcomes and codes, never ids or messages. */
export function createMetrics(): WorkerMetrics {
  const registry = new Registry()
  collectDefaultMetrics({ register: registry })
  const turns = new Counter({ name: 'trunkline_turns_total', help: 'Turns that ended, by outcome', labelNames: ['outcome', 'reason'], registers: [registry] })

  function gauge(name: string, help: string, read: () => number | Promise<number>): void {
    const made: Gauge = new Gauge({ name: `trunkline_${name}`, help, registers: [], collect: async (): Promise<void> => made.set(await read()) })
    registry.registerMetric(made)
  }

  return {
    registry,
    turnRetired: (_turn, outcome, reason) => turns.inc({ outcome, reason: reason ?? 'none' }),
    watch(parts) {
      const { drainer, effects } = parts
      const depth = remembered(parts.clock, 1_000, () => queueDepth(parts.db))
      gauge('queue_length', 'Messages that wait, all numbers', async () => (await depth()).waiting)
      gauge('queue_waiting_numbers', 'Numbers with waiting messages', async () => (await depth()).waitingLanes)
      gauge('queue_oldest_age_seconds', 'Age of the oldest message that waits', async () => (await depth()).oldestAgeMs / 1_000)
      gauge('suggested_workers', 'Worker processes an autoscaler should run; of several workers take the largest', async () => suggestion(parts, await depth()))
      gauge('lanes_held', 'Numbers this worker holds', () => drainer.stats().lanes)
      gauge('turns_in_flight', 'Turns at work in this worker', () => drainer.stats().turnsInFlight)
      gauge('lock_contention_total', 'Claims that met another worker, and leases lost', () => drainer.stats().contended + drainer.stats().leasesLost)
      gauge('fence_rejections_total', 'Commits refused because another worker owns the number', () => drainer.stats().fenced)
      gauge('turn_retries_total', 'Turns that were tried again', () => drainer.stats().retried)
      gauge('turns_parked_total', 'Turns parked with a reason', () => drainer.stats().parked)
      gauge('effects_applied_total', 'Receipts, echoes and other effects applied', () => effects.stats().applied)
    },
  }
}

/** Several gauges of one scrape share one look. */
function remembered<T>(clock: Clock, forMs: number, read: () => Promise<T>): () => Promise<T> {
  let last: { atMs: number; value: Promise<T> } | undefined
  return () => {
    if (!last || clock.nowMs() - last.atMs > forMs) last = { atMs: clock.nowMs(), value: read() }
    return last.value
  }
}

async function suggestion({ drainer, presence, maxTurnsInFlight }: Watched, depth: QueueDepth): Promise<number> {
  const workers = await presence.beat()
  // The other workers are taken to be as busy as this one.
  const turnsInFlight = drainer.stats().turnsInFlight * workers
  return suggestedWorkers({ workers, waiting: depth.waiting, oldestAgeMs: depth.oldestAgeMs, cpu: cpuShare(), turnsInFlight, maxTurnsInFlight: maxTurnsInFlight * workers })
}

let last = { cpu: process.cpuUsage(), atMs: performance.now() }

/** Of one core, since the last look. */
function cpuShare(): number {
  const now = { cpu: process.cpuUsage(), atMs: performance.now() }
  const busyMs = (now.cpu.user + now.cpu.system - last.cpu.user - last.cpu.system) / 1_000
  const share = busyMs / Math.max(1, now.atMs - last.atMs)
  last = now
  return share
}
