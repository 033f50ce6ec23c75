import { estimateTurn, rateTurn, chargeDetails } from '@trunkline/billing'
import { newId, type Id, type ModelUsage, type VendorId } from '@trunkline/core'
import { ledger, type Db } from '@trunkline/db'

const HOLD_MS = 3_600_000
const INPUT_TOKENS_MAX = 32_000
/** A card prices messages by channel; a session has none, and nothing is sent. */
const NO_MESSAGES = { channel: 'webchat', messagesSent: 0 } as const

export type Ticket = { holdId: Id; atMs: number }

/** The money of one session's responses: held before the model is asked, settled for what it used. */
export type Purse = {
  /** Null: the balance does not cover it, and nothing may begin. */
  hold(maxOutputTokens: number): Promise<Ticket | null>
  /** Idempotent by ticket. Nothing used: the hold is given back. */
  settle(ticket: Ticket, usage: readonly ModelUsage[]): Promise<void>
}

export type PurseDeps = { db: Db; tenantId: Id; model: { vendor: VendorId; model: string }; now: () => number; onCharged: (tenantId: Id) => void }

export function createPurse({ db, tenantId, model, now, onCharged }: PurseDeps): Purse {
  return {
    async hold(maxOutputTokens) {
      const ticket: Ticket = { holdId: newId(), atMs: now() }
      const amountMicros = estimateTurn({ atMs: ticket.atMs, channel: NO_MESSAGES.channel, models: [model], maxCalls: 1, maxInputTokens: INPUT_TOKENS_MAX, maxOutputTokens, maxMessages: 0 })
      const row = { tenantId, holdId: ticket.holdId, turnId: null, amountMicros, idempotencyKey: `hold:realtime:${ticket.holdId}`, expiresAtMs: ticket.atMs + HOLD_MS }
      const outcome = await db.system('ledger', (tx) => ledger.holdMany(tx, [row]))
      return outcome.get(ticket.holdId) === 'held' ? ticket : null
    },
    async settle({ holdId, atMs }, usage) {
      const charge = rateTurn({ atMs, ...NO_MESSAGES, usage })
      await db.system('ledger', async (tx) => {
        if (charge.totalMicros === 0n) await ledger.voidMany(tx, [{ tenantId, holdId, memo: 'realtime, nothing used', idempotencyKey: `void:realtime:${holdId}` }])
        else await ledger.settleMany(tx, [{ tenantId, holdId, turnId: null, amountMicros: charge.totalMicros, memo: 'realtime', details: chargeDetails(charge), idempotencyKey: `settle:realtime:${holdId}` }])
      })
      onCharged(tenantId)
    },
  }
}
