import { AppError, type Id } from '@trunkline/core'
import type { Redis } from 'ioredis'
import { loadScript, runScript } from '../redis/script.ts'
import { openJson, type Keyring } from '../seal.ts'
import { StoredEvent, type LiveEvent } from './contract.ts'
import { sinceKey, streamKey, watchChannel, WATCHED_KEY, type EventLimits } from './keys.ts'
import { compareEventIds } from './place.ts'

/** Where a listener stands. */
export type Watch = {
  /** Events after this id are all there, as long as the watch stands. */
  since: string
  /** The last event's id, or `since`: who begins now begins after it. */
  position: string
  /** Publishers hear of it at this moment: what they commit within the next milliseconds may still pass unheard. */
  isNew: boolean
}

/** `ended`: the watch has ended or was lost with Redis; begin another. `gap`: what came after `after` is not all there. */
export type Page = { state: 'ended' } | { state: 'gap' } | { state: 'whole'; events: LiveEvent[]; /** As many as were asked for: there may be more. */ full: boolean; /** The id to go on after. */ next: string }

export type EventStream = {
  /** Says that somebody listens to the tenant, for the next 15 minutes: call it again meanwhile. Throws when Redis does not answer. */
  watch(tenantId: Id): Promise<Watch>
  /** The events after one, in order. Throws when Redis does not answer. */
  read(tenantId: Id, after: string, limit: number): Promise<Page>
}

const scripts = { watch: loadScript('watch-events'), read: loadScript('read-events') }

export function createEventStream(redis: Redis, keyring: Keyring, limits: EventLimits): EventStream {
  /** An event that does not open (a key was thrown away) or that a newer version wrote is passed. */
  function opened(tenantId: Id, id: string, sealed: string): LiveEvent[] {
    try {
      return [{ ...StoredEvent.parse(openJson(keyring, Buffer.from(sealed, 'base64'), tenantId)), id }]
    } catch {
      return []
    }
  }

  return {
    async watch(tenantId) {
      const keys = [WATCHED_KEY, sinceKey(tenantId), streamKey(tenantId)]
      const [since, tail, fresh] = await runScript<[string, string, number]>(redis, scripts.watch, keys, [tenantId, limits.watchMs, limits.streamGraceMs, watchChannel(redis)])
      return { since, position: tail !== '' && compareEventIds(tail, since) > 0 ? tail : since, isNew: fresh === 1 }
    },
    async read(tenantId, after, limit) {
      const answer = await runScript<string[]>(redis, scripts.read, [sinceKey(tenantId), streamKey(tenantId)], [after, limit, limits.kept])
      const [state, , , ...entries] = answer
      if (state === undefined) throw new AppError('internal', { message: 'Redis gave no page of events.' })
      if (state === '') return { state: 'ended' }
      if (state === 'gap') return { state: 'gap' }
      const events: LiveEvent[] = []
      for (let at = 0; at < entries.length; at += 2) events.push(...opened(tenantId, entries[at]!, entries[at + 1]!))
      return { state: 'whole', events, full: entries.length / 2 === limit, next: entries.at(-2) ?? after }
    },
  }
}
