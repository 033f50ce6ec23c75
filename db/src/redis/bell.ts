import type { Redis } from 'ioredis'
import { clientOf } from './client.ts'
import type { RedisOptions } from './connect.ts'

/**
 * Short words between processes: "there is something to send", "this visitor has a new message". A bell may be missed (Redis
 * away, nobody listening): whoever listens also looks by itself from time to time. Truth is in Postgres.
 */
export type Bell = {
  ring(topic: string, word?: string): void
  /** Returns a function that stops listening. */
  listen(topic: string, hear: (word: string) => void): () => void
  /** Resolves when what is said on a topic that is listened to is heard from now on. */
  listening(topic: string): Promise<void>
  close(): void
}

export function createBell(redis: Redis, options: RedisOptions): Bell {
  const prefix = options.prefix ?? 'tl:'
  const listeners = new Map<string, Set<(word: string) => void>>()
  const opening = new Map<string, Promise<unknown>>()
  const subscriber = clientOf(options.url, { maxRetriesPerRequest: null, retryStrategy: (attempt) => Math.min(50 * attempt, 1_000) })
  subscriber.on('error', (error: Error) => options.onError?.(error))
  subscriber.on('message', (channel: string, word: string) => {
    for (const hear of listeners.get(channel) ?? []) hear(word)
  })
  const channelOf = (topic: string) => `${prefix}bell:${topic}`

  function unlisten(channel: string, hear: (word: string) => void): void {
    const heard = listeners.get(channel)
    heard?.delete(hear)
    if (heard?.size !== 0) return
    listeners.delete(channel)
    opening.delete(channel)
    subscriber.unsubscribe(channel).catch(() => {})
  }

  return {
    ring(topic, word = '') {
      redis.publish(channelOf(topic), word).catch(() => {})
    },
    listen(topic, hear) {
      const channel = channelOf(topic)
      const heard = listeners.get(channel)
      if (heard) heard.add(hear)
      else {
        listeners.set(channel, new Set([hear]))
        opening.set(channel, subscriber.subscribe(channel).catch(() => {}))
      }
      return () => unlisten(channel, hear)
    },
    async listening(topic) {
      await opening.get(channelOf(topic))
    },
    close: () => subscriber.disconnect(),
  }
}
