import { historyItem, summarise, type Breakers, type VendorDirectory } from '@trunkline/agents'
import { estimateModels, rateModels } from '@trunkline/billing'
import { newId, type Clock, type Id, type Logger, type ModelUsage } from '@trunkline/core'
import { callTranscript, insertUsage, ledger, openJson, sealJson, storeSummary, takeDueSummaries, type Db, type DueSummary, type Keyring, type NumberRouting } from '@trunkline/db'

type Deps = { db: Db; keyring: Keyring; clock: Clock; log: Logger; vendors: VendorDirectory; routing: NumberRouting; breakers: Breakers }

const BATCH = 20
const LEASE_MS = 120_000
const MAX_TOKENS = { maxCalls: 1, maxInputTokens: 32_000, maxOutputTokens: 400 }

/** Summarises every call that has ended since the last time. A tenant without credit gets the summary of the rules. */
export async function summariseCalls(deps: Deps, signal: AbortSignal): Promise<void> {
  for (;;) {
    const due = await deps.db.system('schedule', (tx) => takeDueSummaries(tx, BATCH, LEASE_MS))
    if (due.length === 0 || signal.aborted) return
    await Promise.all(due.map((call) => summariseOne(deps, call, signal).catch((error: unknown) => deps.log.warn({ callId: call.callId, error }, 'a call could not be summarised; trying again'))))
  }
}

async function summariseOne(deps: Deps, due: DueSummary, signal: AbortSignal): Promise<void> {
  const { callId, tenantId } = due
  const content = (await deps.routing.numberForRouting(due.numberId))?.agent?.content
  const vendor = content && content.vendor !== 'rules' ? await deps.vendors.find(content.vendor, tenantId) : null
  const atMs = deps.clock.nowMs()
  const holdId = vendor && content ? await hold(deps, due, estimateModels({ atMs, models: [{ vendor: content.vendor, model: content.model }], ...MAX_TOKENS }), atMs) : null
  const rows = await deps.db.tenant(tenantId, (tx) => callTranscript(tx, callId))
  const messages = rows.map((row) => historyItem({ ...row, content: openJson(deps.keyring, row.contentSealed, tenantId) }))
  const { text, usage } = await summarise(messages, holdId && vendor && content ? { vendor, model: content.model } : null, deps, signal)
  await store(deps, due, { text, usage, holdId, atMs })
}

async function hold({ db }: Deps, { callId, tenantId }: DueSummary, amountMicros: bigint, atMs: number): Promise<Id | null> {
  const holdId = newId()
  const outcome = await db.system('ledger', (tx) => ledger.holdMany(tx, [{ tenantId, holdId, turnId: null, amountMicros, idempotencyKey: `hold:call-summary:${callId}:${holdId}`, expiresAtMs: atMs + LEASE_MS * 2 }]))
  return outcome.get(holdId) === 'held' ? holdId : null
}

type Made = { text: string; usage: ModelUsage[]; holdId: Id | null; atMs: number }

async function store({ db, keyring }: Deps, { callId, tenantId, projectId, conversationId }: DueSummary, { text, usage, holdId, atMs }: Made): Promise<void> {
  const charge = rateModels({ atMs, usage })
  await db.system('schedule', async (tx) => {
    const fresh = await storeSummary(tx, callId, sealJson(keyring, { text }, tenantId), charge.totalMicros)
    insertUsage(tx, [{ tenantId, projectId, conversationId, turnId: null, usage: usage.map((each, index) => ({ ...each, costMicros: charge.callMicros[index] ?? 0n })) }])
    if (!holdId) return
    const base = { tenantId, holdId, turnId: null }
    if (fresh && charge.totalMicros > 0n) await ledger.settleMany(tx, [{ ...base, amountMicros: charge.totalMicros, memo: 'call summary', details: { call_id: callId }, idempotencyKey: `settle:call-summary:${callId}` }])
    else await ledger.voidMany(tx, [{ ...base, memo: fresh ? 'the rules did it' : 'summarised before', idempotencyKey: `void:call-summary:${holdId}` }])
  })
}
