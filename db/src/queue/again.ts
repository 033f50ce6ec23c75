import type { Id } from '@trunkline/core'
import type { Tx } from '../tenancy.ts'

const AGAIN = `
  WITH first AS (
    SELECT i.* FROM messages m JOIN inbox i ON i.number_id = m.number_id AND i.provider_message_id = m.provider_message_id WHERE m.id = $1
  ), lane AS (
    UPDATE lanes l SET next_seq = l.next_seq + 1 FROM first f WHERE l.number_id = f.number_id RETURNING l.number_id, l.next_seq - 1 AS seq
  )
  INSERT INTO inbox (number_id, seq, tenant_id, message_id, provider_message_id, conversation_key, payload_sealed)
  SELECT f.number_id, l.seq, f.tenant_id, f.message_id, f.provider_message_id || '#again-' || l.seq, f.conversation_key, f.payload_sealed
  FROM first f JOIN lane l ON l.number_id = f.number_id RETURNING number_id`

/**
 * Puts a customer's message that was parked, rejected or failed at the end of its number's line once more. The message keeps its
 * id and its place in the conversation; only its answer is new. The sweeper wakes the number. False: the message never waited in a line.
 */
export async function queueAgain(tx: Tx, messageId: Id): Promise<boolean> {
  const { rows } = await tx.query<{ number_id: Id }>(AGAIN, [messageId], 'queue-again')
  return rows.length === 1
}
