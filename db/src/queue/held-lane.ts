import type { Id, InboundMessage } from '@trunkline/core'
import type { QueuedTurn } from './contract.ts'
import type { ClaimedLane, LogRow } from './lanes.ts'
import { arrive, createLaneOrder, type Lane, type LaneLimits, type LaneSettings, type Turn } from './order.ts'

/** What a drainer holds of one number, between its claim and its release. */
export type HeldLane = {
  readonly numberId: Id
  readonly tenantId: Id
  readonly epoch: number
  readonly order: Lane<LogRow>
  readonly aborts: Map<Turn<LogRow>, AbortController>
  readonly queued: WeakMap<Turn<LogRow>, QueuedTurn>
  /** 'gone': not ours any more; what its handlers still say is not heard. */
  state: 'held' | 'releasing' | 'gone'
  leaseUntilMs: number
  /** The log holds more than what was read. */
  more: boolean
  reading: boolean
  /** Wake-ups heard of, and how many of them the last read covers. They differ when the log must be read again. */
  heard: number
  seen: number
  cancelTimer: (() => void) | null
  /** When the timer rings; Infinity: none is set. */
  alarmMs: number
}

export function holdLane(claimed: ClaimedLane, settings: LaneSettings, limits: LaneLimits, leaseUntilMs: number, nowMs: number): HeldLane {
  const order = createLaneOrder<LogRow>(settings, limits)
  arrive(order, claimed.rows, claimed.begun, claimed.readUpTo, nowMs)
  return {
    numberId: claimed.numberId,
    tenantId: claimed.tenantId,
    epoch: claimed.epoch,
    order,
    aborts: new Map(),
    queued: new WeakMap(),
    state: 'held',
    leaseUntilMs,
    more: claimed.more,
    reading: false,
    heard: 0,
    seen: 0,
    cancelTimer: null,
    alarmMs: Infinity,
  }
}

/** Opens a row's payload. Throws when it does not open. */
export type OpenRow = (row: LogRow, tenantId: Id) => InboundMessage

/** The handler's view of a turn, made when it first begins: from then on its group is fixed. */
export function queuedTurn(lane: HeldLane, turn: Turn<LogRow>, open: OpenRow, orElse: 'throw' | 'leave out'): QueuedTurn {
  const made = lane.queued.get(turn)
  if (made) return made
  const queued: QueuedTurn = {
    numberId: lane.numberId,
    tenantId: lane.tenantId,
    epoch: lane.epoch,
    firstSeq: turn.firstSeq,
    seqs: turn.items.map((row) => row.seq),
    items: turn.items.flatMap((row) => openItem(row, lane.tenantId, open, orElse)),
    resumed: turn.begun,
  }
  lane.queued.set(turn, queued)
  return queued
}

function openItem(row: LogRow, tenantId: Id, open: OpenRow, orElse: 'throw' | 'leave out'): QueuedTurn['items'] {
  try {
    return [{ seq: row.seq, messageId: row.messageId, receivedAtMs: row.receivedAtMs, message: open(row, tenantId) }]
  } catch (error) {
    if (orElse === 'throw') throw error
    return []
  }
}
