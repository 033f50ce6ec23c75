import { historyItem } from '@trunkline/agents'
import { AppError, messageChannel, newId, type Id, type Logger, type OutboundContent, type RenderContext } from '@trunkline/core'
import {
  answerTurns, createBatcher, finishTurns, markInterrupted, openTurns, beginSends, isDatabaseAway, recordSends, passUnstored, resendUnsent, resumeTurn, sealJson, settleReconciled, openJson, turnOutbox,
  type AnswerTurn, type Batcher, type BeginResult, type BeginSend, type Db, type FinishTurn, type Keyring, type OpenedTurn, type OpenResult, type OpenTurn,
  type AnswerResult, type NumberRouting, type OutboxRow, type ParkReason, type QueuedTurn, type RoutedNumber, type SendRecord, type TurnHandler, type TurnOutcome,
} from '@trunkline/db'

import { chargeFor, linesFor, readCharge, storeCharge, type Charge } from './charge.ts'
import { awaitRate, deliver, type DeliverDeps, type StoredRequest } from './deliver.ts'

import { turnItem } from './turn-items.ts'
import type { Answer, Thinker } from './think.ts'

/** A turn that crashed its worker this often is poison, whatever it throws or does not throw. */
const ATTEMPTS_MAX = 8
/** Until a Postgres that is away is asked again. */
const DATABASE_PAUSE_MS = 500

export type TurnHandlerDeps = DeliverDeps & {
  db: Db
  keyring: Keyring
  log: Logger
  routing: NumberRouting
  thinker: Thinker
  /** Puts a number out of service and tells its tenant. */
  stopNumber(number: RoutedNumber, reason: string): Promise<void>
  leadIdleMs: number
  /** A turn brought files to fetch. */
  onMedia?: () => void
  /** Balances that may be cached elsewhere have changed. */
  onCharged?: (tenantIds: Id[]) => void
  /** For metrics and live events. */
  onRetired?: (turn: QueuedTurn, outcome: TurnOutcome, reason: string | null) => void
}

/** What this process knows of a turn between its answer and its end. A turn that comes from another process is read again. */
type Context = {
  number: RoutedNumber
  opened: OpenedTurn
  parts: OutboxRow[] | null
  charge: Charge
  handover: boolean
  close: boolean
  /** Outcomes that are not stored yet. */
  records: SendRecord[]
}

type Settlement = { records: SendRecord[]; finish: FinishTurn | null }

/**
 * Runs turns for the drainer: answers them (in parallel), sends the answers (in order) and ends them. Every step of many turns is
 * one transaction: the batchers put together what happens at the same moment.
 */
export function createTurnHandler(deps: TurnHandlerDeps): TurnHandler {
  const { db, keyring } = deps
  const contexts = new WeakMap<QueuedTurn, Context>()
  const batchers = createTurnBatchers(db, deps.log)

  async function prepare(turn: QueuedTurn): Promise<Context | { retryAfterMs: number }> {
    const number = await currentNumber(deps.routing, turn.numberId)
    if (turn.resumed) return resume(turn, number, turn.resumed.id)
    const row = openRow(turn, number, deps)
    const result = await batchers.open.add(row)
    if (result === 'fenced') throw new AppError('fenced')
    if (result === 'busy') return { retryAfterMs: 250 }
    if (result === 'rebound') {
      await deps.routing.invalidateNumber(number.id)
      return { retryAfterMs: 20 }
    }
    if (row.items.some((item) => item.media)) deps.onMedia?.()
    return { number, opened: result, parts: null, charge: readCharge(null), handover: false, close: false, records: [] }
  }

  async function resume(turn: QueuedTurn, number: RoutedNumber, turnId: Id): Promise<Context> {
    return db.system('queue', async (tx) => {
      const resumed = await resumeTurn(tx, { turnId, numberId: turn.numberId, epoch: turn.epoch })
      if (resumed === 'fenced') throw new AppError('fenced')
      await markInterrupted(tx, turnId, turn.epoch)
      const parts = resumed.state === 'answered' ? await turnOutbox(tx, turnId) : null
      const { details } = resumed
      return { number, opened: resumed, parts, charge: readCharge(details.charge), handover: details.handover === true, close: details.close === true, records: [] }
    })
  }

  async function finish(turn: QueuedTurn, context: Context, outcome: TurnOutcome, reason: string | null, money: FinishTurn['money']): Promise<void> {
    const row = finishRow(turn, context, outcome, reason, money)
    const fenced = await batchers.settle.add({ records: context.records, finish: row })
    contexts.delete(turn)
    if (fenced) throw new AppError('fenced')
    deps.onCharged?.([turn.tenantId])
    deps.onRetired?.(turn, outcome, reason)
  }

  async function answer(turn: QueuedTurn, signal: AbortSignal): Promise<'ready' | 'retired' | { retryAfterMs: number }> {
    const context = contexts.get(turn) ?? (await prepare(turn))
    if ('retryAfterMs' in context) return context
    contexts.set(turn, context)
    if (context.parts) return 'ready'
    const refusal = whyNoAnswer(context)
    if (refusal) {
      await finish(turn, context, refusal.outcome, refusal.reason, { action: 'void' })
      return 'retired'
    }
    const answered = await think(deps, turn, context, signal)
    const stored = await batchers.answer.add(answerRow(turn, context, answered, deps))
    if (stored === 'fenced') throw new AppError('fenced')
    Object.assign(context, { charge: answered.charge, handover: answered.handover, close: answered.close })
    if (stored === 'discarded') {
      await finish(turn, context, 'discarded', 'human_took_over', { action: 'void' })
      return 'retired'
    }
    context.parts = stored
    return 'ready'
  }

  /** What an earlier try learned from the supplier and could not store is stored before anything else leaves. */
  async function storeRecords(context: Context): Promise<void> {
    if (context.records.length === 0) return
    await batchers.settle.add({ records: context.records, finish: null })
    context.records = []
  }

  return {
    /** Without Postgres nobody knows whether the last commit happened: the lane is given up and read anew, as after a crash. */
    answer: (turn, signal) =>
      answer(turn, signal).catch((error: unknown) => {
        throw isDatabaseAway(error) ? new AppError('fenced', { cause: error }) : error
      }),

    async send(turn, signal) {
      const context = contexts.get(turn)
      if (!context?.parts) throw new AppError('internal', { message: 'A turn is sent that was not answered here.' })
      try {
        await storeRecords(context)
        const retryAfterMs = await sendParts(context, context.parts, signal, turn.epoch)
        if (retryAfterMs !== null) {
          await storeRecords(context)
          return { retryAfterMs }
        }
        const { outcome, reason, money } = summarise(context)
        await finish(turn, context, outcome, reason, money)
        return 'retired'
      } catch (error) {
        // What has left is known here and nowhere else: the lane is kept, and no attempt of the turn is counted.
        if (isDatabaseAway(error)) return { retryAfterMs: DATABASE_PAUSE_MS }
        throw error
      }
    },

    async park(turn, reason) {
      const context = contexts.get(turn) ?? (await prepareToPark(turn, reason))
      if (context === null) return
      await storeRecords(context)
      const parts = context.parts ?? []
      context.records = parts.filter((part) => part.state === 'pending').map((part): SendRecord => ({ outboxId: part.id, state: 'parked', errorMessage: reason }))
      const accepted = parts.filter((part) => part.state === 'accepted').length
      const money = accepted > 0 ? ({ action: 'settle', micros: chargeFor(context.charge, accepted), lines: linesFor(context.charge, accepted) } as const) : ({ action: 'void' } as const)
      await finish(turn, context, 'parked', reason, money)
    },
  }

  /** A turn that cannot even be stored is passed; its messages stay in the inbox, which is never deleted. Null: it has been passed. */
  async function prepareToPark(turn: QueuedTurn, reason: ParkReason): Promise<Context | null> {
    try {
      const context = await prepare(turn)
      if (!('retryAfterMs' in context)) return context
    } catch (error) {
      if (error instanceof AppError && (error.code === 'fenced' || error.code === 'unavailable')) throw error
      if (isDatabaseAway(error)) throw error
      deps.log.error({ numberId: turn.numberId, firstSeq: turn.firstSeq, error }, 'turn cannot be stored; its messages stay in the inbox')
      if (!(await db.system('queue', (tx) => passUnstored(tx, turn, reason)))) throw new AppError('fenced')
      return null
    }
    throw new AppError('unavailable', { message: 'The conversation is busy.' })
  }

  /** Sends what is pending, one after the other. Outcomes wait in the context for the turn's end. Null: nothing is left to send. */
  async function sendParts(context: Context, parts: OutboxRow[], signal: AbortSignal, epoch: number): Promise<number | null> {
    for (const part of parts) {
      if (part.state !== 'pending') continue
      const request = openJson(keyring, part.requestSealed, part.tenantId) as StoredRequest
      const waitMs = await awaitRate(deps, context.number, request.to, signal)
      if (waitMs > 0) return waitMs
      const begun = await batchers.begin.add({ outboxId: part.id, numberId: part.numberId, epoch, attempt: part.attempt + 1 })
      if (begun.state === 'fenced') throw new AppError('fenced')
      if (begun.state !== 'sending') {
        part.state = begun.state === 'discarded' ? 'cancelled' : part.state
        continue
      }
      const result = await deliver(deps, context.number, { outboxId: part.id, attempt: begun.attempt, ...request }, signal)
      part.attempt = begun.attempt
      part.state = result.record.state
      context.records.push(result.record)
      if (result.stopNumber) await deps.stopNumber(context.number, result.stopNumber)
      if (result.retryAfterMs !== undefined) return result.retryAfterMs
    }
    return null
  }
}


function createTurnBatchers(db: Db, log: Logger) {
  // A customer does not notice 10 ms; the database notices whether five turns share a commit or one has it alone.
  const shape = { maxSize: 100, maxInFlight: 2, restMs: 10, isolate: (error: unknown) => !(error instanceof AppError && error.code === 'unavailable') }
  const inOrder = <Key, Value>(keys: Key[], results: Map<Key, Value>) => keys.map((key) => results.get(key)!)
  const open: Batcher<OpenTurn, OpenResult> = createBatcher({
    ...shape,
    run: async (rows) => inOrder(rows.map((row) => row.turnId), await db.system('queue', (tx) => openTurns(tx, [...rows]))),
  })
  const answer: Batcher<AnswerTurn, AnswerOutcome> = createBatcher({
    ...shape,
    run: (rows) => db.system('queue', async (tx) => {
      const results = await answerTurns(tx, [...rows])
      return rows.map((row) => storedParts(row, results.get(row.turnId)!))
    }),
  })
  const begin: Batcher<BeginSend, BeginResult> = createBatcher({
    ...shape,
    run: async (rows) => inOrder(rows.map((row) => row.outboxId), await db.system('queue', (tx) => beginSends(tx, [...rows]))),
  })
  const settle: Batcher<Settlement, boolean> = createBatcher({
    ...shape,
    run: async (rows) => {
      const { fenced, known } = await db.system('queue', async (tx) => {
        const records = rows.flatMap((row) => row.records)
        const known = records.length > 0 ? await recordSends(tx, records) : []
        const finishes = rows.flatMap((row) => row.finish ?? [])
        const fenced = finishes.length > 0 ? await finishTurns(tx, finishes) : new Set<Id>()
        if (known.length > 0) await settleReconciled(tx, known)
        return { fenced, known }
      })
      for (const { resend } of known) if (resend !== undefined) void sendAgain(resend)
      return rows.map((row) => row.finish !== null && fenced.has(row.finish.turnId))
    },
  })
  /** Should it fail, the message stays `failed`, where everybody sees it and can send it again by hand. */
  const sendAgain = (messageId: Id): Promise<unknown> =>
    db.system('queue', (tx) => resendUnsent(tx, messageId)).catch((error: unknown) => log.warn({ error, messageId }, 'a message that had not left could not be queued again'))
  return { open, answer, begin, settle }
}

type AnswerOutcome = OutboxRow[] | Exclude<AnswerResult, 'ready'>

/** What was just written, as `turnOutbox` would read it. */
function storedParts(row: AnswerTurn, result: AnswerResult): AnswerOutcome {
  if (result !== 'ready') return result
  return row.replies.flatMap((reply) =>
    reply.parts.map((part): OutboxRow => ({
      id: part.outboxId,
      tenantId: row.tenantId,
      numberId: row.numberId,
      conversationId: row.conversationId,
      turnId: row.turnId,
      messageId: reply.messageId,
      part: part.part,
      state: 'pending',
      attempt: 0,
      epoch: row.epoch,
      requestSealed: part.requestSealed,
    })),
  )
}

function openRow(turn: QueuedTurn, number: RoutedNumber, deps: TurnHandlerDeps): OpenTurn {
  const last = turn.items.at(-1)!.message
  return {
    turnId: newId(),
    tenantId: turn.tenantId,
    projectId: number.projectId,
    numberId: turn.numberId,
    address: number.address,
    epoch: turn.epoch,
    firstSeq: turn.firstSeq,
    seqs: turn.seqs,
    agentId: number.agent?.id ?? null,
    promptId: number.agent?.promptId ?? null,
    promptVersion: number.agent?.promptVersion ?? null,
    sender: last.from,
    items: turn.items.map((item) => turnItem(item, deps.keyring, turn.tenantId)),
    holdMicros: canAnswer(number) ? deps.thinker.estimate(number) : 0n,
    leadIdleMs: deps.leadIdleMs,
  }
}

/** A reason to stay silent may be a copy from before somebody resumed the number or linked an agent: it is read anew. */
async function currentNumber(routing: NumberRouting, numberId: Id): Promise<RoutedNumber> {
  const known = await routing.numberForRouting(numberId)
  const number = known && canAnswer(known) ? known : await routing.numberForRouting(numberId, { fresh: true })
  if (!number) throw new AppError('not_found', { message: 'The number of this lane is gone.' })
  return number
}

const canAnswer = (number: RoutedNumber) => number.agent !== null && number.status === 'active' && number.tenantStatus === 'active'

/** Reasons that are visible on the message. Null: the agent answers. */
function whyNoAnswer({ number, opened }: Context): { outcome: TurnOutcome; reason: string } | null {
  if (number.tenantStatus === 'suspended') return { outcome: 'parked', reason: 'tenant_suspended' }
  if (number.status !== 'active') return { outcome: 'parked', reason: `number_${number.status}` }
  if (opened.credit === 'insufficient') return { outcome: 'rejected', reason: 'insufficient_credit' }
  if (opened.handler === 'human') return { outcome: 'silent', reason: 'human_handles' }
  if (number.agent === null) return { outcome: 'silent', reason: 'no_agent' }
  if (opened.attempts > ATTEMPTS_MAX) return { outcome: 'parked', reason: 'poison' }
  return null
}

function think(deps: TurnHandlerDeps, turn: QueuedTurn, context: Context, signal: AbortSignal): Promise<Answer> {
  const { opened, number } = context
  const items = opened.history.map((row) => historyItem({ ...row, content: openJson(deps.keyring, row.contentSealed, turn.tenantId) }))
  const incomingIds = new Set(turn.items.map((item) => item.messageId))
  const last = turn.items.at(-1)!
  return deps.thinker.answer(
    {
      number,
      opened,
      history: items.filter((item) => !incomingIds.has(item.messageId)),
      incoming: items.filter((item) => incomingIds.has(item.messageId)),
      replyTo: { to: last.message.from.identities[0]!, inReplyTo: last.message.providerMessageId },
    },
    signal,
  )
}

function answerRow(turn: QueuedTurn, { number, opened }: Context, answer: Answer, deps: TurnHandlerDeps): AnswerTurn {
  const to = turn.items.at(-1)!.message.from.identities[0]!
  return {
    turnId: opened.turnId,
    tenantId: turn.tenantId,
    projectId: number.projectId,
    numberId: turn.numberId,
    epoch: turn.epoch,
    conversationId: opened.conversationId,
    agentId: number.agent!.id,
    promptId: number.agent!.promptId,
    promptVersion: number.agent!.promptVersion,
    handlerEpoch: opened.handlerEpoch,
    replies: answer.replies.map((content) => replyRow(content, { to }, number, deps)),
    usage: answer.usage,
    vendorState: answer.vendorState,
    ...(answer.summary ? { summarySealed: sealJson(deps.keyring, answer.summary, turn.tenantId) } : {}),
    vendor: answer.vendor,
    model: answer.model,
    contactId: opened.contactId,
    contactFields: answer.contactFields,
    details: { ...answer.details, charge: storeCharge(answer.charge), ...(answer.handover ? { handover: true } : {}), ...(answer.close ? { close: true } : {}) },
  }
}

/** Rendered when it is answered, so that what is stored is what leaves, byte for byte, also after a crash. */
function replyRow(content: OutboundContent, context: RenderContext, number: RoutedNumber, deps: TurnHandlerDeps): AnswerTurn['replies'][number] {
  const rendered = deps.channels[messageChannel(number.channel)].render(content, context)
  return {
    messageId: newId(),
    kind: content.kind,
    contentSealed: sealJson(deps.keyring, content, number.tenantId),
    degradations: rendered.degradations,
    parts: rendered.requests.map((request, part) => ({
      outboxId: newId(),
      part,
      requestSealed: sealJson(deps.keyring, { request, to: context.to.value, identity: context.to } satisfies StoredRequest, number.tenantId),
    })),
  }
}

function finishRow(turn: QueuedTurn, context: Context, outcome: TurnOutcome, reason: string | null, money: FinishTurn['money']): FinishTurn {
  return {
    turnId: context.opened.turnId,
    tenantId: turn.tenantId,
    numberId: turn.numberId,
    epoch: turn.epoch,
    seqs: turn.seqs,
    conversationId: context.opened.conversationId,
    inboundMessageIds: turn.items.map((item) => item.messageId),
    outcome,
    reason,
    holdId: context.opened.holdId,
    money,
    ...(context.handover ? { handover: true } : {}),
    ...(context.close ? { close: true } : {}),
  }
}

/** What became of the turn, from what became of its parts. Nothing accepted costs nothing; an unknown part keeps the hold. */
function summarise({ parts, charge }: Context): { outcome: TurnOutcome; reason: string | null; money: FinishTurn['money'] } {
  const states = (parts ?? []).map((part) => part.state)
  const accepted = states.filter((state) => state === 'accepted').length
  const amount = { micros: chargeFor(charge, accepted), lines: linesFor(charge, accepted) }
  if (states.includes('unknown')) return { outcome: 'unknown', reason: 'outcome_unknown', money: { action: 'keep', micros: chargeFor(charge, states.length), lines: linesFor(charge, states.length) } }
  if (states.includes('failed') || states.includes('parked')) {
    const reason = states.includes('failed') ? 'send_failed' : 'window_closed'
    return { outcome: states.includes('failed') ? 'failed' : 'parked', reason, money: accepted > 0 ? { action: 'settle', ...amount } : { action: 'void' } }
  }
  if (accepted === 0 && states.includes('cancelled')) return { outcome: 'discarded', reason: 'human_took_over', money: { action: 'void' } }
  return { outcome: accepted > 0 ? 'sent' : 'silent', reason: null, money: { action: 'settle', ...amount } }
}
