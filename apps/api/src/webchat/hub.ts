import type { Id, Logger } from '@trunkline/core'
import { webchat, type Bell, type Db } from '@trunkline/db'
import type { Limits } from './limits.ts'

/** Somebody who waits for a visitor's messages: a socket or a long poll. */
export type Listener = {
  /** There may be something to read. */
  wake(): void
  typing(): void
  /** Something it saw is about to leave: it wants to look at every sweep. */
  restless: boolean
}

export type Hub = {
  /** Returns a function that stops it. */
  watch(visitor: webchat.Visitor, listener: Listener): () => void
  close(): void
}

type Watched = { visitor: webchat.Visitor; listeners: Set<Listener>; unlisten: () => void; /** Messages at the last sweep. */ held: number }

const SWEEP_BATCH = 500

/**
 * Wakes those who wait for a visitor: when the bell rings, and because a ring may be missed, by looking. One statement of a sweep
 * asks for hundreds of visitors whether anything was written; only who has something new reads.
 */
export function createHub(deps: { bell: Pick<Bell, 'listen'>; db: Db; log: Logger }, limits: Limits): Hub {
  const watched = new Map<string, Watched>()
  let sweeps = 0
  let sweeping = false

  async function sweep(): Promise<void> {
    if (sweeping || watched.size === 0) return
    sweeping = true
    sweeps += 1
    try {
      const byTenant = Map.groupBy(watched.values(), (each) => each.visitor.tenantId)
      for (const [tenantId, all] of byTenant) {
        for (let start = 0; start < all.length; start += SWEEP_BATCH) await sweepSome(tenantId, all.slice(start, start + SWEEP_BATCH))
      }
    } catch (error) {
      deps.log.warn({ error }, 'the sweep of web chats failed; the next one looks again')
    } finally {
      sweeping = false
    }
  }

  async function sweepSome(tenantId: Id, some: Watched[]): Promise<void> {
    const counts = await deps.db.tenant(tenantId, (tx) => webchat.messageCounts(tx, tenantId, some.map((each) => each.visitor)))
    // A message that is sent again by hand changes no count, so everybody reads now and then.
    const full = sweeps % limits.sweepsPerFullRead === 0
    for (const [index, each] of some.entries()) {
      const changed = full || counts[index] !== each.held
      each.held = counts[index]!
      for (const listener of each.listeners) if (changed || listener.restless) listener.wake()
    }
  }

  const timer = setInterval(() => void sweep(), limits.sweepMs)
  timer.unref()

  function begin(visitor: webchat.Visitor, key: string): Watched {
    const listeners = new Set<Listener>()
    const hear = (word: string) => {
      const typing = isTyping(word)
      for (const listener of listeners) {
        if (typing) listener.typing()
        else listener.wake()
      }
    }
    const made = { visitor, listeners, held: -1, unlisten: deps.bell.listen(`webchat:${key}`, hear) }
    watched.set(key, made)
    return made
  }

  return {
    watch(visitor, listener) {
      const key = `${visitor.numberId}:${visitor.visitorId}`
      const found = watched.get(key) ?? begin(visitor, key)
      found.listeners.add(listener)
      return () => {
        found.listeners.delete(listener)
        if (found.listeners.size > 0 || watched.get(key) !== found) return
        watched.delete(key)
        found.unlisten()
      }
    },
    close() {
      clearInterval(timer)
      for (const each of watched.values()) each.unlisten()
      watched.clear()
    },
  }
}

/** The ring of the channel's client carries what it would have sent. Only the kind counts: truth is in Postgres. */
function isTyping(word: string): boolean {
  try {
    const payload: unknown = JSON.parse(word)
    return typeof payload === 'object' && payload !== null && 'type' in payload && payload.type === 'typing'
  } catch {
    return false
  }
}
