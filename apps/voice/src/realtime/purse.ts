import { cardAt, chargeDetails, estimateModels, rateModels, rateSpeech, type Charge, type ChargeLine } from '@trunkline/billing'
import { newId, type Clock, type Id, type Logger, type Micros, type ModelUsage, type SpeechUsage, type VendorId } from '@trunkline/core'
import { ledger, usage } from '@trunkline/db'
import type { Till } from './till.ts'

const HOLD_MS = 3_600_000
const INPUT_TOKENS_MAX = 32_000
/** What a spoken answer is reserved for; the few that say more are charged what they said. */
const SPOKEN_CHARACTERS = 2_000
/** Hearing is reserved and charged by the minute of sound, or as much as an utterance needs. */
const TAB_AUDIO_MS = 60_000
/** A tab that nobody adds to is charged after this: a quiet session keeps no credit from other work. */
const TAB_REST_MS = 30_000

export type Ticket = { holdId: Id; atMs: number }
/** As it stood when a hold was made, that hold included. */
export type Credit = { availableMicros: Micros; heldMicros: Micros }
/** No ticket: the balance does not cover it, and nothing may begin. */
export type Held = { ticket: Ticket | null; credit: Credit }
export type Used = { models: readonly ModelUsage[]; speech: readonly SpeechUsage[] }

/** The money of one session: held before anybody is asked for anything, settled for what was used. */
export type Purse = {
  /** For one response. */
  hold(wanted: { maxOutputTokens: number; spoken: boolean }): Promise<Held>
  /** Idempotent by ticket. Nothing used: the hold is given back. */
  settle(ticket: Ticket, used: Used): Promise<void>
  /** Before so much sound is written down. False: the balance does not cover it. */
  listen(audioMs: number): Promise<boolean>
  heard(usage: SpeechUsage): void
  /** Charges what was heard and is not charged yet. */
  close(): Promise<void>
}

export type PurseDeps = { till: Till; tenantId: Id; projectId: Id | null; /** In usage: `session:<id>`. */ causedBy: string; /** Those that may answer. */ models: readonly { vendor: VendorId; model: string }[]; clock: Clock; log: Logger; onCharged: (tenantId: Id) => void }

/** What is heard runs up here, under one hold, until it is used up or rests. */
type Tab = { ticket: Ticket; leftMicros: Micros; heard: SpeechUsage[]; cancel: () => void }

export function createPurse({ till, tenantId, projectId, causedBy, models, clock, log, onCharged }: PurseDeps): Purse {
  let tab: Tab | null = null
  let turn: Promise<unknown> = Promise.resolve()

  /** Two utterances at once must not open two tabs. */
  function inTurn<R>(work: () => Promise<R>): Promise<R> {
    const mine = turn.then(work)
    turn = mine.catch(() => {})
    return mine
  }

  async function reserve(amountMicros: Micros, ticket: Ticket): Promise<{ held: boolean; credit: Credit }> {
    const row = { tenantId, holdId: ticket.holdId, turnId: null, amountMicros, idempotencyKey: `hold:realtime:${ticket.holdId}`, expiresAtMs: ticket.atMs + HOLD_MS }
    return till(tenantId, async (tx) => {
      const outcome = await ledger.holdMany(tx, [row])
      // The wallet is locked: this is what the hold has left.
      return { held: outcome.get(ticket.holdId) === 'held', credit: await ledger.balance(tx, tenantId) }
    })
  }

  async function charge({ holdId, atMs }: Ticket, used: Used): Promise<void> {
    const { charged, uses } = rate(atMs, used, log)
    await till(tenantId, async (tx) => {
      if (charged.totalMicros === 0n) await ledger.voidMany(tx, [{ tenantId, holdId, memo: 'realtime, nothing used', idempotencyKey: `void:realtime:${holdId}` }])
      else await ledger.settleMany(tx, [{ tenantId, holdId, turnId: null, amountMicros: charged.totalMicros, memo: 'realtime', details: chargeDetails(charged), idempotencyKey: `settle:realtime:${holdId}` }])
      await usage.insertUses(tx, { tenantId, projectId, conversationId: null, callId: null, causedBy }, uses)
    })
    onCharged(tenantId)
  }

  async function closeTab(): Promise<void> {
    const closing = tab
    tab = null
    closing?.cancel()
    if (closing) await charge(closing.ticket, { models: [], speech: closing.heard }).catch((error: unknown) => log.error({ error, holdId: closing.ticket.holdId }, 'what a realtime session heard was not charged: its hold expires'))
  }

  async function openTab(neededMicros: Micros): Promise<boolean> {
    const ticket: Ticket = { holdId: newId(), atMs: clock.nowMs() }
    const minute = hearing(ticket.atMs, TAB_AUDIO_MS)
    for (const amountMicros of neededMicros < minute ? [minute, neededMicros] : [neededMicros]) {
      if (!(await reserve(amountMicros, ticket)).held) continue
      tab = { ticket, leftMicros: amountMicros - neededMicros, heard: [], cancel: clock.after(TAB_REST_MS, () => void inTurn(closeTab)) }
      return true
    }
    return false
  }

  return {
    async hold({ maxOutputTokens, spoken }) {
      const ticket: Ticket = { holdId: newId(), atMs: clock.nowMs() }
      const thinking = estimateModels({ atMs: ticket.atMs, models, maxCalls: 1, maxInputTokens: INPUT_TOKENS_MAX, maxOutputTokens })
      const { held, credit } = await reserve(thinking + (spoken ? speaking(ticket.atMs) : 0n), ticket)
      return { ticket: held ? ticket : null, credit }
    },
    settle: charge,
    listen: (audioMs) =>
      inTurn(async () => {
        const neededMicros = hearing(clock.nowMs(), audioMs)
        if (tab && tab.leftMicros >= neededMicros) {
          tab.leftMicros -= neededMicros
          return true
        }
        await closeTab()
        return openTab(neededMicros)
      }),
    heard(usage) {
      if (tab) tab.heard.push(usage)
      else void inTurn(async () => {
        if (await openTab(hearing(clock.nowMs(), usage.audioMs))) tab!.heard.push(usage)
        else log.error({ tenantId, audioMs: usage.audioMs }, 'what was heard is not covered any more')
      })
    },
    close: () => inTurn(closeTab),
  }
}

function rate(atMs: number, { models, speech }: Used, log: Logger): { charged: Charge; uses: usage.VendorUse[] } {
  const thought = rateModels({ atMs, usage: models })
  const spoken = speech.map((use) => ({ use, line: lineOf(use, atMs, log) }))
  const lines = [...thought.lines, ...spoken.flatMap(({ line }) => line ?? [])]
  const uses = [
    ...models.map((use, at): usage.VendorUse => ({ kind: 'model', usage: use, costMicros: thought.callMicros[at] ?? 0n })),
    ...spoken.map(({ use, line }): usage.VendorUse => ({ kind: 'speech', usage: use, costMicros: line?.amountMicros ?? 0n })),
  ]
  return { charged: { ...thought, totalMicros: lines.reduce((sum, { amountMicros }) => sum + amountMicros, 0n), lines }, uses }
}

/** An engine without a price is a fault of the card: it is told, and the rest is charged. */
function lineOf(usage: SpeechUsage, atMs: number, log: Logger): ChargeLine | null {
  try {
    return rateSpeech(usage, { atMs })
  } catch (error) {
    log.error({ error, engine: usage.engine }, 'speech without a price')
    return null
  }
}

const BOUND = { characters: 0, audioMs: 0, firstResultMs: null, latencyMs: 0, outcome: 'ok', requestId: null } as const

/** The dearest engine counts: which one will hear is not known before. */
function hearing(atMs: number, audioMs: number): Micros {
  const engines = cardAt(atMs).calls.speech.filter(({ kind }) => kind === 'stt')
  return engines.reduce((most, { engine, model }) => {
    const micros = rateSpeech({ ...BOUND, kind: 'stt', engine, model, audioMs }, { atMs })?.amountMicros ?? 0n
    return micros > most ? micros : most
  }, 1n)
}

/** A usual voice, not the dearest: a hold is no price, and what is used above it is charged all the same. */
const speaking = (atMs: number): Micros => rateSpeech({ ...BOUND, kind: 'tts', engine: 'openai', model: '', characters: SPOKEN_CHARACTERS }, { atMs })?.amountMicros ?? 0n
