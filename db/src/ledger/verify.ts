import type { Id, Micros } from '@trunkline/core'
import type { Tx } from '../tenancy.ts'

/** One thing that does not add up. `expectedMicros` is rebuilt from the entries (from the open holds for `open_holds`). */
export type Difference = {
  tenantId: Id
  what: 'account' | 'open_holds' | 'transfer'
  /** Account kind, `held`, or the id of the transfer. */
  of: string
  storedMicros: Micros
  expectedMicros: Micros
}

export type Verification = { tenants: number; entries: number; differences: Difference[] }

// One statement, so that every sum is of the same moment while others write.
const VERIFY = `
WITH scope AS (
  SELECT tenant_id, kind, balance_micros FROM accounts WHERE $1::uuid IS NULL OR tenant_id = $1
), sums AS (
  SELECT tenant_id, account, sum(amount_micros) AS total, count(*) AS n FROM entries WHERE $1::uuid IS NULL OR tenant_id = $1 GROUP BY tenant_id, account
), open AS (
  SELECT tenant_id, sum(amount_micros) AS total FROM holds WHERE state = 'held' AND ($1::uuid IS NULL OR tenant_id = $1) GROUP BY tenant_id
), differences AS (
  SELECT COALESCE(scope.tenant_id, sums.tenant_id) AS tenant_id, 'account' AS what, COALESCE(kind, account) AS of, COALESCE(balance_micros, 0)::numeric AS stored, COALESCE(total, 0) AS expected
  FROM scope FULL JOIN sums ON sums.tenant_id = scope.tenant_id AND sums.account = scope.kind
  WHERE COALESCE(balance_micros, 0) <> COALESCE(total, 0)
  UNION ALL
  SELECT tenant_id, 'open_holds', 'held', balance_micros, COALESCE(open.total, 0) FROM scope LEFT JOIN open USING (tenant_id)
  WHERE kind = 'held' AND balance_micros <> COALESCE(open.total, 0)
  UNION ALL
  SELECT tenant_id, 'transfer', transfer_id::text, sum(amount_micros), 0 FROM entries WHERE $1::uuid IS NULL OR tenant_id = $1
  GROUP BY tenant_id, transfer_id HAVING sum(amount_micros) <> 0
)
SELECT (SELECT count(DISTINCT tenant_id) FROM scope) AS tenants, (SELECT COALESCE(sum(n), 0) FROM sums) AS entries,
  (SELECT COALESCE(json_agg(json_build_object('tenantId', tenant_id, 'what', what, 'of', of, 'stored', stored::text, 'expected', expected::text)), '[]') FROM differences) AS differences`

/** Rebuilds all balances (or one tenant's) from the entries and reports what differs; repairs nothing. Reads the whole ledger. */
export async function verifyLedger(tx: Tx, tenantId: Id | null = null): Promise<Verification> {
  type Found = { tenantId: Id; what: Difference['what']; of: string; stored: string; expected: string }
  const { rows } = await tx.query<{ tenants: string; entries: string; differences: Found[] }>(VERIFY, [tenantId])
  const { tenants, entries, differences } = rows[0]!
  return {
    tenants: Number(tenants),
    entries: Number(entries),
    differences: differences.map(({ stored, expected, ...rest }) => ({ ...rest, storedMicros: BigInt(stored), expectedMicros: BigInt(expected) })),
  }
}
