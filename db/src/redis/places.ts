import { newId, type Clock, type Id } from '@trunkline/core'
import type { Redis } from 'ioredis'
import { loadScript, runScript } from './script.ts'

const scripts = { take: loadScript('place-take'), renew: loadScript('place-renew'), release: loadScript('place-release') }
/** After it the places of a process that died are free again. */
const LEASE_MS = 60_000
/** Renewals in one lease: two may fail. */
const RENEWALS = 3

export type Place = { /** Idempotent, never rejects. Another process may have taken over its name: then that one keeps it. */ release(): Promise<void> }

/**
 * So many things at a time for each tenant, over all processes. A place has a name: who takes one again (a session that moves to
 * another process) needs no second one. While Redis is away each process counts its own.
 */
export type Places = {
  /** Null: all `max` are taken. Never throws. */
  take(tenantId: Id, name: string, max: number): Promise<Place | null>
  /** Ends the renewals. What is not released ends with its lease. */
  close(): void
}

export type PlacesOptions = { redis: Redis; /** What they are for, e.g. `sessions`. */ kind: string; clock: Clock; leaseMs?: number }

export function createPlaces({ redis, kind, clock, leaseMs = LEASE_MS }: PlacesOptions): Places {
  /** Of this process: names by holder, by tenant. */
  const mine = new Map<Id, Map<string, string>>()
  const keysOf = (tenantId: Id): string[] => [`places:${kind}:${tenantId}`, `places:${kind}:${tenantId}:holders`]
  let cancel = () => {}

  function note(tenantId: Id, holder: string, name: string): true {
    const ours = mine.get(tenantId) ?? new Map<string, string>()
    mine.set(tenantId, ours.set(holder, name))
    return true
  }

  function forget(tenantId: Id, holder: string): boolean {
    const ours = mine.get(tenantId)
    const known = ours?.delete(holder) ?? false
    if (ours?.size === 0) mine.delete(tenantId)
    return known
  }

  /** Where there is room, it is noted in the same moment: without Redis nobody else counts. */
  function enter(tenantId: Id, holder: string, name: string, max: number): Promise<boolean> {
    return runScript<number>(redis, scripts.take, keysOf(tenantId), [name, holder, leaseMs, max]).then(
      (taken) => taken === 1 && note(tenantId, holder, name),
      () => (mine.get(tenantId)?.size ?? 0) < max && note(tenantId, holder, name),
    )
  }

  async function renew(): Promise<void> {
    await Promise.all([...mine].map(([tenantId, ours]) => runScript(redis, scripts.renew, keysOf(tenantId), [leaseMs, ...[...ours].flatMap(([holder, name]) => [name, holder])]).catch(() => {})))
  }

  const schedule = (): void => {
    cancel = clock.after(leaseMs / RENEWALS, () => void renew().finally(schedule))
  }
  schedule()

  return {
    async take(tenantId, name, max) {
      const holder = newId()
      if (!(await enter(tenantId, holder, name, max))) return null
      return {
        async release() {
          if (forget(tenantId, holder)) await runScript(redis, scripts.release, keysOf(tenantId), [name, holder]).catch(() => {})
        },
      }
    },
    close: () => cancel(),
  }
}
