import type { Id, Micros } from '@trunkline/core'
import { idFloor } from './page.ts'
import type { Tx } from '../tenancy.ts'

/** What usage can be counted by. `day` is a UTC date. Calls outside a conversation have no number. */
export const USAGE_DIMENSIONS = ['day', 'vendor', 'model', 'purpose', 'project', 'number', 'tenant'] as const
export type UsageDimension = (typeof USAGE_DIMENSIONS)[number]

export type UsageTotals = { calls: number; failedCalls: number; inputTokens: number; cachedInputTokens: number; outputTokens: number; costMicros: Micros }

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
  project: 'u.project_id::text',
  number: 'c.number_id::text',
  tenant: 'u.tenant_id::text',
}

const SUMS = `count(*)::text AS calls, count(*) FILTER (WHERE u.outcome = 'failed')::text AS failed_calls, COALESCE(sum(u.input_tokens), 0)::text AS input_tokens,
  COALESCE(sum(u.cached_input_tokens), 0)::text AS cached_input_tokens, COALESCE(sum(u.output_tokens), 0)::text AS output_tokens, COALESCE(sum(u.cost_micros), 0)::text AS cost_micros`

type SumRow = { calls: string; failed_calls: string; input_tokens: string; cached_input_tokens: string; output_tokens: string; cost_micros: string }

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
  cachedInputTokens: Number(row.cached_input_tokens), outputTokens: Number(row.output_tokens), costMicros: BigInt(row.cost_micros),
})
