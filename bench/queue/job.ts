import type { Totals } from './diary.ts'

export type QueueJob = { databaseUrl: string; redisUrl: string; numbers: { id: string; tenantId: string }[]; messages: number; run: string }
/** `givenMs`: until the last one was accepted; `elapsedMs`: until the last one was done. */
export type QueueResult = Totals & { givenMs: number; elapsedMs: number }

/** Callers that wait for their message to be taken. */
export const AT_ONCE = 200
/** Before the second try, in both queues. */
export const RETRY_MS = 100
