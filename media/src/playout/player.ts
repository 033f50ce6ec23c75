import type { Pcm, SampleRateHz } from '../frame.ts'
import type { SpokenSpan } from '../tts/contract.ts'
import type { MemberStats, SlotOutcome } from './member.ts'
import type { PlayoutClock, PlayoutHandle } from './clock.ts'
import { HeardLedger } from './heard.ts'
import type { Belief, Heard, HeardWord, Outcome } from './heard.ts'
import type { Background } from './mixer.ts'
import { monotonicClock } from './monotonic.ts'
import type { MonotonicClock } from './monotonic.ts'
import { PlayoutQueue } from './queue.ts'
import type { EnqueueResult, PlayoutFrame } from './queue.ts'

/** The way to the caller's ear, in the words of playout. A carrier with a buffer has `mark` and `clear`; RTP has neither. */
export type PlayoutWire = {
  /** 20 ms. `pcm` is written anew after the call: encode it, do not keep it. `dueMs`: when it is to be heard (monotonic). */
  send(pcm: Pcm, slot: number, dueMs: number): void
  /** Send a mark of this name; what comes back goes to `markReturned`. */
  mark?(name: string): void
  /** Drop what was not played yet. */
  clear?(): void
}

/** Hears what the caller hears, for the recording. Times are of the monotonic clock. */
export type PlayoutTap = {
  frame(pcm: Pcm, dueMs: number): void
  /** What was due after `atMs` is not heard. */
  cut(atMs: number): void
}

export type CallPlayerOptions = {
  wheel: PlayoutClock
  wire: PlayoutWire
  sampleRateHz: SampleRateHz
  /** Default: 160 where the wire can clear, else 0. */
  leadMs?: number
  /** From `send` to the ear. Default 60; without marks what was heard rests on it, so put it high rather than low. */
  latencyMs?: number
  /** A mark after so many frames of speech, and one after its end. Default 5. */
  markEveryFrames?: number
  /** Sends silence when there is nothing else. For wires that want a stream without holes. */
  continuous?: boolean
  clock?: MonotonicClock
  tap?: PlayoutTap
  /** A queue that was full has room again. */
  onRoom?: () => void
  onSettled?: (utteranceId: string, outcome: Outcome) => void
  /** The first frame of an utterance was sent; the caller's ear has it. For the waterfall of a turn. */
  onFirst?: (utteranceId: string, stage: 'sent' | 'heard', atMs: number) => void
  /** The wire threw; the player is closed. */
  onFault: (error: unknown) => void
}

const LEAD_MS = 160
const LATENCY_MS = 60
const MARK_EVERY_FRAMES = 5

/** The agent's voice in one call: queue, clock and ledger behind one door, so that they cannot disagree. */
export class CallPlayer {
  readonly #queue: PlayoutQueue
  readonly #ledger: HeardLedger
  readonly #handle: PlayoutHandle
  readonly #wire: PlayoutWire
  readonly #clock: MonotonicClock
  readonly #tap: PlayoutTap | undefined
  readonly #continuous: boolean
  readonly #markEvery: number
  readonly #onFirst: (utteranceId: string, stage: 'sent' | 'heard', atMs: number) => void
  readonly #buffer: Pcm
  /** Frames of speech since the last mark. */
  #unmarked = 0
  /** Holes in speech that a background covered: the clock saw a frame. */
  #coveredUnderruns = 0
  #closed = false

  constructor(options: CallPlayerOptions) {
    const { wheel, wire, sampleRateHz, clock = monotonicClock, onFirst = () => {} } = options
    this.#wire = wire
    this.#clock = clock
    this.#tap = options.tap
    this.#continuous = options.continuous ?? false
    this.#markEvery = options.markEveryFrames ?? MARK_EVERY_FRAMES
    this.#onFirst = onFirst
    this.#queue = new PlayoutQueue({ sampleRateHz, onWork: () => this.#handle.kick(), onRoom: options.onRoom })
    this.#buffer = new Int16Array(this.#queue.frameSamples)
    this.#ledger = new HeardLedger({
      sampleRateHz,
      proof: wire.mark ? 'marks' : 'elapsed',
      latencyMs: options.latencyMs ?? LATENCY_MS,
      onSettled: options.onSettled,
      onFirstHeard: (utteranceId, atMs) => onFirst(utteranceId, 'heard', atMs),
    })
    const leadMs = options.leadMs ?? (wire.clear ? LEAD_MS : 0)
    this.#handle = wheel.join({ playSlot: (slot, dueMs) => this.#playSlot(slot, dueMs), onFault: (error) => this.#fault(error, options.onFault) }, { leadMs })
    if (this.#continuous) this.#handle.kick()
  }

  get queuedMs(): number {
    return this.#queue.queuedMs
  }

  /** Said or about to be: sound waits, or was sent and is not known to be heard. */
  get speaking(): boolean {
    return this.#queue.queuedMs > 0 || this.#ledger.outstanding
  }

  /** What the sound of this utterance says; pieces are joined as they are. */
  text(utteranceId: string, piece: string): void {
    this.#ledger.text(utteranceId, piece)
  }

  spans(utteranceId: string, spans: readonly SpokenSpan[], estimated: boolean): void {
    this.#ledger.spans(utteranceId, spans, estimated)
  }

  /** The sound that follows says something else: of the text nothing behind `charEnd` is spoken. */
  aside(utteranceId: string, charEnd: number): void {
    this.#ledger.aside(utteranceId, charEnd)
  }

  enqueue(utteranceId: string, pcm: Pcm): EnqueueResult {
    return this.#queue.enqueue(utteranceId, pcm)
  }

  /** All its sound has come. */
  end(utteranceId: string): void {
    const samples = this.#queue.end(utteranceId)
    if (samples !== null) this.#ledger.ended(utteranceId, samples)
  }

  /** Speech failed in its middle: what came is played, its text was not said to the end. */
  failed(utteranceId: string): void {
    const samples = this.#queue.end(utteranceId)
    this.#ledger.cutShort(utteranceId, samples ?? undefined)
  }

  /** Takes one utterance out as far as it was not sent (a filler, when the answer is there). */
  drop(utteranceId: string): void {
    if (this.#queue.drop(utteranceId)) this.#ledger.cutShort(utteranceId)
  }

  /** Silence within a frame, where the wire can clear; goes on at the sample after the last that was likely heard. */
  pause(): void {
    if (this.#queue.paused) return
    this.#queue.pause()
    this.#takeBack()
  }

  resume(): void {
    this.#queue.resume()
  }

  /** Changes loudness at once: what was sent ahead is taken back and sent again. 0 is as it came. */
  duck(gainDb: number): void {
    this.#queue.duck(gainDb)
    this.#takeBack()
    this.#handle.kick()
  }

  background(background: Background | null): void {
    this.#queue.setBackground(background)
  }

  /** The caller has the word: nothing that was not heard will be. Sound of these utterances that comes late is dropped. */
  cut(): void {
    const nowMs = this.#clock.nowMs()
    this.#queue.cut()
    this.#unmarked = 0
    if (!this.#wire.clear) {
      this.#ledger.cutAllShort()
      return
    }
    this.#wire.clear()
    this.#tap?.cut(nowMs)
    this.#ledger.clear(nowMs, { resumes: false })
    this.#handle.rewindLead()
  }

  markReturned(name: string): void {
    this.#ledger.markReturned(name, this.#clock.nowMs())
  }

  /** A far end without marks that tells its position: samples of all that was sent. */
  played(streamSamples: number): void {
    this.#ledger.played(streamSamples, this.#clock.nowMs())
  }

  heardUntil(belief?: Belief): Heard[] {
    return this.#ledger.heardUntil(this.#clock.nowMs(), belief)
  }

  heardText(utteranceId: string, belief?: Belief): string {
    return this.#ledger.heardText(utteranceId, this.#clock.nowMs(), belief)
  }

  heardWords(utteranceId: string, belief?: Belief): HeardWord[] {
    return this.#ledger.heardWords(utteranceId, this.#clock.nowMs(), belief)
  }

  /** When its sound was played, as the recording has it. Null: none was. */
  timeOf(utteranceId: string): { startMs: number; endMs: number } | null {
    return this.#ledger.timeOf(utteranceId)
  }

  /** It is written into the conversation. */
  forget(utteranceId: string): void {
    this.#ledger.forget(utteranceId)
  }

  stats(): MemberStats {
    const stats = this.#handle.stats()
    return { ...stats, underruns: stats.underruns + this.#coveredUnderruns }
  }

  /** The socket is gone or the call is over: nothing more is sent or heard. Idempotent. */
  close(): void {
    if (this.#closed) return
    this.#closed = true
    this.#handle.leave()
    this.#queue.cut()
    this.#ledger.clear(this.#clock.nowMs(), { resumes: false })
  }

  #playSlot(slot: number, dueMs: number): SlotOutcome {
    const nowMs = this.#clock.nowMs()
    this.#ledger.poll(nowMs)
    const frame = this.#queue.next(this.#buffer)
    if (frame.kind !== 'speech') this.#markEnd()
    if (!frame.audible && !this.#continuous) return this.#silentOutcome(frame)
    if (frame.kind === 'starved') this.#coveredUnderruns++
    this.#wire.send(this.#buffer, slot, dueMs)
    this.#tap?.frame(this.#buffer, dueMs)
    this.#ledger.sent(frame, this.#buffer.length, nowMs, dueMs)
    if (frame.kind === 'speech') this.#noteSpeech(frame, nowMs)
    return 'sent'
  }

  #silentOutcome(frame: PlayoutFrame): SlotOutcome {
    if (frame.kind === 'starved') return 'starved'
    return this.#wire.mark || !this.#ledger.outstanding ? 'idle' : 'waiting'
  }

  #noteSpeech(frame: PlayoutFrame, nowMs: number): void {
    for (let n = 0; n < frame.segmentCount; n++) {
      const { utteranceId, fromSample } = frame.segments[n]!
      if (fromSample === 0) this.#onFirst(utteranceId, 'sent', nowMs)
    }
    if (++this.#unmarked >= this.#markEvery) this.#markEnd()
  }

  /** Marks what was said since the last mark. */
  #markEnd(): void {
    if (this.#unmarked === 0) return
    this.#unmarked = 0
    this.#wire.mark?.(this.#ledger.mark())
  }

  /** Clears the far buffer and puts back into the queue what was not heard of it. */
  #takeBack(): void {
    if (!this.#wire.clear || !this.#ledger.outstanding) return
    const nowMs = this.#clock.nowMs()
    this.#wire.clear()
    this.#tap?.cut(nowMs)
    this.#unmarked = 0
    this.#ledger.clear(nowMs, { resumes: true })
    const point = this.#ledger.resumePoint(nowMs)
    if (point) this.#queue.rewind(point.utteranceId, point.sample)
    this.#handle.rewindLead()
  }

  #fault(error: unknown, onFault: (error: unknown) => void): void {
    this.close()
    onFault(error)
  }
}
