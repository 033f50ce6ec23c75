import type { Id } from '@trunkline/core'
import type { Redis } from 'ioredis'

// One hash tag, so that every script's keys live on one node of a cluster.
const TAG = '{events}:'
export const WATCHED_KEY = `${TAG}watched`
/** Processes that tell events, by when they last said that they live. */
export const PUBLISHERS_KEY = `${TAG}publishers`
export const sinceKey = (tenantId: Id): string => `${TAG}since:${tenantId}`
export const streamKey = (tenantId: Id): string => `${TAG}of:${tenantId}`

/** Channels are not keys: the client does not prefix them. */
export const watchChannel = (redis: Redis): string => `${redis.options.keyPrefix ?? ''}${TAG}watches`

/** The topic of the bell that rings when a tenant has new events. */
export const eventsTopic = (tenantId: Id): string => `events:${tenantId}`

/** Tests change them; processes that share a Redis must not differ. */
export const EVENT_LIMITS = {
  /** Events kept for each tenant that is listened to; about 300 bytes each. */
  kept: 10_000,
  /** How long after the last listener has gone a client may come back and go on where it was. */
  watchMs: 15 * 60_000,
  /** A stream outlives its watch, so that a watch that stands always has its stream. */
  streamGraceMs: 60_000,
  /** Publishers ask who is listened to, beside being told. */
  refreshMs: 30_000,
  /** Publishers say that they live. */
  rollMs: 5_000,
  /** Events that wait for Redis in a publisher; further ones are dropped, and the tenants are told of a gap. */
  waitingMax: 10_000,
}
export type EventLimits = typeof EVENT_LIMITS
