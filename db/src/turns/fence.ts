import type { Id } from '@trunkline/core'
import type { Tx } from '../tenancy.ts'

export type Fenced = { numberId: Id; epoch: number }

/**
 * The numbers whose lane another worker has claimed since. Holds a share lock on the lanes until commit, so that a claim
 * comes wholly before this transaction (and it is refused here) or wholly after it (and sees what it wrote).
 */
export async function fencedOut(tx: Tx, rows: Fenced[]): Promise<Set<Id>> {
  const epochs = new Map(rows.map((row) => [row.numberId, row.epoch]))
  const numbers = [...epochs.keys()].toSorted()
  const held = await tx.query<{ number_id: Id }>(
    `SELECT l.number_id FROM lanes l JOIN unnest($1::uuid[], $2::bigint[]) AS i (number_id, epoch) ON i.number_id = l.number_id AND i.epoch = l.epoch
     ORDER BY l.number_id FOR SHARE OF l`,
    [numbers, numbers.map((number) => epochs.get(number)!)],
    'lanes_fence',
  )
  const mine = new Set(held.rows.map((row) => row.number_id))
  return new Set(numbers.filter((number) => !mine.has(number)))
}
