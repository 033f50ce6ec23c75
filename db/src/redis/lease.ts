import type { Id } from '@trunkline/core'
import type { Redis } from 'ioredis'
import { channelPrefix, LEASE_KEYS, slices } from './ready.ts'
import { loadScript, runScript } from './script.ts'

const scripts = { heartbeat: loadScript('heartbeat', 'slices', 'leases'), release: loadScript('release', 'slices', 'leases') }

/** A lease limits waiting only. Who may commit is decided by the epoch in Postgres. */
export type Lease = { numberId: Id; /** Wake-ups seen; -1 in a release means "do not ask". */ seen: number }
export type Release = Lease & { /** Until it is ready again; null when no work remains. */ againInMs: number | null }

/** All slices of a call leave at once: what is said later is heard later. Only a server that has forgotten a script hears that call twice, and late. */
export type LeaseBook = {
  /** Prolongs; answers each lease's count of wake-ups, or -1 where another owner holds it. In the order given. */
  heartbeat(owner: string, leaseMs: number, numberIds: readonly Id[]): Promise<number[]>
  /** Answers 0 where it was released, -1 where another owner holds it, else the count of wake-ups for which it was kept. */
  release(owner: string, releases: readonly Release[]): Promise<number[]>
  /**
   * Calls back when a number of this owner is woken, with its count of wake-ups, and with null when the line to Redis was
   * new: anything may have been missed. Resolves to a function that ends it.
   */
  listen(owner: string, onWake: (news: { numberId: Id; count: number } | null) => void): Promise<() => void>
}

export function createLeaseBook(redis: Redis): LeaseBook {
  return {
    async heartbeat(owner, leaseMs, numberIds) {
      const counts = [...slices(numberIds)].map((slice) => runScript<number[]>(redis, scripts.heartbeat, LEASE_KEYS, [owner, leaseMs, ...slice]))
      return (await Promise.all(counts)).flat()
    },
    async release(owner, releases) {
      const answers = [...slices(releases)].map((slice) => {
        const args = slice.flatMap(({ numberId, seen, againInMs }) => [numberId, seen, againInMs === null ? -1 : Math.ceil(againInMs)])
        return runScript<number[]>(redis, scripts.release, LEASE_KEYS, [owner, ...args])
      })
      return (await Promise.all(answers)).flat()
    },
    async listen(owner, onWake) {
      return subscribe(redis, `owner:${owner}`, (text) => {
        if (text === null) return onWake(null)
        for (const part of text.split(',')) {
          const at = part.lastIndexOf('=')
          onWake({ numberId: part.slice(0, at), count: Number(part.slice(at + 1)) })
        }
      })
    },
  }
}

/** Subscribes on a connection of its own, again after every reconnect; then `onMessage(null)` says that some may be missing. */
export async function subscribe(redis: Redis, channel: string, onMessage: (text: string | null) => void): Promise<() => void> {
  const connection = redis.duplicate({ keyPrefix: '', enableAutoPipelining: false, autoResubscribe: false, lazyConnect: true })
  const name = channelPrefix(redis) + channel
  connection.on('error', () => {})
  connection.on('message', (_channel: string, text: string) => onMessage(text))
  const { promise, resolve } = Promise.withResolvers<void>()
  connection.on('ready', () => {
    connection.subscribe(name).then(
      () => {
        resolve()
        onMessage(null)
      },
      () => connection.disconnect(true),
    )
  })
  connection.connect().catch(() => {})
  // A Redis that is away now is found later by the client; the caller's work does not wait for it.
  await Promise.race([promise, new Promise((giveUp) => setTimeout(giveUp, 1_000).unref())])
  return () => connection.disconnect()
}
