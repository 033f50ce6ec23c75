import type { Id, InboundMessage } from '@trunkline/core'
import type { BegunTurn, ParkReason } from './order.ts'

/** Messages of one conversation that are answered together. The same object for `answer`, `send` and `park`. */
export type QueuedTurn = {
  readonly numberId: Id
  readonly tenantId: Id
  /** The fence: every commit of the turn names it. */
  readonly epoch: number
  readonly firstSeq: number
  readonly seqs: number[]
  /** In order. Empty or partial only in `park`, when a payload does not open. */
  readonly items: readonly { seq: number; messageId: Id; receivedAtMs: number; message: InboundMessage }[]
  /** The row in `turns` that an earlier owner left. */
  readonly resumed: BegunTurn | null
}

/**
 * What a turn does; the drainer decides when. `retired` means: committed, by `retireTurns` in the handler's own transaction.
 * A throw is a failed attempt (back-off, parked as `poison` after five in one phase); AppError `fenced` drops the whole lane.
 */
export type TurnHandler = {
  /** Up to the window's size at once, over different conversations. */
  answer(turn: QueuedTurn, signal: AbortSignal): Promise<'ready' | 'retired' | { retryAfterMs: number }>
  /** In order. Earlier turns have been sent, failed or parked. */
  send(turn: QueuedTurn, signal: AbortSignal): Promise<'retired' | { retryAfterMs: number }>
  /** Retires it visibly. Tried again until it succeeds. */
  park(turn: QueuedTurn, reason: ParkReason): Promise<void>
}
