import type { Id } from '@trunkline/core'
import type { Tx } from '../tenancy.ts'
import { checkFence } from '../queue/lanes.ts'
import { readHistory, type OpenedTurn } from './open.ts'

export type ResumedTurn = OpenedTurn & { state: 'open' | 'answered'; details: Record<string, unknown> }

export type ResumeTurn = { turnId: Id; numberId: Id; epoch: number }
type Row = {
  id: Id
  conversation_id: Id
  contact_id: Id
  contact_name: string | null
  contact_fields: Record<string, unknown>
  opted_out: boolean
  handler: 'agent' | 'human'
  handler_epoch: number
  vendor_state: Record<string, unknown> | null
  summary_sealed: Buffer | null
  context_start_seq: string
  attempts: number
  hold_id: Id | null
  state: 'open' | 'answered'
  details: Record<string, unknown> | null
}

/** Reads a turn that was opened before (by a worker that died, or by a try that failed) and counts the new attempt before any work. */
export async function resumeTurn(tx: Tx, turn: ResumeTurn): Promise<ResumedTurn | 'fenced'> {
  const fenced = await checkFence(tx, [turn])
  if (fenced.has(turn.numberId)) return 'fenced'
  const { rows } = await tx.query<Row>(
    `UPDATE turns t SET attempts = attempts + 1 FROM conversations c JOIN contacts p ON p.id = c.contact_id
     WHERE t.id = $1 AND c.id = t.conversation_id
     RETURNING t.id, t.conversation_id, t.attempts, t.hold_id, t.handler_epoch, t.state, t.details, c.contact_id, c.handler, c.vendor_state, c.summary_sealed,
       c.context_start_seq, p.name AS contact_name, p.fields AS contact_fields, p.opted_out_at IS NOT NULL AS opted_out`,
    [turn.turnId],
    'turns_resume',
  )
  const row = rows[0]!
  const history = await readHistory(tx, [{ id: row.conversation_id, context_start_seq: row.context_start_seq }])
  return {
    turnId: row.id,
    conversationId: row.conversation_id,
    contactId: row.contact_id,
    contactName: row.contact_name,
    contactFields: row.contact_fields,
    optedOut: row.opted_out,
    handler: row.handler,
    handlerEpoch: row.handler_epoch,
    vendorState: row.vendor_state,
    summarySealed: row.summary_sealed,
    attempts: row.attempts,
    holdId: row.hold_id,
    credit: 'held',
    history: history.get(row.conversation_id) ?? [],
    state: row.state,
    details: row.details ?? {},
  }
}
