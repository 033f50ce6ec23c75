import { InboundEvent, type Echo, type IdentityChange, type NumberNotice, type Reaction, type Revision } from '@trunkline/core'
import {
  applyIdentityChange, applyNotice, applyReaction, applyReceipts, applyRevision, closeDirect, matchEcho, openJson, sealJson, settleReconciled, storeForeignEcho,
  type Effect, type EffectOutcome, type Keyring, type NumberRouting, type QueuedEffect, type Tx,
} from '@trunkline/db'

type Deps = { keyring: Keyring; routing: NumberRouting }
type Of<Kind extends InboundEvent['kind']> = Extract<InboundEvent, { kind: Kind }>

/** Applies receipts, echoes, reactions, revisions, identity changes and notices, in one transaction per batch. */
export function createEffectsHandler(deps: Deps): { apply(tx: Tx, rows: QueuedEffect[]): Promise<Map<number, EffectOutcome>> } {
  async function opened(row: QueuedEffect): Promise<Effect<InboundEvent>> {
    const number = await deps.routing.numberForRouting(row.numberId)
    const event = InboundEvent.parse(openJson(deps.keyring, row.payloadSealed, row.tenantId))
    return { id: row.id, tenantId: row.tenantId, numberId: row.numberId, address: number?.address ?? event.to, event }
  }

  return {
    async apply(tx, rows) {
      const effects = await Promise.all(rows.map(opened))
      const outcomes = new Map<number, EffectOutcome>()
      const receipts = of(effects, 'receipt')
      if (receipts.length > 0) {
        const applied = await applyReceipts(tx, receipts)
        for (const [id, outcome] of applied.outcomes) outcomes.set(id, outcome)
        const turns = applied.reconciled.flatMap((row) => (row.turnId === null ? [] : [{ turnId: row.turnId, accepted: row.accepted }]))
        if (turns.length > 0) await settleReconciled(tx, turns)
        await closeDirect(tx, applied.reconciled.filter((row) => row.turnId === null))
      }
      for (const effect of effects) {
        if (effect.event.kind !== 'receipt' && effect.event.kind !== 'message') outcomes.set(effect.id, await applyOne(tx, effect, deps.keyring))
      }
      return outcomes
    },
  }
}

const of = <Kind extends InboundEvent['kind']>(effects: Effect<InboundEvent>[], kind: Kind): Effect<Of<Kind>>[] =>
  effects.filter((effect): effect is Effect<Of<Kind>> => effect.event.kind === kind)

async function applyOne(tx: Tx, effect: Effect<InboundEvent>, keyring: Keyring): Promise<EffectOutcome> {
  switch (effect.event.kind) {
    case 'echo':
      return applyEcho(tx, effect as Effect<Echo>, keyring)
    case 'reaction':
      return applyReaction(tx, effect as Effect<Reaction>)
    case 'revision': {
      const revision = effect as Effect<Revision>
      const { change } = revision.event
      return applyRevision(tx, revision, change.type === 'edited' ? sealJson(keyring, change.content, effect.tenantId) : null)
    }
    case 'identity_change':
      return applyIdentityChange(tx, effect as Effect<IdentityChange>)
    case 'notice':
      return applyNotice(tx, effect as Effect<NumberNotice>)
    default:
      return 'ignored'
  }
}

async function applyEcho(tx: Tx, effect: Effect<Echo>, keyring: Keyring): Promise<EffectOutcome> {
  const match = await matchEcho(tx, effect)
  if (match.kind === 'waiting') return 'waiting'
  if (match.kind === 'foreign') return storeForeignEcho(tx, effect, sealJson(keyring, effect.event.content, effect.tenantId), effect.event.content.kind)
  if (match.reconciledTurnId) await settleReconciled(tx, [{ turnId: match.reconciledTurnId, accepted: true }])
  return 'applied'
}
