import { webchat } from '@trunkline/db'
import type { ApiDeps } from '../deps.ts'
import type { Held } from './held.ts'
import type { Limits } from './limits.ts'
import { messageView, type MessageView } from './view.ts'

export type ReadDeps = Pick<ApiDeps, 'db' | 'keyring' | 'clock' | 'config'>

const BATCH = 100

/** What was found, in order, and marked as held. `restless`: something is about to leave. `more`: ask again at once. */
export type Found = { messages: MessageView[]; restless: boolean; more: boolean }

/**
 * Reads what `held` lacks. A message of ours that is about to leave holds back what follows it, so that nothing is shown out of
 * order; after a minute it is passed, and stays a hole that is looked at again.
 */
export async function readMissing(deps: ReadDeps, limits: Limits, visitor: webchat.Visitor, held: Held): Promise<Found> {
  const rows = await deps.db.tenant(visitor.tenantId, (tx) => webchat.between(tx, visitor, held.missing(), BATCH))
  const messages: MessageView[] = []
  let [restless, blocked] = [false, false]
  const end = held.last
  for (const row of rows) {
    if (row.visible) {
      held.add(row.position)
      messages.push(messageView(deps, visitor, row))
    } else if (row.leaving) {
      restless = true
      blocked = row.position > end && deps.clock.nowMs() - row.createdAt.getTime() < limits.leavingMs
      if (blocked) break
    }
  }
  const full = rows.length === BATCH && !blocked
  // A whole batch that may not be seen would stop the reader for ever.
  if (full && messages.length === 0) for (const row of rows) held.add(row.position)
  return { messages, restless, more: full }
}

/** The last messages before a position, oldest first. */
export async function readPage(deps: ReadDeps, visitor: webchat.Visitor, before: number, limit: number): Promise<{ messages: MessageView[]; hasMore: boolean }> {
  const rows = await deps.db.tenant(visitor.tenantId, (tx) => webchat.latest(tx, visitor, before, limit + 1))
  const shown = rows.slice(0, limit).filter((row) => row.visible)
  return { messages: shown.toReversed().map((row) => messageView(deps, visitor, row)), hasMore: rows.length > limit }
}
