import { connectDb, ledger } from '@trunkline/db'
import { watchDatabase, type Watch } from '../flow/watch.ts'
import type { Fleet } from './fleet.ts'
import { SECRET } from './ground.ts'
import type { Letter } from './load.ts'

/** What may be said of a run. `broken` names every promise that was not kept; empty is what is wanted. */
export type Verdict = {
  messages: number
  turns: number
  sent: number
  unknown: number
  failed: number
  /** Of the failed turns: a worker that lost its number knew, too late, that nothing had left. Their messages went out again by themselves. */
  resent: number
  parked: number
  /** Outcomes that were unknown for a while; a receipt or the worker's own late word has told most of them. */
  onceUnknown: number
  acceptedBySupplier: number
  receiptsRead: number
  broken: string[]
}

const SETTLE_MS = 120_000
type Row = Record<string, unknown>

const OPEN = `SELECT (SELECT coalesce(sum(next_seq - 1 - cursor_seq - cardinality(ahead)), 0)::int FROM lanes) AS waiting,
  (SELECT count(*)::int FROM turns WHERE state <> 'retired') AS open, (SELECT count(*)::int FROM outbox WHERE state IN ('pending', 'sending')) AS leaving`

/** Waits until everything has come to rest, then compares the supplier's journal, the tables and the ledger. */
export async function judge(fleet: Fleet, letters: readonly Letter[]): Promise<Verdict> {
  const watch = await watchDatabase(fleet.databaseUrl)
  try {
    const broken: string[] = []
    const settled = (what: string, wait: Promise<unknown>) => wait.catch((error: unknown) => void broken.push(`${what}: ${error instanceof Error ? error.message : String(error)}`))
    await settled('the queue does not come to rest', watch.until<Row>(OPEN, [], ([row]) => row!['waiting'] === 0 && row!['open'] === 0 && row!['leaving'] === 0, SETTLE_MS))
    const accepted = fleet.sandbox.journal.sends()
    await settled('receipts do not settle', watch.until<Row>("SELECT count(*)::int FROM messages WHERE direction = 'outbound' AND status = 'read'", [], ([row]) => row!['count'] === accepted.length, SETTLE_MS))
    return await compare(fleet, letters, watch, broken)
  } finally {
    await watch.close()
  }
}

type TurnRow = { id: string; number_id: string; first_seq: string; seqs: string[]; state: string; outcome: string; reason: string | null; parts: number; parts_accepted: number; settles: number; hold: string | null }

async function compare(fleet: Fleet, letters: readonly Letter[], watch: Watch, broken: string[]): Promise<Verdict> {
  const turns = await watch.rows<TurnRow>(
    `SELECT t.id, t.number_id, t.first_seq, t.seqs::text[], t.state, t.outcome, t.reason, h.state AS hold,
       (SELECT count(*)::int FROM outbox o JOIN messages m ON m.id = o.message_id WHERE m.turn_id = t.id) AS parts, (SELECT count(*)::int FROM outbox o WHERE o.turn_id = t.id AND o.state = 'accepted') AS parts_accepted,
       (SELECT count(*)::int FROM transfers x WHERE x.turn_id = t.id AND x.kind = 'settle') AS settles
     FROM turns t LEFT JOIN holds h ON h.id = t.hold_id`,
  )
  await checkArrival(letters, turns, watch, broken)
  const sends = await checkSends(fleet, turns, watch, broken)
  for (const turn of turns) checkMoney(turn, broken)
  await checkLedger(fleet, broken)
  const read = await watch.rows<{ count: number }>("SELECT count(*)::int FROM messages WHERE direction = 'outbound' AND status = 'read'")
  const count = (outcome: string) => turns.filter((turn) => turn.outcome === outcome).length
  return {
    messages: letters.length, turns: turns.length, sent: count('sent'), unknown: count('unknown'), failed: count('failed'), parked: count('parked'),
    onceUnknown: sends.onceUnknown, resent: sends.resent, acceptedBySupplier: sends.taken, receiptsRead: read[0]!.count, broken: summarised(broken),
  }
}

/** Every letter is in the inbox once and in exactly one turn, with its message stored once. */
async function checkArrival(letters: readonly Letter[], turns: TurnRow[], watch: Watch, broken: string[]): Promise<void> {
  const inbox = await watch.rows<{ number_id: string; seq: string; provider_message_id: string; stored: number }>(
    `SELECT i.number_id, i.seq::text, i.provider_message_id, (SELECT count(*)::int FROM messages m WHERE m.number_id = i.number_id AND m.provider_message_id = i.provider_message_id) AS stored FROM inbox i`,
  )
  const places = new Map(inbox.map((row) => [row.provider_message_id, row]))
  if (inbox.length !== places.size) broken.push(`inbox: ${inbox.length - places.size} messages twice`)
  const inTurns = new Map<string, number>()
  for (const turn of turns) for (const seq of turn.seqs) inTurns.set(`${turn.number_id} ${seq}`, (inTurns.get(`${turn.number_id} ${seq}`) ?? 0) + 1)
  for (const letter of letters) {
    const place = places.get(letter.id)
    if (!place) broken.push(`lost: ${letter.id} was accepted and is not in the inbox`)
    else if (place.stored !== 1) broken.push(`stored ${place.stored} times: ${letter.id}`)
    else if (inTurns.get(`${place.number_id} ${place.seq}`) !== 1) broken.push(`in ${inTurns.get(`${place.number_id} ${place.seq}`) ?? 0} turns: ${letter.id}`)
  }
}

/** The reason of an unknown outcome stays on the row when it becomes known. */
// A message that went out again by itself has left its turn for the direct lane; whom it answers stands on the message.
const OUTBOX = `SELECT o.id, coalesce(o.turn_id, m.turn_id) AS turn_id, o.turn_id IS NULL AS resent, o.state,
    o.state = 'unknown' OR (o.state = 'accepted' AND o.error_message IS NOT NULL) AS once_unknown
  FROM outbox o JOIN messages m ON m.id = o.message_id`
type OutboxRow = { id: string; turn_id: string; state: string; once_unknown: boolean; resent: boolean }

/** What the supplier took: nothing twice, one answer to a turn, in the order of the number; what it took is known as accepted, and nothing else is. */
async function checkSends(fleet: Fleet, turns: TurnRow[], watch: Watch, broken: string[]): Promise<{ taken: number; onceUnknown: number; resent: number }> {
  const { journal } = fleet.sandbox
  for (const [callbackData, entries] of journal.duplicates()) broken.push(`sent ${entries.length} times: outbox ${callbackData}`)
  const outbox = new Map((await watch.rows<OutboxRow>(OUTBOX)).map((row) => [row.id, row]))
  const byTurn = new Map(turns.map((turn) => [turn.id, turn]))
  const answered = new Map<string, number>()
  const lastSeq = new Map<string, number>()
  const taken = new Set<string>()
  for (const entry of journal.sends()) {
    const part = outbox.get(entry.callbackData ?? '')
    const turn = part && byTurn.get(part.turn_id)
    if (!part || !turn) {
      broken.push(`the supplier took a message that nobody sent: ${entry.callbackData}`)
      continue
    }
    taken.add(part.id)
    if (part.state !== 'accepted') broken.push(`taken by the supplier, ${part.state} here: outbox ${part.id}`)
    answered.set(turn.id, (answered.get(turn.id) ?? 0) + 1)
    // Nobody knew where it was when the next one left: it may come late, and is never sent again.
    if (part.once_unknown || part.resent) continue
    const seq = Number(turn.first_seq)
    if (seq < (lastSeq.get(turn.number_id) ?? 0)) broken.push(`order: ${turn.number_id} answered ${seq} after ${lastSeq.get(turn.number_id)}`)
    lastSeq.set(turn.number_id, seq)
  }
  for (const part of outbox.values()) if (part.state === 'accepted' && !taken.has(part.id)) broken.push(`accepted here, never taken by the supplier: outbox ${part.id}`)
  for (const turn of turns) {
    if ((answered.get(turn.id) ?? 0) > turn.parts) broken.push(`answered ${answered.get(turn.id)} times: turn ${turn.id}`)
    const isVisible = ['sent', 'unknown', 'failed', 'parked'].includes(turn.outcome)
    if (turn.state !== 'retired' || !isVisible) broken.push(`no answer and no visible end: turn ${turn.id} is ${turn.state}, ${turn.outcome}`)
    if (turn.outcome === 'sent' && turn.parts_accepted !== turn.parts) broken.push(`sent, but ${turn.parts_accepted} of ${turn.parts} parts are: turn ${turn.id}`)
  }
  const count = (is: (part: OutboxRow) => boolean) => [...outbox.values()].filter(is).length
  return { taken: journal.sends().length, onceUnknown: count((part) => part.once_unknown), resent: count((part) => part.resent) }
}

function checkMoney(turn: TurnRow, broken: string[]): void {
  const expected = turn.parts_accepted > 0 ? 1 : 0
  if (turn.settles !== expected) broken.push(`charged ${turn.settles} times instead of ${expected}: turn ${turn.id} (${turn.outcome})`)
  const hold = turn.settles > 0 ? 'settled' : turn.outcome === 'unknown' ? 'held' : 'voided'
  if (turn.hold !== hold) broken.push(`the hold is ${turn.hold} instead of ${hold}: turn ${turn.id} (${turn.outcome}, ${turn.reason})`)
}

async function checkLedger(fleet: Fleet, broken: string[]): Promise<void> {
  const db = connectDb({ url: fleet.databaseUrl, secret: SECRET, maxConnections: 1 })
  try {
    const { differences } = await db.system('ledger', (tx) => ledger.verifyLedger(tx))
    for (const difference of differences) broken.push(`ledger: ${difference.what} ${difference.of} of ${difference.tenantId} is ${difference.storedMicros}, should be ${difference.expectedMicros}`)
  } finally {
    await db.close()
  }
}

const SHOWN = 12
const summarised = (broken: string[]): string[] => (broken.length > SHOWN ? [...broken.slice(0, SHOWN), `… and ${broken.length - SHOWN} more`] : broken)
