import { AppError, type Clock, type Id, type Logger } from '@trunkline/core'
import type { Release } from '../redis/lease.ts'
import type { Claimed } from '../redis/ready.ts'
import { createBatcher } from './batcher.ts'
import type { TurnHandler } from './contract.ts'
import { holdLane, queuedTurn, type HeldLane, type OpenRow } from './held-lane.ts'
import type { ClaimedLane, LogRow } from './lanes.ts'
import { advance, arrive, isBusy, nextDueMs, settle, type Action, type LaneLimits, type LaneSettings, type Outcome } from './order.ts'
import { WaitingLanes } from './waiting-lanes.ts'

/** The log and the fence (Postgres). */
export type LaneStore = {
  claim(numberIds: readonly Id[]): Promise<ClaimedLane[]>
  read(after: readonly { numberId: Id; after: number }[]): Promise<LogRow[]>
  /** Rows that `read` gives for one lane at most. */
  readonly readLimit: number
}

/** The ready set and the leases (Redis), in the name of this owner. Calls arrive in the order in which they are made. */
export type Wakes = {
  take(timeoutMs: number): Promise<Id | null>
  claim(max: number, taken: readonly Id[]): Promise<Claimed>
  heartbeat(numberIds: readonly Id[]): Promise<number[]>
  release(releases: readonly Release[]): Promise<number[]>
  retired(count: number): Promise<void>
  listen(onWake: (news: { numberId: Id; count: number } | null) => void): Promise<() => void>
  /** Ends a `take` that waits. */
  interrupt(): void
}

export type DrainDeps = { store: LaneStore; wakes: Wakes; open: OpenRow; handler: TurnHandler; clock: Clock; log: Logger; defer?: (delayMs: number, fn: () => void) => void }
export type DrainOptions = {
  limits: LaneLimits
  leaseMs: number
  /** Handlers at work in the process. Sends and parks may go over it: they free what others wait for. */
  maxTurnsInFlight: number
  maxLanes: number
  claimMax: number
  takeMs: number
  settingsOf?: (claimed: ClaimedLane) => LaneSettings
}
export type DrainStats = {
  lanes: number
  turnsInFlight: number
  claimed: number
  /** Claims that met another's lease, and leases lost to another owner. */
  contended: number
  leasesExpired: number
  leasesLost: number
  fenced: number
  retried: number
  parked: number
  retiredTurns: number
  retiredMessages: number
  failures: number
}
export type Drain = {
  start(): Promise<void>
  /** Takes no new numbers, starts no new turns, lets those at work end until the deadline, then aborts them and gives everything back. */
  stop(options: { deadlineMs: number }): Promise<void>
  stats(): DrainStats
}

const READ_AGAIN_MS = 500
const FAILED_CLAIM_MS = 1_000
const FENCED_AGAIN_MS = 100
/** A process whose hands are full looks for numbers no more often than this: those with free hands come first. */
const FULL_HANDS_MS = 50
const RETIRED_FLUSH_MS = 100
const STOP_GRACE_MS = 1_000

/**
 * Drains lanes: one closure, because its parts are one machine over one set of lanes. It decides nothing about order
 * (order.ts does) and does no I/O of its own (the ports do): the simulation runs this very code.
 */
export function createDrain({ store, wakes, open, handler, clock, log, defer }: DrainDeps, options: DrainOptions): Drain {
  const lanes = new Map<Id, HeldLane>()
  const starving = new WaitingLanes<HeldLane>()
  /** Wake-ups for numbers that are not (yet) here. */
  const strays = new Map<Id, number>()
  const claiming = new Set<Id>()
  const totals = { claimed: 0, contended: 0, leasesExpired: 0, leasesLost: 0, fenced: 0, retried: 0, parked: 0, retiredTurns: 0, retiredMessages: 0, failures: 0 }
  const marginMs = options.leaseMs / 4
  let inFlight = 0
  const life = { stopping: false }
  let retiredUntold = 0
  let onRoom: (() => void) | null = null
  let onQuiet: (() => void) | null = null
  let looping: Promise<void> = Promise.resolve()
  let unlisten: (() => void) | null = null
  let cancelTick: (() => void) | null = null

  const after = { after: defer }
  const reader = createBatcher<{ numberId: Id; after: number }, LogRow[]>({ maxSize: 500, maxInFlight: 2, ...after, run: readLanes })
  const releaser = createBatcher<Release, number>({ maxSize: 500, maxInFlight: 4, ...after, run: (releases) => wakes.release(releases) })

  async function readLanes(asked: readonly { numberId: Id; after: number }[]): Promise<LogRow[][]> {
    const rows = new Map<Id, LogRow[]>(asked.map((lane) => [lane.numberId, []]))
    for (const row of await store.read(asked)) rows.get(row.numberId)!.push(row)
    return asked.map((lane) => rows.get(lane.numberId)!)
  }

  // ── Numbers in ──────────────────────────────────────────────────────────────────────────────────────────────────────
  async function loop(): Promise<void> {
    let mayWait = true
    while (!life.stopping) {
      if (!hasRoom() || !hasHands()) await nextChange()
      if (!hasRoom()) continue
      try {
        // With full hands, too, or whoever is here would be served to their last message before anybody else is let in.
        if (!hasHands()) await pause(FULL_HANDS_MS)
        const taken: Id | null = mayWait && hasHands() ? await wakes.take(options.takeMs) : null
        mayWait = !(await claim(taken === null ? [] : [taken]))
      } catch (error) {
        mayWait = true
        if (life.stopping) break
        log.warn({ error }, 'numbers could not be claimed')
        await pause(FAILED_CLAIM_MS / 4)
      }
    }
  }

  const hasRoom = () => lanes.size < options.maxLanes
  const hasHands = () => inFlight < options.maxTurnsInFlight
  const pause = (ms: number) => new Promise<void>((resolve) => void clock.after(ms, resolve))
  /** Until a turn ends or a lane goes. */
  const nextChange = () => new Promise<void>((resolve) => (onRoom = resolve))

  /** True when there may be more to claim at once. */
  async function claim(taken: Id[]): Promise<boolean> {
    if (life.stopping) {
      for (const numberId of taken) giveBack(numberId, 0)
      return false
    }
    const max = Math.max(1, Math.min(options.claimMax, options.maxLanes - lanes.size))
    const leaseUntilMs = clock.nowMs() + options.leaseMs
    const { numberIds, expired, refused } = await wakes.claim(max, taken)
    totals.contended += refused
    totals.leasesExpired += expired
    if (numberIds.length === 0) return false
    // A number that is still here was lost by us without our knowing.
    for (const numberId of numberIds) drop(numberId, 'lost', null)
    for (const numberId of numberIds) claiming.add(numberId)
    const claimed = await claimInStore(numberIds).finally(() => numberIds.forEach((numberId) => claiming.delete(numberId)))
    const held = new Set(claimed.map((lane) => lane.numberId))
    for (const numberId of numberIds) if (!held.has(numberId)) void letGoEmpty(numberId)
    for (const lane of claimed) hold(lane, leaseUntilMs)
    return numberIds.length >= max
  }

  async function claimInStore(numberIds: Id[]): Promise<ClaimedLane[]> {
    try {
      return await store.claim(numberIds)
    } catch (error) {
      for (const numberId of numberIds) giveBack(numberId, FAILED_CLAIM_MS)
      throw error
    }
  }

  function hold(claimed: ClaimedLane, leaseUntilMs: number): void {
    totals.claimed += 1
    const lane = holdLane(claimed, options.settingsOf?.(claimed) ?? claimed.settings, options.limits, leaseUntilMs, clock.nowMs())
    lane.heard = strays.get(lane.numberId) ?? 0
    strays.delete(lane.numberId)
    lanes.set(lane.numberId, lane)
    step(lane)
  }

  /** Nothing waited there when we looked; what came since has been counted and makes it ready again. */
  async function letGoEmpty(numberId: Id): Promise<void> {
    strays.delete(numberId)
    const kept = await releaser.add({ numberId, seen: 0, againInMs: null }).catch(() => 0)
    if (kept > 0) giveBack(numberId, 0)
  }

  function giveBack(numberId: Id, againInMs: number): void {
    // A failure is no loss: the lease ends by itself, and the sweeper looks.
    releaser.add({ numberId, seen: -1, againInMs }).catch(() => {})
  }

  // ── Turns ───────────────────────────────────────────────────────────────────────────────────────────────────────────
  /** Does whatever can be done for a lane now. Called after everything that could change that. A fault of ours costs the lane, not the process. */
  function step(lane: HeldLane): void {
    if (lane.state !== 'held') return
    try {
      proceed(lane)
    } catch (error) {
      log.error({ error, numberId: lane.numberId }, 'a lane could not go on')
      drop(lane.numberId, 'broken', FAILED_CLAIM_MS)
    }
  }

  function proceed(lane: HeldLane): void {
    if (leaseIsOver(lane)) return drop(lane.numberId, 'lost', 0)
    const slots = life.stopping ? 0 : options.maxTurnsInFlight - inFlight
    // One moment for the decision and for its alarm: with two, a turn may be not yet due for the first and no longer to be waited for in the second.
    const nowMs = clock.nowMs()
    const { actions, starved } = advance(lane.order, nowMs, slots)
    for (const action of actions) act(lane, action)
    if (starved && !life.stopping) starving.add(lane)
    readMore(lane)
    setTimer(lane, nowMs)
    if (isDone(lane)) void letGo(lane)
  }

  const leaseIsOver = (lane: HeldLane) => clock.nowMs() >= lane.leaseUntilMs - marginMs

  function isDone(lane: HeldLane): boolean {
    if (lane.reading || isBusy(lane.order)) return false
    return life.stopping || (lane.order.turns.length === 0 && !lane.more && lane.heard === lane.seen)
  }

  /** An alarm that rings too early costs one look; to set it anew with every step costs more. */
  function setTimer(lane: HeldLane, nowMs: number): void {
    const dueMs = nextDueMs(lane.order, nowMs)
    if (dueMs === null || dueMs >= lane.alarmMs) return
    stopTimer(lane)
    lane.alarmMs = dueMs
    lane.cancelTimer = clock.after(Math.max(0, dueMs - nowMs), () => {
      lane.alarmMs = Infinity
      step(lane)
    })
  }

  function stopTimer(lane: HeldLane): void {
    lane.cancelTimer?.()
    lane.alarmMs = Infinity
  }

  function act(lane: HeldLane, action: Action<LogRow>): void {
    if (action.do === 'abort') return lane.aborts.get(action.turn)?.abort(new AppError('unavailable', { message: 'The turn has taken too long.' }))
    const controller = new AbortController()
    lane.aborts.set(action.turn, controller)
    inFlight += 1
    void run(lane, action, controller.signal).then((outcome) => {
      inFlight -= 1
      if (lane.aborts.get(action.turn) === controller) lane.aborts.delete(action.turn)
      if (outcome && lane.state !== 'gone') settle(lane.order, action.turn, action.run, outcome, clock.nowMs())
      afterRun(lane)
    })
  }

  /** A slot is free: those that starve come first. */
  function afterRun(lane: HeldLane): void {
    while (hasHands()) {
      const next = starving.take()
      if (!next) break
      step(next)
    }
    step(lane)
    if (hasRoom()) tell('room')
    if (inFlight === 0) tell('quiet')
  }

  function tell(what: 'room' | 'quiet'): void {
    const listener = what === 'room' ? onRoom : onQuiet
    if (what === 'room') onRoom = null
    else if (lanes.size === 0) onQuiet = null
    else return
    listener?.()
  }

  /** Null: the lane is no longer ours and nothing is to be settled. */
  async function run(lane: HeldLane, action: Action<LogRow>, signal: AbortSignal): Promise<Outcome | null> {
    try {
      const turn = queuedTurn(lane, action.turn, open, action.do === 'park' ? 'leave out' : 'throw')
      if (action.do === 'park') {
        await handler.park(turn, action.turn.parkReason!)
        totals.parked += 1
        return retired(turn.seqs.length)
      }
      const said = await (action.do === 'answer' ? handler.answer(turn, signal) : handler.send(turn, signal))
      if (said === 'retired') return retired(turn.seqs.length)
      if (said === 'ready') return { kind: 'ready' }
      totals.retried += 1
      return { kind: 'later', retryAfterMs: said.retryAfterMs }
    } catch (error) {
      return failed(lane, action, error)
    }
  }

  function retired(messages: number): Outcome {
    totals.retiredTurns += 1
    totals.retiredMessages += messages
    if (retiredUntold === 0) clock.after(RETIRED_FLUSH_MS, () => void tellRetired())
    retiredUntold += messages
    return { kind: 'retired' }
  }

  async function tellRetired(): Promise<void> {
    const count = retiredUntold
    retiredUntold = 0
    // A count that is lost is put right by the sweeper.
    if (count > 0) await wakes.retired(count).catch(() => {})
  }

  function failed(lane: HeldLane, action: Action<LogRow>, error: unknown): Outcome | null {
    if (lane.state === 'gone') return null
    if (error instanceof AppError && error.code === 'fenced') {
      totals.fenced += 1
      if (lanes.get(lane.numberId) === lane) drop(lane.numberId, 'fenced', FENCED_AGAIN_MS)
      return null
    }
    totals.failures += 1
    log.warn({ error, numberId: lane.numberId, firstSeq: action.turn.firstSeq, step: action.do, attempt: action.turn.attempts + 1 }, 'a turn failed and will be tried again')
    return { kind: 'failed' }
  }

  // ── The log ─────────────────────────────────────────────────────────────────────────────────────────────────────────
  function readMore(lane: HeldLane): void {
    if (lane.reading || life.stopping || (!lane.more && lane.heard === lane.seen)) return
    if (lane.order.loaded > store.readLimit / 2) {
      // Enough is here; the rest is read when there is room.
      lane.more = true
      lane.seen = lane.heard
      return
    }
    lane.reading = true
    const covers = lane.heard
    reader.add({ numberId: lane.numberId, after: lane.order.readUpTo }).then(
      (rows) => {
        lane.reading = false
        lane.seen = covers
        lane.more = rows.length >= store.readLimit
        arrive(lane.order, rows, [], rows.at(-1)?.seq ?? lane.order.readUpTo, clock.nowMs())
        step(lane)
      },
      (error: unknown) => {
        log.warn({ error, numberId: lane.numberId }, 'the log could not be read')
        clock.after(READ_AGAIN_MS, () => {
          lane.reading = false
          step(lane)
        })
      },
    )
  }

  // ── Numbers out ─────────────────────────────────────────────────────────────────────────────────────────────────────
  async function letGo(lane: HeldLane): Promise<void> {
    lane.state = 'releasing'
    stopTimer(lane)
    const workRemains = lane.order.turns.length > 0 || lane.more || lane.heard !== lane.seen
    const kept = await releaser.add({ numberId: lane.numberId, seen: workRemains ? -1 : lane.seen, againInMs: workRemains ? 0 : null }).catch(() => 0)
    if (lane.state !== 'releasing') return
    if (kept > 0) {
      lane.state = 'held'
      lane.heard = kept
      return step(lane)
    }
    forget(lane)
  }

  function forget(lane: HeldLane): void {
    lane.state = 'gone'
    stopTimer(lane)
    starving.delete(lane)
    if (lanes.get(lane.numberId) === lane) lanes.delete(lane.numberId)
    if (hasRoom()) tell('room')
    if (inFlight === 0) tell('quiet')
  }

  /** Not ours any more: turns at work are told to stop at once, and what they commit later the epoch refuses. */
  function drop(numberId: Id, why: 'lost' | 'fenced' | 'stopped' | 'broken', againInMs: number | null): void {
    const lane = lanes.get(numberId)
    if (!lane) return
    if (why === 'lost') totals.leasesLost += 1
    log.warn({ numberId, why, epoch: lane.epoch }, 'a lane is given up')
    forget(lane)
    for (const controller of lane.aborts.values()) controller.abort(new AppError('fenced'))
    if (againInMs !== null) giveBack(numberId, againInMs)
  }

  // ── Leases ──────────────────────────────────────────────────────────────────────────────────────────────────────────
  /** Six times a lease: look whether it is over; every second time: prolong. */
  function tick(beat: number): void {
    cancelTick = clock.after(options.leaseMs / 6, () => tick(beat + 1))
    for (const lane of lanes.values()) if (leaseIsOver(lane)) drop(lane.numberId, 'lost', 0)
    if (beat % 2 === 0) void heartbeat()
  }

  async function heartbeat(): Promise<void> {
    for (const numberId of strays.keys()) {
      if (claiming.has(numberId)) continue
      strays.delete(numberId)
      // A lease in our name that we know nothing of: nobody would serve the number until it ends.
      if (!lanes.has(numberId)) giveBack(numberId, 0)
    }
    const held = [...lanes.values()].filter((lane) => lane.state === 'held')
    if (held.length === 0) return
    const sentAtMs = clock.nowMs()
    try {
      const counts = await wakes.heartbeat(held.map((lane) => lane.numberId))
      held.forEach((lane, index) => prolong(lane, counts[index]!, sentAtMs))
    } catch (error) {
      log.warn({ error, lanes: held.length }, 'leases could not be prolonged')
    }
  }

  function prolong(lane: HeldLane, count: number, sentAtMs: number): void {
    if (lane.state === 'gone') {
      // Let go meanwhile. Was its release heard before this heartbeat, the heartbeat has taken the lease again, for nobody.
      if (count >= 0 && !lanes.has(lane.numberId) && !claiming.has(lane.numberId)) giveBack(lane.numberId, 0)
      return
    }
    if (count < 0) {
      totals.contended += 1
      return drop(lane.numberId, 'lost', null)
    }
    lane.leaseUntilMs = Math.max(lane.leaseUntilMs, sentAtMs + options.leaseMs)
    if (count !== lane.heard) onNews(lane, count)
  }

  function onWake(news: { numberId: Id; count: number } | null): void {
    if (news === null) {
      void heartbeat() // It answers each lane's count.
      return
    }
    const lane = lanes.get(news.numberId)
    if (lane) onNews(lane, news.count)
    else strays.set(news.numberId, news.count)
  }

  function onNews(lane: HeldLane, count: number): void {
    lane.heard = count
    readMore(lane)
  }

  async function quietWithin(ms: number): Promise<void> {
    if (inFlight === 0 && lanes.size === 0) return
    const { promise, resolve } = Promise.withResolvers<void>()
    onQuiet = resolve
    const cancel = clock.after(ms, resolve)
    await promise
    cancel()
  }

  return {
    async start() {
      unlisten = await wakes.listen(onWake)
      tick(1)
      looping = loop()
    },
    async stop({ deadlineMs }) {
      life.stopping = true
      wakes.interrupt()
      onRoom?.()
      await looping
      for (const lane of lanes.values()) step(lane)
      await quietWithin(deadlineMs)
      for (const lane of lanes.values()) for (const controller of lane.aborts.values()) controller.abort(new AppError('unavailable', { message: 'This worker is stopping.' }))
      await quietWithin(STOP_GRACE_MS)
      for (const lane of lanes.values()) drop(lane.numberId, 'stopped', 0)
      cancelTick?.()
      await tellRetired()
      await releaser.idle()
      unlisten?.()
    },
    stats: () => ({ lanes: lanes.size, turnsInFlight: inFlight, ...totals }),
  }
}
