import { Readable } from 'node:stream'
import { AppError, type ChannelClient, messageChannel, type MessageChannelId, type Channel, type Logger } from '@trunkline/core'
import { holdObject, markMediaFailed, markMediaStored, takeDueMedia, type Db, type DueMedia, type MediaStore, type NumberRouting } from '@trunkline/db'
import { configOf } from './deliver.ts'

const BATCH = 10
const LEASE_MS = 180_000
const TIMEOUT_MS = 60_000
const BYTES_MAX = 100 * 1024 * 1024

type Deps = { db: Db; log: Logger; routing: NumberRouting; store: MediaStore; clients: Record<MessageChannelId, ChannelClient>; channels: Record<MessageChannelId, Channel> }

/** Fetches what is due. A file has its own life: it is tried for days, whatever became of its message. */
export async function downloadDueMedia(deps: Deps, signal: AbortSignal): Promise<number> {
  let stored = 0
  for (;;) {
    const due = await deps.db.system('schedule', (tx) => takeDueMedia(tx, BATCH, LEASE_MS))
    if (due.length === 0 || signal.aborted) return stored
    const results = await Promise.all(due.map((media) => downloadOne(deps, media, signal)))
    stored += results.filter(Boolean).length
  }
}

async function downloadOne(deps: Deps, media: DueMedia, signal: AbortSignal): Promise<boolean> {
  try {
    const number = await deps.routing.numberForRouting(media.numberId)
    if (!number) throw new AppError('not_found')
    const fetched = await deps.clients[messageChannel(number.channel)].fetchMedia(configOf(number), media.source, BYTES_MAX, AbortSignal.any([signal, AbortSignal.timeout(TIMEOUT_MS)]))
    const object = await deps.store.put(media.tenantId, Readable.from([fetched.bytes]), { maxBytes: BYTES_MAX })
    await deps.db.system('schedule', async (tx) => {
      await holdObject(tx, deps.store, object.key)
      await markMediaStored(tx, media.id, { storageKey: object.key, sha256: object.sha256, sizeBytes: object.sizeBytes, mimeType: fetched.mimeType })
    })
    return true
  } catch (error) {
    const code = error instanceof AppError ? error.code : 'internal'
    const final = error instanceof AppError && !error.retry
    deps.log.warn({ mediaId: media.id, attempt: media.attempts, code }, 'media download failed')
    await deps.db.system('schedule', (tx) => markMediaFailed(tx, media.id, code, final ? null : new Date(Date.now() + backOffMs(media.attempts))))
    return false
  }
}

/** 30 s, doubling, at most every 6 hours: a supplier's outage of hours is outlived, and it is not hammered. */
const backOffMs = (attempts: number) => Math.min(30_000 * 2 ** (attempts - 1), 6 * 3_600_000)
