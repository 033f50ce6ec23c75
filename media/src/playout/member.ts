import { FRAME_MS } from '../frame.ts'
import { LatenessHistogram } from './histogram.ts'
import type { LatenessSummary } from './histogram.ts'

/**
 * What became of a slot. `sent`: a frame went out. `starved`: in the middle of speech nothing was there to send.
 * `waiting`: nothing to send, wake me for the next slot all the same. `idle`: nothing to send until `kick`.
 */
export type SlotOutcome = 'sent' | 'starved' | 'waiting' | 'idle'

export type PlayoutMember = {
  /** Sends the frame of slot `slot` now; it is to be heard at `dueMs` (monotonic time), which lies up to the lead window ahead. */
  playSlot(slot: number, dueMs: number): SlotOutcome
  /** `playSlot` threw: the member has been taken out, the other calls go on. Must not throw. */
  onFault(error: unknown): void
}

export type MemberStats = {
  framesSent: number
  /** Slots of running speech that a stall of ours let pass; speech goes on after them, nothing is sent in a burst. */
  slotsSkipped: number
  /** Slots in which the caller heard a hole in running speech, because no sound had arrived. */
  underruns: number
  lateness: LatenessSummary
}

/** One call's place on the wheel of the playout clock, which alone uses it. */
export class Member {
  readonly leadSlots: number
  readonly lateness = new LatenessHistogram()
  awake = false
  left = false
  /** In `play`; a kick that comes from inside it only says that sleep is not wanted. */
  playing = false
  kicked = false
  /** The first slot of this period of being awake that counts for lateness. */
  since = 0
  readonly #member: PlayoutMember
  /** The first slot that has not been filled yet. */
  #next = 0
  /** The last slot that could be filled was filled. */
  #running = false
  #framesSent = 0
  #slotsSkipped = 0
  #underruns = 0
  #lastUnderrun = -1

  constructor(member: PlayoutMember, leadSlots: number) {
    this.#member = member
    this.leadSlots = leadSlots
  }

  wake(slot: number): void {
    this.awake = true
    this.#running = false
    this.since = slot + 1
    // Without a lead the present slot has begun already: a frame in it would be followed by the next one too soon.
    this.#next = Math.max(this.#next, this.leadSlots > 0 ? slot : slot + 1)
  }

  firstSlot(slot: number): number {
    return Math.max(this.#next, slot)
  }

  /** Fills slots up to the lead window, and never more than that many: slots that a stall let pass are skipped. */
  play(slot: number, firstDueMs: number): void {
    const first = this.firstSlot(slot)
    if (this.#running) this.#slotsSkipped += first - this.#next
    this.#next = first
    this.playing = true
    this.kicked = false
    const outcome = this.#fill(first, slot + this.leadSlots, firstDueMs)
    this.playing = false
    this.#running = outcome === 'sent'
    if (outcome === 'starved') this.#noteUnderrun(slot)
    if (outcome === 'idle' && !this.kicked) this.awake = false
  }

  #fill(first: number, last: number, firstDueMs: number): SlotOutcome {
    while (this.#next <= last && !this.left) {
      const outcome = this.#member.playSlot(this.#next, firstDueMs + (this.#next - first) * FRAME_MS)
      if (outcome !== 'sent') return outcome
      this.#framesSent++
      this.#next++
    }
    return 'sent'
  }

  /** As long as frames that were sent ahead still play, nobody hears that there are no more. */
  #noteUnderrun(slot: number): void {
    if (this.#next > slot || slot === this.#lastUnderrun) return
    this.#underruns++
    this.#lastUnderrun = slot
  }

  rewindLead(slot: number): void {
    this.#next = Math.min(this.#next, slot + 1)
  }

  fault(error: unknown): void {
    this.#member.onFault(error)
  }

  stats(): MemberStats {
    return { framesSent: this.#framesSent, slotsSkipped: this.#slotsSkipped, underruns: this.#underruns, lateness: this.lateness.summary() }
  }
}
