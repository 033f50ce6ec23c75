import { extractLead, historyItem, nextExtraction, type Breakers, type Intervals, type VendorDirectory } from '@trunkline/agents'
import { estimateLead, rateLead } from '@trunkline/billing'
import { newId, type Clock, type Id, type Logger } from '@trunkline/core'
import {
  insertUsage, leadTranscript, ledger, openJson, postponeExtraction, storeExtraction, takeDueConversations,
  type Db, type DueConversation, type Keyring, type NumberRouting,
} from '@trunkline/db'

const BATCH = 20
const LEASE_MS = 180_000
const MAX_TOKENS = { maxInputTokens: 32_000, maxOutputTokens: 1_500 }

type Deps = { db: Db; keyring: Keyring; clock: Clock; log: Logger; vendors: VendorDirectory; routing: NumberRouting; breakers: Breakers; intervals: Intervals; onLead?: (conversationId: Id, tenantId: Id) => void }

/** Looks at every conversation whose deadline has come. Once per state: a second run over the same messages stores nothing. */
export async function extractDueLeads(deps: Deps, signal: AbortSignal): Promise<number> {
  let extracted = 0
  for (;;) {
    const due = await deps.db.system('schedule', (tx) => takeDueConversations(tx, BATCH, LEASE_MS))
    if (due.length === 0 || signal.aborted) return extracted
    const results = await Promise.all(due.map((conversation) => extractOne(deps, conversation, signal)))
    extracted += results.filter(Boolean).length
  }
}

async function extractOne(deps: Deps, due: DueConversation, signal: AbortSignal): Promise<boolean> {
  const nowMs = deps.clock.nowMs()
  const nextMs = nextExtraction(
    { firstUnextractedAtMs: due.firstUnextractedAt.getTime(), lastMessageAtMs: due.lastMessageAt.getTime(), nowMs, failures: 0 },
    deps.intervals,
  )
  if (!due.callEnded && nextMs !== null && nextMs > nowMs) {
    await deps.db.system('schedule', (tx) => postponeExtraction(tx, due.id, new Date(nextMs), false))
    return false
  }
  try {
    return await extractAndStore(deps, due, signal)
  } catch (error) {
    deps.log.warn({ conversationId: due.id, failures: due.failures + 1, error }, 'lead extraction failed')
    await deps.db.system('schedule', (tx) => postponeExtraction(tx, due.id, new Date(nowMs + deps.intervals.quietMs), true))
    return false
  }
}

async function extractAndStore(deps: Deps, due: DueConversation, signal: AbortSignal): Promise<boolean> {
  const number = await deps.routing.numberForRouting(due.numberId)
  const content = number?.agent?.content
  const vendor = content && content.vendor !== 'rules' ? await deps.vendors.find(content.vendor, due.tenantId) : null
  const atMs = deps.clock.nowMs()
  const hold = await holdLead(deps, due, estimateLead({ atMs, models: content ? [{ vendor: content.vendor, model: content.model }] : [], maxCalls: 2, ...MAX_TOKENS }))
  if (!hold) {
    await deps.db.system('schedule', (tx) => postponeExtraction(tx, due.id, new Date(atMs + deps.intervals.quietMs), true))
    return false
  }
  const rows = await deps.db.tenant(due.tenantId, (tx) => leadTranscript(tx, due.id, due.lastSeq))
  const found = await extractLead(
    { messages: rows.map((row) => historyItem({ ...row, content: openJson(deps.keyring, row.contentSealed, due.tenantId) })), ...(content ? { prompt: content.instructions } : {}), model: content?.model ?? 'rules', nowMs: atMs, signal },
    { vendor, clock: deps.clock, log: deps.log, breakers: deps.breakers },
  )
  const charge = rateLead({ atMs, usage: found.usage })
  const stored = await deps.db.system('schedule', async (tx) => {
    const fresh = await storeExtraction(tx, due, found.fields, found.extractedBy, deps.intervals.quietMs)
    const usage = found.usage.map((each, index) => ({ ...each, costMicros: charge.callMicros[index] ?? 0n }))
    insertUsage(tx, [{ tenantId: due.tenantId, projectId: due.projectId, conversationId: due.id, turnId: null, usage }])
    const base = { tenantId: due.tenantId, holdId: hold.holdId, turnId: null }
    if (fresh) await ledger.settleMany(tx, [{ ...base, amountMicros: charge.totalMicros, memo: 'lead', details: { conversation_id: due.id }, idempotencyKey: `settle:${hold.key}` }])
    else await ledger.voidMany(tx, [{ ...base, memo: 'extracted before', idempotencyKey: `void:${hold.key}` }])
    return fresh
  })
  if (stored) deps.onLead?.(due.id, due.tenantId)
  return stored
}

/** One hold per try: a failed try's hold expires by itself. Null: the balance does not cover it; tried again later. */
async function holdLead(deps: Deps, due: DueConversation, amountMicros: bigint): Promise<{ holdId: Id; key: string } | null> {
  const holdId = newId()
  const key = `lead:${due.id}:${due.lastSeq}:${holdId}`
  const expiresAtMs = deps.clock.nowMs() + LEASE_MS * 2
  const outcome = await deps.db.system('ledger', (tx) => ledger.holdMany(tx, [{ tenantId: due.tenantId, holdId, turnId: null, amountMicros, idempotencyKey: `hold:${key}`, expiresAtMs }]))
  return outcome.get(holdId) === 'held' ? { holdId, key } : null
}
