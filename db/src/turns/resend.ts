import { AppError, type Id } from '@trunkline/core'
import { retry } from '../repos/messages.ts'
import type { Tx } from '../tenancy.ts'

/** Who asked, in the message's list of attempts. */
const ACTOR = 'system'

/**
 * Sends a message again of which it has become known, after its turn had ended, that nothing had left: by the direct lane, as a retry
 * by hand. In a transaction of its own: it locks the conversation before the outbox. False: a person has taken the conversation
 * over meanwhile, it is closed for writing, or somebody was faster; the message stays as it is.
 */
export async function resendUnsent(tx: Tx, messageId: Id): Promise<boolean> {
  const { rows } = await tx.query<{ current: boolean | null }>(
    'SELECT bool_and(c.handler_epoch = o.handler_epoch) AS current FROM outbox o JOIN conversations c ON c.id = o.conversation_id WHERE o.message_id = $1',
    [messageId],
    'resend_current',
  )
  if (!rows[0]?.current) return false
  try {
    await retry(tx, messageId, { actor: ACTOR, confirm: true, refusedIds: [] })
    return true
  } catch (error) {
    if (error instanceof AppError && ['invalid_state', 'not_found', 'conflict'].includes(error.code)) return false
    throw error
  }
}
