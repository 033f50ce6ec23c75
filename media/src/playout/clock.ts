import { FRAME_MS } from '../frame.ts'
import { LatenessHistogram } from './histogram.ts'
import type { LatenessSummary } from './histogram.ts'
import { Member } from './member.ts'
import type { MemberStats, PlayoutMember } from './member.ts'
import { monotonicClock } from './monotonic.ts'
import type { MonotonicClock } from './monotonic.ts'

export type JoinOptions = {
  /** How far ahead of its due time a frame may be sent. A carrier that buffers and can clear takes 160; RTP takes 0. */
  leadMs: number
}

export type PlayoutHandle = {
  /** There is something to send. With a lead window it leaves at once, else in the next slot. */
  kick(): void
  /** The far buffer was cleared: what was sent ahead will not be heard, its slots are free again. */
  rewindLead(): void
  stats(): MemberStats
  /** Idempotent. */
  leave(): void
}

export type ClockStats = {
  members: number
  lateness: LatenessSummary
  /** How late the most punctual wake-up of the last seconds was. Timers that drift let it grow; this grid keeps it near zero. */
  driftMs: number
}

export type PlayoutClockOptions = {
  clock?: MonotonicClock
  /** Calls are spread over the frame in steps of so many milliseconds, so that they do not all wait for each other. */
  stepMs?: number
}

const DRIFT_WINDOW_MS = 5_000
/** A process that was stopped for minutes has nothing to learn from each single slot of them. */
const MAX_MISSED_COUNTED = 500

/** Members whose slots begin at the same moment. `slot` is the last that was handled, `awake` how many members want the next. */
type Bucket = { phaseMs: number; slot: number; members: Member[]; awake: number }

/** One timer for all calls of the process. Slot n of a call is due at `origin + phase + n * 20 ms`: deadlines, so nothing adds up. */
export class PlayoutClock {
  readonly #clock: MonotonicClock
  readonly #originMs: number
  readonly #buckets: Bucket[]
  readonly #lateness = new LatenessHistogram()
  readonly #onWake = (): void => this.#wake()
  #cancelTimer: (() => void) | null = null
  #timerDueMs = Infinity
  #awake = 0
  #closed = false
  #driftWindowEndMs: number
  #punctualMs = Infinity
  #driftMs = 0

  constructor({ clock = monotonicClock, stepMs = 2 }: PlayoutClockOptions = {}) {
    if (!(stepMs > 0 && FRAME_MS % stepMs === 0)) throw new RangeError(`A step of ${stepMs} ms does not divide a frame.`)
    this.#clock = clock
    this.#originMs = clock.nowMs()
    this.#driftWindowEndMs = this.#originMs + DRIFT_WINDOW_MS
    this.#buckets = Array.from({ length: FRAME_MS / stepMs }, (_, n) => ({ phaseMs: n * stepMs, slot: -1, members: [], awake: 0 }))
  }

  /** A new member sleeps until its first `kick`. */
  join(member: PlayoutMember, { leadMs }: JoinOptions): PlayoutHandle {
    if (this.#closed) throw new Error('The playout clock is closed.')
    const bucket = this.#buckets.reduce((least, candidate) => (candidate.members.length < least.members.length ? candidate : least))
    const joined = new Member(member, Math.floor(leadMs / FRAME_MS))
    bucket.members = [...bucket.members, joined]
    return {
      kick: () => this.#kick(bucket, joined),
      rewindLead: () => joined.rewindLead(this.#slotAt(bucket, this.#clock.nowMs())),
      stats: () => joined.stats(),
      leave: () => this.#leave(bucket, joined),
    }
  }

  stats(): ClockStats {
    const members = this.#buckets.reduce((sum, bucket) => sum + bucket.members.length, 0)
    return { members, lateness: this.#lateness.summary(), driftMs: this.#driftMs }
  }

  /** Takes all members out; idempotent. */
  close(): void {
    this.#closed = true
    for (const bucket of this.#buckets) for (const member of bucket.members) this.#leave(bucket, member)
    this.#cancelTimer?.()
    this.#cancelTimer = null
  }

  #slotAt(bucket: Bucket, nowMs: number): number {
    return Math.floor((nowMs - this.#originMs - bucket.phaseMs) / FRAME_MS)
  }

  #dueMs(bucket: Bucket, slot: number): number {
    return this.#originMs + bucket.phaseMs + slot * FRAME_MS
  }

  #kick(bucket: Bucket, member: Member): void {
    if (member.left) return
    if (member.playing) {
      member.kicked = true
      return
    }
    const slot = this.#slotAt(bucket, this.#clock.nowMs())
    if (!member.awake) this.#rouse(bucket, member, slot)
    if (member.leadSlots > 0) this.#play(bucket, member, slot)
    this.#schedule()
  }

  #rouse(bucket: Bucket, member: Member, slot: number): void {
    if (this.#awake++ === 0) this.#restart()
    bucket.awake++
    member.wake(slot)
  }

  /** After a rest, slots that nobody waited for are not missed slots. */
  #restart(): void {
    const nowMs = this.#clock.nowMs()
    for (const bucket of this.#buckets) bucket.slot = this.#slotAt(bucket, nowMs)
    this.#punctualMs = Infinity
    this.#driftWindowEndMs = nowMs + DRIFT_WINDOW_MS
  }

  #fellAsleep(bucket: Bucket): void {
    this.#awake--
    bucket.awake--
  }

  #leave(bucket: Bucket, member: Member): void {
    if (member.left) return
    member.left = true
    if (member.awake) this.#fellAsleep(bucket)
    bucket.members = bucket.members.filter((other) => other !== member)
  }

  #wake(): void {
    this.#cancelTimer = null
    const nowMs = this.#clock.nowMs()
    for (const bucket of this.#buckets) {
      const slot = this.#slotAt(bucket, nowMs)
      if (slot <= bucket.slot) continue
      if (bucket.awake > 0) this.#playBucket(bucket, slot)
      bucket.slot = slot
    }
    this.#schedule()
  }

  #playBucket(bucket: Bucket, slot: number): void {
    const first = Math.max(bucket.slot + 1, slot - MAX_MISSED_COUNTED)
    for (const member of bucket.members) {
      if (!member.awake || member.left) continue
      const nowMs = this.#clock.nowMs()
      for (let due = Math.max(first, member.since); due <= slot; due++) this.#note(member, nowMs - this.#dueMs(bucket, due), nowMs)
      this.#play(bucket, member, slot)
    }
  }

  #note(member: Member, latenessMs: number, nowMs: number): void {
    this.#lateness.add(latenessMs)
    member.lateness.add(latenessMs)
    if (latenessMs < this.#punctualMs) this.#punctualMs = latenessMs
    if (nowMs < this.#driftWindowEndMs) return
    this.#driftMs = this.#punctualMs
    this.#punctualMs = Infinity
    this.#driftWindowEndMs = nowMs + DRIFT_WINDOW_MS
  }

  #play(bucket: Bucket, member: Member, slot: number): void {
    try {
      member.play(slot, this.#dueMs(bucket, member.firstSlot(slot)))
      if (!member.awake && !member.left) this.#fellAsleep(bucket)
    } catch (error) {
      this.#leave(bucket, member)
      member.fault(error)
    }
  }

  #schedule(): void {
    if (this.#awake === 0 || this.#closed) return
    const dueMs = this.#nextDueMs()
    if (this.#cancelTimer && this.#timerDueMs <= dueMs) return
    this.#cancelTimer?.()
    this.#timerDueMs = dueMs
    this.#cancelTimer = this.#clock.after(dueMs - this.#clock.nowMs(), this.#onWake)
  }

  #nextDueMs(): number {
    let next = Infinity
    for (const bucket of this.#buckets) {
      if (bucket.awake > 0) next = Math.min(next, this.#dueMs(bucket, bucket.slot + 1))
    }
    return next
  }
}
