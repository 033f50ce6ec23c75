// What may start, what may leave, what has waited too long: the order of one lane, decided without I/O and without a clock.
// The state changes in place; the same calls with the same times always give the same actions, which is what lets the
// simulation replay a seed. `drain.ts` is its only user with I/O.

export type LaneSettings = {
  /** 'number': replies leave in the order of the number. 'conversation': only those of one conversation keep order. */
  orderMode: 'number' | 'conversation'
  /** Turns that may be under way at once, over different conversations. */
  windowSize: number
  /** Messages of one conversation within this time of the first form one turn. */
  coalesceMs: number
  /** A head that has been started and does not leave within this time is parked and passed. */
  headDeadlineMs: number
}

/** What is the same for all lanes of a process. */
export type LaneLimits = {
  /** Messages in one turn at most. */
  turnCap: number
  /** Failures of one phase before the turn is parked as poison. */
  maxAttempts: number
  retryBaseMs: number
  retryMaxMs: number
  /** How long a handler may ignore its abort signal before its turn is parked without it. */
  abortGraceMs: number
}
export const DEFAULT_LIMITS: LaneLimits = { turnCap: 50, maxAttempts: 5, retryBaseMs: 250, retryMaxMs: 30_000, abortGraceMs: 5_000 }

export type LaneItem = { seq: number; conversationKey: string; receivedAtMs: number }
/** A turn that an earlier owner began: its group is fixed for ever. */
export type BegunTurn = { id: string; seqs: readonly number[]; state: 'open' | 'answered'; attempts: number }
export type ParkReason = 'poison' | 'head_deadline'

type Phase = 'gather' | 'answer' | 'send' | 'park'
export type Turn<Item extends LaneItem> = {
  readonly firstSeq: number
  readonly conversationKey: string
  readonly items: Item[]
  readonly begun: BegunTurn | null
  phase: Phase
  /** A handler works on it. `run` tells that handler from one that was given up. */
  busy: boolean
  run: number
  attempts: number
  notBeforeMs: number
  started: boolean
  /** Since when it is a head that has been started. */
  headSinceMs: number | null
  abortedAtMs: number | null
  parkReason: ParkReason | null
}

export type Lane<Item extends LaneItem> = {
  readonly settings: LaneSettings
  readonly limits: LaneLimits
  /** Not retired, by first sequence number. */
  turns: Turn<Item>[]
  readonly conversations: Map<string, Turn<Item>[]>
  /** Items of `turns`, without those of begun turns. */
  loaded: number
  /** The log has been read up to here. A begun turn that lies further ahead waits until the reader gets there. */
  readUpTo: number
  /** Items of begun turns, which may lie ahead of the log's reader: not to be taken a second time when it gets there. */
  readonly begunSeqs: Set<number>
}

/** What the drainer must do now. `run` goes back into `settle`. */
export type Action<Item extends LaneItem> = { do: 'answer' | 'send' | 'park' | 'abort'; turn: Turn<Item>; run: number }
export type Outcome = { kind: 'ready' } | { kind: 'retired' } | { kind: 'later'; retryAfterMs: number } | { kind: 'failed' }

/** An empty line. */
export function createLaneOrder<Item extends LaneItem>(settings: LaneSettings, limits: LaneLimits = DEFAULT_LIMITS): Lane<Item> {
  return { settings, limits, turns: [], conversations: new Map(), loaded: 0, readUpTo: 0, begunSeqs: new Set() }
}

/**
 * Items in rising order of `seq`, all that wait between the last call's `readUpTo` and this one's; `begun` turns come once,
 * with all of their items, wherever those lie.
 */
export function arrive<Item extends LaneItem>(lane: Lane<Item>, items: readonly Item[], begun: readonly BegunTurn[], readUpTo: number, nowMs: number): void {
  const bySeq = new Map(items.map((item) => [item.seq, item]))
  for (const group of begun) addBegun(lane, group, bySeq)
  for (const item of items) {
    if (item.seq <= lane.readUpTo || item.seq > readUpTo || lane.begunSeqs.has(item.seq)) continue
    addItem(lane, item, nowMs)
  }
  lane.readUpTo = Math.max(lane.readUpTo, readUpTo)
}

function addBegun<Item extends LaneItem>(lane: Lane<Item>, group: BegunTurn, bySeq: Map<number, Item>): void {
  const items = group.seqs.flatMap((seq) => bySeq.get(seq) ?? [])
  const first = items[0]
  if (!first || lane.begunSeqs.has(first.seq)) return
  const turn = newTurn(first, group)
  turn.items.push(...items.slice(1))
  // Also one that is answered already: the handler has to read what it will send.
  turn.phase = 'answer'
  for (const item of items) lane.begunSeqs.add(item.seq)
  append(lane, turn)
}

function addItem<Item extends LaneItem>(lane: Lane<Item>, item: Item, nowMs: number): void {
  lane.loaded += 1
  const last = lane.conversations.get(item.conversationKey)?.at(-1)
  if (last?.phase === 'gather' && last.items.length < lane.limits.turnCap) {
    last.items.push(item)
    if (last.items.length === lane.limits.turnCap) last.notBeforeMs = 0
    return
  }
  const turn = newTurn(item, null)
  // The database's clock may run ahead of ours; waiting is counted from the earlier of the two.
  turn.notBeforeMs = Math.min(item.receivedAtMs, nowMs) + lane.settings.coalesceMs
  append(lane, turn)
}

function newTurn<Item extends LaneItem>(first: Item, begun: BegunTurn | null): Turn<Item> {
  return {
    firstSeq: first.seq,
    conversationKey: first.conversationKey,
    items: [first],
    begun,
    phase: 'gather',
    busy: false,
    run: 0,
    attempts: 0,
    notBeforeMs: 0,
    started: false,
    headSinceMs: null,
    abortedAtMs: null,
    parkReason: null,
  }
}

function append<Item extends LaneItem>(lane: Lane<Item>, turn: Turn<Item>): void {
  insert(lane.turns, turn)
  const line = lane.conversations.get(turn.conversationKey)
  if (line) insert(line, turn)
  else lane.conversations.set(turn.conversationKey, [turn])
}

/** Nearly always at the end; a begun turn from beyond the reader is overtaken by what is read after it. */
function insert<Item extends LaneItem>(turns: Turn<Item>[], turn: Turn<Item>): void {
  let at = turns.length
  while (at > 0 && turns[at - 1]!.firstSeq > turn.firstSeq) at -= 1
  turns.splice(at, 0, turn)
}

/**
 * Decides. `slots` is how many answers the process may still start; sends and parks always may, since they free what
 * others wait for. `starved` says that a slot would have been used.
 */
export function advance<Item extends LaneItem>(lane: Lane<Item>, nowMs: number, slots: number): { actions: Action<Item>[]; starved: boolean } {
  const actions: Action<Item>[] = []
  let open = windowRoom(lane)
  let starved = false
  for (const turn of lane.turns) {
    if (turn.firstSeq > lane.readUpTo) break
    const head = isHead(lane, turn)
    if (head && turn.started) turn.headSinceMs ??= nowMs
    if (head) checkDeadline(lane, turn, nowMs, actions)
    if (turn.busy || turn.notBeforeMs > nowMs) continue
    if (turn.phase === 'park') actions.push(begin(turn, 'park'))
    else if (turn.phase === 'send' && head) actions.push(begin(turn, 'send'))
    else if (mayAnswer(lane, turn, open)) {
      if (slots <= 0) {
        starved = true
        continue
      }
      slots -= 1
      if (takesRoom(lane, turn)) open -= 1
      actions.push(begin(turn, 'answer'))
    }
    if (head && turn.busy) turn.headSinceMs ??= nowMs
  }
  return { actions, starved }
}

/** In number order an answered turn that waits for the head fills the window; in conversation order nothing waits. */
function windowRoom<Item extends LaneItem>(lane: Lane<Item>): number {
  const byNumber = lane.settings.orderMode === 'number'
  let used = 0
  for (const turn of lane.turns) if (byNumber ? turn.started : turn.busy) used += 1
  return lane.settings.windowSize - used
}

function mayAnswer<Item extends LaneItem>(lane: Lane<Item>, turn: Turn<Item>, open: number): boolean {
  if (turn.phase !== 'gather' && turn.phase !== 'answer') return false
  if (lane.conversations.get(turn.conversationKey)![0] !== turn) return false
  // The number's head may always start: a window full of turns that wait for it would never empty.
  return open > 0 || !takesRoom(lane, turn) || (lane.settings.orderMode === 'number' && isHead(lane, turn))
}

/** In number order a turn that is tried again has kept its room. */
const takesRoom = <Item extends LaneItem>(lane: Lane<Item>, turn: Turn<Item>): boolean => !turn.started || lane.settings.orderMode === 'conversation'

function isHead<Item extends LaneItem>(lane: Lane<Item>, turn: Turn<Item>): boolean {
  if (lane.settings.orderMode === 'number') return lane.turns[0] === turn
  return lane.conversations.get(turn.conversationKey)![0] === turn
}

function begin<Item extends LaneItem>(turn: Turn<Item>, what: 'answer' | 'send' | 'park'): Action<Item> {
  turn.phase = what
  turn.busy = true
  turn.started = true
  turn.run += 1
  return { do: what, turn, run: turn.run }
}

/**
 * The deadline counts from when the head was started, not from when it came: a process without free slots must not park
 * what it never tried. A handler at work is asked to stop first; one that does not is left behind after the grace time
 * (its late commit is refused: `retireTurns` knows what is retired).
 */
function checkDeadline<Item extends LaneItem>(lane: Lane<Item>, turn: Turn<Item>, nowMs: number, actions: Action<Item>[]): void {
  if (turn.phase === 'park' || turn.headSinceMs === null || nowMs < turn.headSinceMs + lane.settings.headDeadlineMs) return
  if (!turn.busy) return giveUp(turn, 'head_deadline')
  if (turn.abortedAtMs === null) {
    turn.abortedAtMs = nowMs
    turn.parkReason = 'head_deadline'
    actions.push({ do: 'abort', turn, run: turn.run })
  } else if (nowMs >= turn.abortedAtMs + lane.limits.abortGraceMs) giveUp(turn, 'head_deadline')
}

function giveUp<Item extends LaneItem>(turn: Turn<Item>, reason: ParkReason): void {
  turn.phase = 'park'
  turn.busy = false
  turn.parkReason = reason
  turn.attempts = 0
  turn.notBeforeMs = 0
}

/** Takes in what a handler said. False when that handler had been given up: its word counts no longer. */
export function settle<Item extends LaneItem>(lane: Lane<Item>, turn: Turn<Item>, run: number, outcome: Outcome, nowMs: number): boolean {
  if (turn.run !== run || !turn.busy) return false
  turn.busy = false
  if (outcome.kind === 'retired') remove(lane, turn)
  else if (turn.phase === 'park') retryLater(lane, turn, nowMs)
  else if (turn.parkReason !== null) giveUp(turn, turn.parkReason)
  else if (outcome.kind === 'ready') {
    turn.phase = 'send'
    turn.attempts = 0
  } else if (outcome.kind === 'later') turn.notBeforeMs = nowMs + outcome.retryAfterMs
  else {
    retryLater(lane, turn, nowMs)
    if (turn.attempts >= lane.limits.maxAttempts) giveUp(turn, 'poison')
  }
  return true
}

function retryLater<Item extends LaneItem>(lane: Lane<Item>, turn: Turn<Item>, nowMs: number): void {
  turn.attempts += 1
  turn.notBeforeMs = nowMs + Math.min(lane.limits.retryBaseMs * 2 ** (turn.attempts - 1), lane.limits.retryMaxMs)
}

function remove<Item extends LaneItem>(lane: Lane<Item>, turn: Turn<Item>): void {
  lane.turns.splice(lane.turns.indexOf(turn), 1)
  const line = lane.conversations.get(turn.conversationKey)!
  if (line.length === 1) lane.conversations.delete(turn.conversationKey)
  else line.splice(line.indexOf(turn), 1)
  if (!turn.begun) lane.loaded -= turn.items.length
}

/** When `advance` has something to decide again although nothing happened; null when only an event can change anything. */
export function nextDueMs<Item extends LaneItem>(lane: Lane<Item>, nowMs: number): number | null {
  let due = Infinity
  for (const turn of lane.turns) {
    if (!turn.busy && turn.notBeforeMs > nowMs) due = Math.min(due, turn.notBeforeMs)
    if (turn.headSinceMs === null || turn.phase === 'park' || !isHead(lane, turn)) continue
    const since = turn.abortedAtMs
    due = Math.min(due, since === null ? turn.headSinceMs + lane.settings.headDeadlineMs : since + lane.limits.abortGraceMs)
  }
  return due === Infinity ? null : due
}

export const isBusy = <Item extends LaneItem>(lane: Lane<Item>): boolean => lane.turns.some((turn) => turn.busy)
