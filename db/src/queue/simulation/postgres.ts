import { AppError, type Id } from '@trunkline/core'
import type { ClaimedLane, LogRow } from '../lanes.ts'
import type { LaneSettings } from '../order.ts'

type Turn = { id: string; key: string; firstSeq: number; seqs: number[]; state: 'open' | 'answered' | 'retired'; attempts: number; outbox: 'none' | 'sending' | 'accepted' }
type Lane = { settings: LaneSettings; rows: LogRow[]; cursor: number; ahead: Set<number>; epoch: number; turns: Map<number, Turn> }

/** Thrown when the queue has broken a promise. The seed tells how. */
export class Broken extends Error {}

/**
 * The tables lanes, inbox, turns and outbox as their SQL behaves: each method is one transaction. What must always hold is
 * checked at each commit.
 */
export type Postgres = ReturnType<typeof createPostgres>
export function createPostgres(settings: ReadonlyMap<Id, LaneSettings>, turnCap: number) {
  const lanes = new Map<Id, Lane>([...settings].map(([id, laneSettings]) => [id, { settings: laneSettings, rows: [], cursor: 0, ahead: new Set(), epoch: 0, turns: new Map() }]))
  const counts = { accepted: 0, retired: 0, refused: 0, claims: 0 }
  const retired = (lane: Lane, seq: number) => seq <= lane.cursor || lane.ahead.has(seq)
  const waits = (lane: Lane) => lane.rows.length > lane.cursor + lane.ahead.size

  function fenced(numberId: Id, epoch: number): Lane {
    const lane = lanes.get(numberId)!
    if (lane.epoch !== epoch) {
      counts.refused += 1
      throw new AppError('fenced')
    }
    return lane
  }

  function read(lane: Lane, after: number, limit: number): LogRow[] {
    return lane.rows.filter((row) => row.seq > after && !retired(lane, row.seq)).slice(0, limit)
  }

  function checkGroup(lane: Lane, key: string, seqs: number[]): void {
    const between = lane.rows.filter((row) => row.conversationKey === key && row.seq >= seqs[0]! && row.seq <= seqs.at(-1)!)
    if (between.map((row) => row.seq).join() !== seqs.join()) throw new Broken(`the group ${seqs.join()} of ${key} has holes or strangers`)
    if (seqs.length > turnCap) throw new Broken(`a turn of ${seqs.length} messages`)
    for (const row of lane.rows) if (row.conversationKey === key && row.seq < seqs[0]! && !retired(lane, row.seq)) throw new Broken(`${key}: ${seqs[0]} began before ${row.seq} was done`)
  }

  return {
    counts,
    accept(numberId: Id, conversationKey: string, nowMs: number): void {
      const { rows } = lanes.get(numberId)!
      const seq = rows.length + 1
      rows.push({ numberId, seq, messageId: `${numberId}:${seq}`, conversationKey, receivedAtMs: nowMs, sealed: Buffer.alloc(0) })
      counts.accepted += 1
    },
    waiting: (): Id[] => [...lanes].filter(([, lane]) => waits(lane)).map(([id]) => id),
    claim(numberIds: readonly Id[], limit: number): ClaimedLane[] {
      return numberIds.flatMap((numberId) => {
        const lane = lanes.get(numberId)!
        if (!waits(lane)) return []
        lane.epoch += 1
        counts.claims += 1
        const rows = read(lane, lane.cursor, limit)
        const readUpTo = rows.at(-1)?.seq ?? lane.cursor
        const begun = [...lane.turns.values()].filter((turn) => turn.state !== 'retired').map((turn) => ({ id: turn.id, seqs: turn.seqs, state: turn.state as 'open' | 'answered', attempts: turn.attempts }))
        const beyond = begun.flatMap((turn) => turn.seqs).filter((seq) => seq > readUpTo)
        return [{ numberId, tenantId: 't', epoch: lane.epoch, settings: lane.settings, rows: [...rows, ...beyond.map((seq) => lane.rows[seq - 1]!)], begun, readUpTo, more: rows.length === limit }]
      })
    },
    read: (asked: readonly { numberId: Id; after: number }[], limit: number): LogRow[] => asked.flatMap(({ numberId, after }) => read(lanes.get(numberId)!, after, limit)),
    openTurn(numberId: Id, epoch: number, seqs: number[]): void {
      const lane = fenced(numberId, epoch)
      const key = lane.rows[seqs[0]! - 1]!.conversationKey
      const known = lane.turns.get(seqs[0]!)
      if (known) {
        if (known.state === 'retired') throw new AppError('fenced')
        if (known.seqs.join() !== seqs.join()) throw new Broken(`the group ${known.seqs.join()} was begun and came back as ${seqs.join()}`)
        known.attempts += 1
        return
      }
      checkGroup(lane, key, seqs)
      for (const turn of lane.turns.values()) if (turn.key === key && turn.state !== 'retired') throw new Broken(`two turns of ${key} at once`)
      lane.turns.set(seqs[0]!, { id: `${numberId}:${seqs[0]}`, key, firstSeq: seqs[0]!, seqs: [...seqs], state: 'open', attempts: 1, outbox: 'none' })
    },
    answered(numberId: Id, epoch: number, firstSeq: number): void {
      const turn = fenced(numberId, epoch).turns.get(firstSeq)!
      if (turn.state === 'retired') throw new AppError('fenced')
      turn.state = 'answered'
    },
    /** `unknown`: somebody began to send it and did not come back; it is not sent again. */
    beginSend(numberId: Id, epoch: number, firstSeq: number): 'sending' | 'unknown' {
      const lane = fenced(numberId, epoch)
      const turn = lane.turns.get(firstSeq)!
      if (turn.state === 'retired') throw new AppError('fenced')
      for (const row of lane.rows.slice(0, firstSeq - 1)) {
        if (retired(lane, row.seq)) continue
        if (lane.settings.orderMode === 'number' || row.conversationKey === turn.key) throw new Broken(`${firstSeq} of ${numberId} leaves before ${row.seq} is done`)
      }
      if (turn.outbox !== 'none') return 'unknown'
      turn.outbox = 'sending'
      return 'sending'
    },
    sendFailed(numberId: Id, firstSeq: number): void {
      const turn = lanes.get(numberId)!.turns.get(firstSeq)!
      if (turn.outbox === 'sending' && turn.state !== 'retired') turn.outbox = 'none'
    },
    retire(numberId: Id, epoch: number, seqs: readonly number[]): void {
      const lane = fenced(numberId, epoch)
      if (seqs.some((seq) => retired(lane, seq))) throw new AppError('fenced')
      for (const seq of seqs) lane.ahead.add(seq)
      while (lane.ahead.delete(lane.cursor + 1)) lane.cursor += 1
      const turn = lane.turns.get(seqs[0]!)
      if (turn) turn.state = 'retired'
      counts.retired += seqs.length
    },
  }
}
