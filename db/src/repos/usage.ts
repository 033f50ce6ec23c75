import { newId, type Id, type Micros, type ModelUsage, type SpeechUsage } from '@trunkline/core'
import { idFloor } from './page.ts'
import type { Tx } from '../tenancy.ts'

/** One measured call of a model, or use of an engine of speech, and what it costs, rated when it was measured. */
export type VendorUse = { kind: 'speech'; usage: SpeechUsage; costMicros: Micros } | { kind: 'model'; usage: ModelUsage; costMicros: Micros }

/** What uses were for. `causedBy`: where that is no turn and no call (`request:<id>`, `session:<id>`). */
export type UsePlace = { tenantId: Id; projectId: Id | null; conversationId: Id | null; callId: Id | null; causedBy: string | null }

/** Writes down what was used, in the transaction that charges it. */
export async function insertUses(tx: Tx, place: UsePlace, uses: readonly VendorUse[]): Promise<void> {
  if (uses.length === 0) return
  const rows = uses.map(rowOf)
  await tx.query(
    `INSERT INTO usage_records (tenant_id, project_id, conversation_id, call_id, caused_by, id, vendor, model, purpose, input_tokens, cached_input_tokens, output_tokens, audio_ms, characters, latency_ms, first_token_ms, outcome, cost_micros, request_id, own_key)
     SELECT $1, $2, $3, $4, $5, i.* FROM unnest($6::uuid[], $7::text[], $8::text[], $9::text[], $10::int[], $11::int[], $12::int[], $13::bigint[], $14::int[], $15::int[], $16::int[], $17::text[], $18::bigint[], $19::text[], $20::boolean[]) AS i`,
    [
      place.tenantId, place.projectId, place.conversationId, place.callId, place.causedBy,
      rows.map(() => newId()),
      rows.map((row) => row.vendor),
      rows.map((row) => row.model),
      rows.map((row) => row.purpose),
      rows.map((row) => row.inputTokens),
      rows.map((row) => row.cachedInputTokens),
      rows.map((row) => row.outputTokens),
      rows.map((row) => Math.round(row.audioMs)),
      rows.map((row) => row.characters),
      rows.map((row) => Math.round(row.latencyMs)),
      rows.map((row) => (row.first === null ? null : Math.round(row.first))),
      rows.map((row) => row.outcome),
      rows.map((row) => row.costMicros.toString()),
      rows.map((row) => row.requestId),
      rows.map((row) => row.ownKey ?? false),
    ],
    'usage_uses',
  )
}

const rowOf = (use: VendorUse) =>
  use.kind === 'model'
    ? { ...use.usage, audioMs: 0, characters: 0, first: use.usage.firstTokenMs, costMicros: use.costMicros }
    : { ...use.usage, vendor: use.usage.engine, purpose: use.usage.kind, inputTokens: 0, cachedInputTokens: 0, outputTokens: 0, first: use.usage.firstResultMs, costMicros: use.costMicros }

/** What usage can be counted by. `day` is a UTC date. Calls outside a conversation have no number. */
export const USAGE_DIMENSIONS = ['day', 'vendor', 'model', 'purpose', 'own_key', 'project', 'number', 'tenant'] as const
export type UsageDimension = (typeof USAGE_DIMENSIONS)[number]

export type UsageTotals = { calls: number; failedCalls: number; inputTokens: number; cachedInputTokens: number; outputTokens: number; audioMs: number; characters: number; costMicros: Micros }

export type UsageRow = UsageTotals & { by: Partial<Record<UsageDimension, string | null>> }

export type UsageFilter = {
  /** Inclusive and exclusive. */
  from: Date
  to: Date
  tenantId?: Id
  projectId?: Id
  numberId?: Id
  vendor?: string
  model?: string
}

const COLUMNS: Record<UsageDimension, string> = {
  day: `to_char(u.created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD')`,
  vendor: 'u.vendor',
  model: 'u.model',
  purpose: 'u.purpose',
  own_key: 'u.own_key::text',
  project: 'u.project_id::text',
  number: 'c.number_id::text',
  tenant: 'u.tenant_id::text',
}

const SUMS = `count(*)::text AS calls, count(*) FILTER (WHERE u.outcome = 'failed')::text AS failed_calls, COALESCE(sum(u.input_tokens), 0)::text AS input_tokens,
  COALESCE(sum(u.cached_input_tokens), 0)::text AS cached_input_tokens, COALESCE(sum(u.output_tokens), 0)::text AS output_tokens,
  COALESCE(sum(u.audio_ms), 0)::text AS audio_ms, COALESCE(sum(u.characters), 0)::text AS characters, COALESCE(sum(u.cost_micros), 0)::text AS cost_micros`

type SumRow = Record<'calls' | 'failed_calls' | 'input_tokens' | 'cached_input_tokens' | 'output_tokens' | 'audio_ms' | 'characters' | 'cost_micros', string>

/**
 * What the calls of vendors used and cost, grouped by any of the dimensions (none: one row). `totals` cover everything the filter
 * matches, `rows` are at most `limit`, the newest day and then the dearest first; `truncated` says that there are more groups.
 */
export async function aggregate(tx: Tx, filter: UsageFilter, by: readonly UsageDimension[], limit: number): Promise<{ totals: UsageTotals; rows: UsageRow[]; truncated: boolean }> {
  // Dimension names come from the closed list above, so they may stand in the statement's text.
  const columns = by.map((dimension) => `${COLUMNS[dimension]} AS by_${dimension}`)
  const join = by.includes('number') || filter.numberId !== undefined ? 'LEFT JOIN conversations c ON c.id = u.conversation_id' : ''
  // Ids are UUIDv7: the range of time is a range of ids, which prunes partitions and uses the index by tenant.
  const from = `FROM usage_records u ${join}
    WHERE u.id >= $1 AND u.id < $2 AND ($3::uuid IS NULL OR u.tenant_id = $3) AND ($4::uuid IS NULL OR u.project_id = $4)
      AND ($5::text IS NULL OR u.vendor = $5) AND ($6::text IS NULL OR u.model = $6) ${filter.numberId === undefined ? '' : 'AND c.number_id = $7'}`
  const values = [
    idFloor(filter.from), idFloor(filter.to), filter.tenantId ?? null, filter.projectId ?? null, filter.vendor ?? null, filter.model ?? null,
    ...(filter.numberId === undefined ? [] : [filter.numberId]),
  ]
  const totals = await tx.query<SumRow>(`SELECT ${SUMS} ${from}`, values)
  if (by.length === 0) return { totals: toTotals(totals.rows[0]!), rows: [], truncated: false }
  const order = by.includes('day') ? 'by_day DESC, sum(u.cost_micros) DESC' : 'sum(u.cost_micros) DESC'
  const groups = await tx.query<SumRow & Record<`by_${UsageDimension}`, string | null>>(
    `SELECT ${columns.join(', ')}, ${SUMS} ${from} GROUP BY ${by.map((_, n) => n + 1).join(', ')} ORDER BY ${order}, ${by.map((_, n) => n + 1).join(', ')} LIMIT ${limit + 1}`,
    values,
  )
  const rows = groups.rows.slice(0, limit).map((row) => ({ by: Object.fromEntries(by.map((dimension) => [dimension, row[`by_${dimension}`]])), ...toTotals(row) }))
  return { totals: toTotals(totals.rows[0]!), rows, truncated: groups.rows.length > limit }
}

const toTotals = (row: SumRow): UsageTotals => ({
  calls: Number(row.calls), failedCalls: Number(row.failed_calls), inputTokens: Number(row.input_tokens),
  cachedInputTokens: Number(row.cached_input_tokens), outputTokens: Number(row.output_tokens), audioMs: Number(row.audio_ms), characters: Number(row.characters), costMicros: BigInt(row.cost_micros),
})
