export const QUIET_MS = 5 * 60_000
export const LATEST_MS = 15 * 60_000
/** A conversation whose extraction fails this often in a row is left until something new is said. */
export const ATTEMPTS_MAX = 6

/** Shorter ones are for demonstrations and tests. */
export type Intervals = { quietMs: number; latestMs: number }

export type ExtractionState = {
  /** null: nothing has been said since the last extraction. */
  firstUnextractedAtMs: number | null
  lastMessageAtMs: number
  nowMs: number
  /** Failures in a row for the present state. */
  failures: number
  /** When the last one happened; needed when `failures` is above 0. */
  lastFailureAtMs?: number
}

/**
 * When to extract next: 5 minutes after the last message, at the latest 15 after the first unextracted one; after a failure at the next
 * interval. Never in the past. null: nothing to do.
 */
export function nextExtraction(state: ExtractionState, intervals: Intervals = { quietMs: QUIET_MS, latestMs: LATEST_MS }): number | null {
  if (state.firstUnextractedAtMs === null || state.failures >= ATTEMPTS_MAX) return null
  const dueAtMs = Math.min(state.lastMessageAtMs + intervals.quietMs, state.firstUnextractedAtMs + intervals.latestMs)
  const retryAtMs = state.failures > 0 ? (state.lastFailureAtMs ?? state.nowMs) + intervals.quietMs : -Infinity
  return Math.max(dueAtMs, retryAtMs, state.nowMs)
}

/** The same state is extracted once, however often the job is run. */
export const extractionKey = (conversationId: string, lastMessageSeq: number | bigint) => `lead:${conversationId}:${lastMessageSeq}`
