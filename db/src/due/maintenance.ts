import type { Tx } from '../tenancy.ts'

/** Makes the monthly partitions that are missing, up to three months ahead. Answers with how many it made. */
export async function ensurePartitions(tx: Tx): Promise<number> {
  const { rows } = await tx.query<{ made: number }>('SELECT trunkline_ensure_partitions(3) AS made')
  return rows[0]!.made
}
