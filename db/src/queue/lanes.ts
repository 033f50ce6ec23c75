import { AppError, type Id } from '@trunkline/core'
import type { Tx } from '../tenancy.ts'
import { arrayOf, arrayOfArrays } from './array-literal.ts'
import type { BegunTurn, LaneSettings } from './order.ts'

/** Says that some messages of a number are done with: `seqs` under the `epoch` that was claimed. */
export type Retirement = { numberId: Id; epoch: number; seqs: readonly number[] }
export type Fenced = Pick<Retirement, 'numberId' | 'epoch'>

/** The line of a new number. In the transaction that creates the number. */
export async function createLane(tx: Tx, tenantId: Id, numberId: Id): Promise<void> {
  await tx.query('INSERT INTO lanes (number_id, tenant_id) VALUES ($1, $2)', [numberId, tenantId])
}

// Lock first, write in a second statement. In one (`WITH … FOR UPDATE` and an UPDATE of its rows) the update begins at the version its
// snapshot saw; when that version has been replaced and others wait on it, PostgreSQL may find a ring of one row and end it with 40P01.
const LOCK = "SELECT number_id, epoch, cursor_seq, NULLIF(ahead, '{}') AS ahead FROM lanes WHERE number_id = ANY($1::uuid[]) ORDER BY number_id FOR NO KEY UPDATE"
const RETIRE = `
  UPDATE lanes l SET cursor_seq = n.cursor_seq, ahead = n.ahead::bigint[]
  FROM unnest($1::uuid[], $2::bigint[], $3::text[]) AS n(number_id, cursor_seq, ahead) WHERE l.number_id = n.number_id`

export type LaneCursor = { cursorSeq: number; ahead: readonly number[] }

/**
 * Where a lane stands once `seqs` are done with: the cursor goes over all that lie next to it, the others are kept `ahead`. Null when
 * one of them is done with already.
 */
export function cursorAfter({ cursorSeq, ahead }: LaneCursor, seqs: readonly number[]): LaneCursor | null {
  // Nearly always: the next one, and nothing before its time.
  if (ahead.length === 0 && seqs.length === 1 && seqs[0] === cursorSeq + 1) return { cursorSeq: cursorSeq + 1, ahead }
  const done = new Set(ahead)
  for (const seq of new Set(seqs)) {
    if (seq <= cursorSeq || done.has(seq)) return null
    done.add(seq)
  }
  let cursor = cursorSeq
  while (done.delete(cursor + 1)) cursor += 1
  return { cursorSeq: cursor, ahead: [...done].sort((one, other) => one - other) }
}

/**
 * Retires messages in the transaction that holds their outcome: one update of each lane's row, whatever the size of the log.
 * Answers the numbers that were REFUSED, because another owner has claimed them since or because one of their messages is
 * retired already; the caller must write nothing for those (retire first, then write). All rows of a number are taken or
 * refused together, so rows of two epochs are refused. Locks the lanes in the order of their ids.
 */
export async function retireTurns(tx: Tx, rows: readonly Retirement[]): Promise<Set<Id>> {
  const asked = Map.groupBy(rows, (row) => row.numberId)
  const { rows: lanes } = await tx.query<{ number_id: Id; epoch: string; cursor_seq: string; ahead: string[] | null }>(LOCK, [arrayOf([...asked.keys()])], 'queue-retire-lock')
  const refused = new Set(asked.keys())
  const moved: { numberId: Id; next: LaneCursor }[] = []
  for (const lane of lanes) {
    const mine = asked.get(lane.number_id)!
    if (mine.some((row) => row.epoch !== Number(lane.epoch))) continue
    const next = cursorAfter({ cursorSeq: Number(lane.cursor_seq), ahead: lane.ahead?.map(Number) ?? [] }, mine.flatMap((row) => row.seqs))
    if (!next) continue
    refused.delete(lane.number_id)
    moved.push({ numberId: lane.number_id, next })
  }
  if (moved.length > 0) {
    tx.send(RETIRE, [arrayOf(moved.map(({ numberId }) => numberId)), arrayOf(moved.map(({ next }) => next.cursorSeq)), arrayOfArrays(moved.map(({ next }) => next.ahead))], 'queue-retire')
  }
  return refused
}

/**
 * Checks the epoch and keeps it true until the transaction ends: a claim by somebody else waits for the commit, arrivals and
 * retirements do not (KEY SHARE lets updates of other columns pass). Answers the numbers that are refused. For commits that do not retire (an answer that is ready, an outbox row that goes to `sending`).
 */
export async function checkFence(tx: Tx, rows: readonly Fenced[]): Promise<Set<Id>> {
  const { rows: held } = await tx.query<{ number_id: Id; epoch: string }>(
    'SELECT number_id, epoch FROM lanes WHERE number_id = ANY($1::uuid[]) ORDER BY number_id FOR KEY SHARE',
    [arrayOf([...new Set(rows.map((row) => row.numberId))])],
    'queue-fence',
  )
  const epochs = new Map(held.map((lane) => [lane.number_id, Number(lane.epoch)]))
  return new Set(rows.filter((row) => epochs.get(row.numberId) !== row.epoch).map((row) => row.numberId))
}

/** As `checkFence`; throws AppError `fenced` when any row is refused. */
export async function assertFence(tx: Tx, rows: readonly Fenced[]): Promise<void> {
  if ((await checkFence(tx, rows)).size > 0) throw new AppError('fenced')
}

export type LogRow = { numberId: Id; seq: number; messageId: Id; conversationKey: string; receivedAtMs: number; sealed: Buffer }
export type ClaimedLane = {
  numberId: Id
  tenantId: Id
  epoch: number
  settings: LaneSettings
  rows: LogRow[]
  begun: BegunTurn[]
  /** The log has been read up to here; more may follow. */
  readUpTo: number
  more: boolean
}

// Only lanes where something waits: a spurious wake-up costs no write and no epoch. FOR UPDATE is more than the update needs:
// it is the one lock that waits for the KEY SHARE of `checkFence`.
const CLAIM_LOCK = `
  SELECT number_id FROM lanes WHERE number_id = ANY($1::uuid[]) AND next_seq - 1 > cursor_seq + cardinality(ahead)
  ORDER BY number_id FOR UPDATE`
const CLAIM = `
  UPDATE lanes l SET epoch = l.epoch + 1, owner = $2, claimed_at = now()
  FROM phone_numbers p WHERE l.number_id = ANY($1::uuid[]) AND p.id = l.number_id
  RETURNING l.number_id, l.tenant_id, l.epoch, l.cursor_seq, p.order_mode, p.window_size, p.coalesce_ms, p.head_deadline_ms`
type ClaimRow = { number_id: Id; tenant_id: Id; epoch: string; cursor_seq: string; order_mode: LaneSettings['orderMode']; window_size: number; coalesce_ms: number; head_deadline_ms: number }

const LOG_COLUMNS = "number_id, seq, message_id, conversation_key, (extract(epoch FROM received_at) * 1000)::float8 AS received_ms, payload_sealed"
const READ = `
  SELECT i.* FROM unnest($1::uuid[], $2::bigint[]) AS a(number_id, seq) JOIN lanes l ON l.number_id = a.number_id
  CROSS JOIN LATERAL (
    SELECT ${LOG_COLUMNS} FROM inbox WHERE number_id = l.number_id AND seq > a.seq AND NOT seq = ANY (l.ahead) ORDER BY seq LIMIT $3
  ) i`
const READ_EXACTLY = `
  SELECT i.* FROM unnest($1::uuid[], $2::bigint[]) AS a(number_id, seq)
  CROSS JOIN LATERAL (SELECT ${LOG_COLUMNS} FROM inbox WHERE number_id = a.number_id AND seq = a.seq) i`
type LogSqlRow = { number_id: Id; seq: string; message_id: Id; conversation_key: string; received_ms: number; payload_sealed: Buffer }

const BEGUN = `
  SELECT t.number_id, t.id, t.seqs, t.state, t.attempts FROM lanes l JOIN turns t ON t.number_id = l.number_id
  WHERE l.number_id = ANY($1::uuid[]) AND t.first_seq > l.cursor_seq AND t.state <> 'retired' AND NOT t.first_seq = ANY (l.ahead)`
type BegunRow = { number_id: Id; id: Id; seqs: string[]; state: 'open' | 'answered'; attempts: number }

/** Raises the epoch of those numbers where something waits and reads what waits: the fence is up from the commit on. */
export async function claimLanes(tx: Tx, numberIds: readonly Id[], owner: string, limit: number): Promise<ClaimedLane[]> {
  const { rows: waiting } = await tx.query<{ number_id: Id }>(CLAIM_LOCK, [arrayOf(numberIds)], 'queue-claim-lock')
  if (waiting.length === 0) return []
  const { rows } = await tx.query<ClaimRow>(CLAIM, [arrayOf(waiting.map((row) => row.number_id)), owner], 'queue-claim')
  const lanes = new Map(rows.map((row) => [row.number_id, claimedOf(row)]))
  const ids = rows.map((row) => row.number_id)
  const [begun, log] = await Promise.all([
    tx.query<BegunRow>(BEGUN, [arrayOf(ids)], 'queue-begun'),
    readLog(tx, [...lanes.values()].map((lane) => ({ numberId: lane.numberId, after: lane.readUpTo })), limit),
  ])
  for (const row of begun.rows) lanes.get(row.number_id)!.begun.push({ id: row.id, seqs: row.seqs.map(Number), state: row.state, attempts: row.attempts })
  for (const row of log) lanes.get(row.numberId)!.rows.push(row)
  for (const lane of lanes.values()) {
    lane.more = lane.rows.length === limit
    lane.readUpTo = lane.rows.at(-1)?.seq ?? lane.readUpTo
  }
  await addRowsOfBegun(tx, lanes)
  return [...lanes.values()]
}

function claimedOf(row: ClaimRow): ClaimedLane {
  const settings = { orderMode: row.order_mode, windowSize: row.window_size, coalesceMs: row.coalesce_ms, headDeadlineMs: row.head_deadline_ms }
  return { numberId: row.number_id, tenantId: row.tenant_id, epoch: Number(row.epoch), settings, rows: [], begun: [], readUpTo: Number(row.cursor_seq), more: false }
}

/** A begun turn's messages may lie further ahead than what is read at once. */
async function addRowsOfBegun(tx: Tx, lanes: Map<Id, ClaimedLane>): Promise<void> {
  const [ids, seqs]: [Id[], number[]] = [[], []]
  for (const lane of lanes.values()) {
    for (const seq of lane.begun.flatMap((turn) => turn.seqs).filter((seq) => seq > lane.readUpTo)) {
      ids.push(lane.numberId)
      seqs.push(seq)
    }
  }
  if (ids.length === 0) return
  const { rows } = await tx.query<LogSqlRow>(READ_EXACTLY, [arrayOf(ids), arrayOf(seqs)], 'queue-read-exactly')
  for (const row of rows) lanes.get(row.number_id)!.rows.push(logRowOf(row))
}

/** The next messages of each log, in order, that are not retired. */
export async function readLog(tx: Pick<Tx, 'query'>, after: readonly { numberId: Id; after: number }[], limit: number): Promise<LogRow[]> {
  const { rows } = await tx.query<LogSqlRow>(READ, [arrayOf(after.map((lane) => lane.numberId)), arrayOf(after.map((lane) => lane.after)), limit], 'queue-read')
  return rows.map(logRowOf)
}

const logRowOf = (row: LogSqlRow): LogRow => ({
  numberId: row.number_id,
  seq: Number(row.seq),
  messageId: row.message_id,
  conversationKey: row.conversation_key,
  receivedAtMs: row.received_ms,
  sealed: row.payload_sealed,
})
