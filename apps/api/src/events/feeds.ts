import type { Id, Logger } from '@trunkline/core'
import { compareEventIds, eventsTopic, type Bell, type EventBus, type GapReason } from '@trunkline/db'
import type { Limits } from './limits.ts'
import { writeFrames, type Frame, type ViewDeps } from './view.ts'

/** Somebody who hears a tenant. */
export type Listener = {
  /** New events, in order. `position`: everything up to here has been told. */
  hear(frames: readonly Frame[], position: string): void
  /** Something may be missing; what comes now lies after `position`. */
  miss(reason: GapReason, position: string): void
}

export type Feeds = {
  /** Resolves when everything after `position()` will be told. Throws when Redis does not answer. */
  join(tenantId: Id, listener: Listener): Promise<{ position(): string; leave(): void }>
  close(): void
}

export type FeedDeps = ViewDeps & { events: Pick<EventBus, 'watch' | 'read'>; bell: Pick<Bell, 'listen'>; log: Logger }

/** What this process reads of one tenant, for all who listen to it here. */
type Feed = { tenantId: Id; listeners: Set<Listener>; position: string; reading: boolean; again: boolean; opened: Promise<void>; unlisten(): void }

/** Reads each tenant's stream once for all listeners of the process: when the bell rings, and because a ring may be missed, by looking. */
export function createFeeds(deps: FeedDeps, limits: Limits): Feeds {
  const { events, bell, log } = deps
  const feeds = new Map<Id, Feed>()
  const all = (work: (feed: Feed) => void) => () => feeds.forEach(work)
  const timers = [setInterval(all((feed) => void read(feed)), limits.sweepMs), setInterval(all((feed) => void renew(feed)), limits.renewMs)]
  for (const timer of timers) timer.unref()

  function feedOf(tenantId: Id): Feed {
    const known = feeds.get(tenantId)
    if (known) return known
    const feed: Feed = { tenantId, listeners: new Set(), position: '', reading: false, again: false, opened: Promise.resolve(), unlisten: () => {} }
    feeds.set(tenantId, feed)
    feed.opened = open(feed)
    return feed
  }

  async function open(feed: Feed): Promise<void> {
    const { position, isNew } = await events.watch(feed.tenantId)
    feed.position = position
    if (feeds.get(feed.tenantId) !== feed) return
    feed.unlisten = bell.listen(eventsTopic(feed.tenantId), () => void read(feed))
    if (isNew) await new Promise((resolve) => setTimeout(resolve, limits.settleMs))
  }

  function drop(feed: Feed): void {
    if (feeds.get(feed.tenantId) === feed) feeds.delete(feed.tenantId)
    feed.unlisten()
  }

  /** The watch is said again. One that was lost with Redis shows in the next page. */
  const renew = (feed: Feed) => events.watch(feed.tenantId).then(() => read(feed)).catch((error: unknown) => log.debug({ error }, 'a watch of live events was not renewed'))

  /** Never twice at once; a ring during a read reads once more. What fails is tried again by the next sweep. */
  async function read(feed: Feed): Promise<void> {
    feed.again = true
    if (feed.reading || feed.position === '') return
    feed.reading = true
    try {
      while (feed.again && feed.listeners.size > 0) {
        feed.again = false
        await readPage(feed)
      }
    } catch (error) {
      log.warn({ tenantId: feed.tenantId, error }, 'live events could not be read; the next sweep tries again')
    } finally {
      feed.reading = false
    }
  }

  async function readPage(feed: Feed): Promise<void> {
    const page = await events.read(feed.tenantId, feed.position, limits.pageSize)
    if (page.state !== 'whole') return beginAnew(feed)
    const frames = page.events.length === 0 ? [] : await writeFrames(deps, feed.tenantId, page.events)
    if (page.full) feed.again = true
    feed.position = page.next
    for (const listener of feed.listeners) listener.hear(frames, feed.position)
  }

  /** Redis has lost the watch, or was faster than we. */
  async function beginAnew(feed: Feed): Promise<void> {
    const { position } = await events.watch(feed.tenantId)
    feed.position = position
    feed.again = true
    for (const listener of feed.listeners) listener.miss('lost', position)
  }

  return {
    async join(tenantId, listener) {
      const feed = feedOf(tenantId)
      feed.listeners.add(listener)
      const leave = () => {
        feed.listeners.delete(listener)
        if (feed.listeners.size === 0) drop(feed)
      }
      try {
        await feed.opened
      } catch (error) {
        leave()
        throw error
      }
      void read(feed)
      return { position: () => feed.position, leave }
    },
    close() {
      for (const timer of timers) clearInterval(timer)
      feeds.forEach(drop)
    },
  }
}

/** Whether `a` lies after `b`. */
export const isAfter = (a: string, b: string): boolean => compareEventIds(a, b) > 0
