import { frameSamples } from '../frame.ts'
import type { Pcm, SampleRateHz } from '../frame.ts'
import { applyGain, BackgroundLoop, Fader, gainOfDb } from './mixer.ts'
import type { Background } from './mixer.ts'
import { Utterance } from './utterance.ts'

/** Which samples of which utterance a frame carries, in the order in which they lie in it. */
export type Segment = { utteranceId: string; fromSample: number; samples: number }

/**
 * What `next` found. `speech`: the frame carries speech. `background`: only what lies behind it. `starved`: the middle of an
 * utterance has not come yet (`out` carries the background, when there is one). `none`: nothing to send.
 */
export type FrameKind = 'speech' | 'background' | 'starved' | 'none'

/** Belongs to the queue and is written anew by every `next`: only the first `segmentCount` segments count. */
export type PlayoutFrame = { kind: FrameKind; audible: boolean; generation: number; segments: Segment[]; segmentCount: number }

/** `stale`: of an utterance that was cut or has ended, and dropped. `full`: not taken, the queue holds `maxQueuedMs`; try again after `onRoom`. */
export type EnqueueResult = 'queued' | 'stale' | 'full'

export type PlayoutQueueOptions = {
  sampleRateHz: SampleRateHz
  /** Default 120,000. */
  maxQueuedMs?: number
  /** How much of what was taken can be taken again by `rewind`. Default 2,000. */
  historyMs?: number
  /** Something to play came to a queue that had nothing. */
  onWork?: () => void
  /** A queue that had been full is half empty. */
  onRoom?: () => void
}

/** Names of gone utterances are remembered to tell late sound from new; older ones cannot be late any more. */
const GONE_REMEMBERED = 256

/**
 * What the agent is going to say in one call, sample by sample. Utterances play in the order of their first `enqueue`.
 * Two never overlap; a frame may carry the end of one and the beginning of the next.
 */
export class PlayoutQueue {
  readonly frameSamples: number
  readonly #rate: number
  readonly #maxQueued: number
  readonly #history: number
  readonly #onWork: () => void
  readonly #onRoom: () => void
  readonly #gain = new Fader(1)
  readonly #background = new BackgroundLoop()
  readonly #frame: PlayoutFrame = { kind: 'none', audible: false, generation: 0, segments: [], segmentCount: 0 }
  #gone = new Set<string>()
  /** Those before `#current` were played and are kept for `rewind`. */
  #utterances: Utterance[] = []
  #current = 0
  #held = false
  #full = false

  constructor({ sampleRateHz, maxQueuedMs = 120_000, historyMs = 2_000, onWork = () => {}, onRoom = () => {} }: PlayoutQueueOptions) {
    this.#rate = sampleRateHz
    this.frameSamples = frameSamples(sampleRateHz)
    this.#maxQueued = (maxQueuedMs / 1_000) * sampleRateHz
    this.#history = (historyMs / 1_000) * sampleRateHz
    this.#onWork = onWork
    this.#onRoom = onRoom
  }

  /** Counts the cuts. Sound of an older generation is not to be sent any more. */
  get generation(): number {
    return this.#frame.generation
  }

  get queuedMs(): number {
    return (this.#queued() / this.#rate) * 1_000
  }

  get paused(): boolean {
    return this.#held
  }

  /** `pcm` is kept, not copied: the giver must not write to it any more. */
  enqueue(utteranceId: string, pcm: Pcm): EnqueueResult {
    const utterance = this.#find(utteranceId)
    if (utterance ? utterance.ended : this.#gone.has(utteranceId)) return 'stale'
    if (this.#queued() + pcm.length > this.#maxQueued) {
      this.#full = true
      return 'full'
    }
    const target = utterance ?? this.#open(utteranceId)
    target.append(pcm)
    if (pcm.length > 0 && !this.#held) this.#onWork()
    return 'queued'
  }

  /** No more sound of this utterance comes. Answers its length in samples, or null when it is unknown or gone. */
  end(utteranceId: string): number | null {
    const utterance = this.#find(utteranceId)
    if (!utterance) return null
    utterance.ended = true
    if (!this.#held) this.#onWork()
    return utterance.length
  }

  /** Speech holds where it is, to the sample; the background goes on. */
  pause(): void {
    this.#held = true
  }

  resume(): void {
    if (!this.#held) return
    this.#held = false
    this.#onWork()
  }

  /** The loudness of speech from the next frame on, reached within it. 0 is as it came. */
  duck(gainDb: number): void {
    this.#gain.target = gainOfDb(gainDb)
  }

  /** null fades it out. */
  setBackground(background: Background | null): void {
    this.#background.set(background)
    if (background) this.#onWork()
  }

  /** Drops all speech that was not taken, at once. Answers the utterances that were open, in order. Ends a pause. */
  cut(): string[] {
    const open = this.#utterances.slice(this.#current).map(({ id }) => id)
    for (const { id } of this.#utterances) this.#remember(id)
    this.#utterances = []
    this.#current = 0
    this.#held = false
    this.#frame.generation++
    this.#noticeRoom()
    return open
  }

  /** Drops what was not taken of one utterance (a filler, when the answer is there). Answers whether there was any. */
  drop(utteranceId: string): boolean {
    const at = this.#utterances.findIndex(({ id }, n) => id === utteranceId && n >= this.#current)
    if (at < 0) return false
    this.#remember(utteranceId)
    this.#utterances.splice(at, 1)
    this.#noticeRoom()
    this.#onWork()
    return true
  }

  /** Speech from `sample` of the utterance on is to be taken again: it was sent, and cleared before it was heard. Answers whether that much is still kept. */
  rewind(utteranceId: string, sample: number): boolean {
    const at = this.#utterances.findIndex(({ id }) => id === utteranceId)
    const utterance = this.#utterances[at]
    if (!utterance || at > this.#current || sample > utterance.position) return false
    utterance.seek(sample)
    for (const later of this.#utterances.slice(at + 1, this.#current + 1)) later.seek(0)
    this.#current = at
    return utterance.position === sample
  }

  /** Writes the next 20 ms to `out` and says what they are. The answer is valid until the next call. */
  next(out: Pcm): PlayoutFrame {
    const frame = this.#frame
    frame.segmentCount = 0
    const samples = this.#held ? 0 : this.#collect(out)
    out.fill(0, samples)
    frame.kind = this.#kindOf(samples)
    frame.audible = frame.kind === 'speech' || this.#background.audible
    if (samples > 0) applyGain(out, this.#gain)
    this.#background.mixInto(out, samples > 0)
    if (samples > 0) this.#tidy()
    return frame
  }

  #kindOf(samples: number): FrameKind {
    if (samples > 0) return 'speech'
    const current = this.#utterances[this.#current]
    if (!this.#held && current && current.position > 0 && !current.exhausted) return 'starved'
    return this.#background.audible ? 'background' : 'none'
  }

  /** A whole frame, or the last one of an utterance that nothing follows. The beginning of a frame whose rest has not come stays. */
  #collect(out: Pcm): number {
    let filled = 0
    for (let at = this.#current; at < this.#utterances.length && filled < this.frameSamples; at++) {
      const utterance = this.#utterances[at]!
      if (!utterance.ended && utterance.available < this.frameSamples - filled) break
      filled += this.#takeFrom(utterance, out, filled)
      if (utterance.exhausted) this.#current = at + 1
    }
    return filled
  }

  #takeFrom(utterance: Utterance, out: Pcm, filled: number): number {
    const fromSample = utterance.position
    const samples = utterance.take(out, filled, this.frameSamples - filled)
    if (samples > 0) this.#note(utterance.id, fromSample, samples)
    return samples
  }

  #note(utteranceId: string, fromSample: number, samples: number): void {
    const { segments } = this.#frame
    const segment = segments[this.#frame.segmentCount++]
    if (!segment) {
      segments.push({ utteranceId, fromSample, samples })
      return
    }
    segment.utteranceId = utteranceId
    segment.fromSample = fromSample
    segment.samples = samples
  }

  #open(id: string): Utterance {
    const utterance = new Utterance(id)
    this.#utterances.push(utterance)
    return utterance
  }

  #find(id: string): Utterance | undefined {
    return this.#utterances.find((utterance) => utterance.id === id)
  }

  #queued(): number {
    let samples = 0
    for (let at = this.#current; at < this.#utterances.length; at++) samples += this.#utterances[at]!.available
    return samples
  }

  /** Lets go of sound that nobody will go back to. */
  #tidy(): void {
    this.#utterances[this.#current]?.forget(this.#history)
    let behind = this.#utterances[this.#current]?.position ?? 0
    let keep = this.#current
    while (keep > 0 && behind <= this.#history) behind += this.#utterances[--keep]!.length
    for (const { id } of this.#utterances.splice(0, keep)) this.#remember(id)
    this.#current -= keep
    this.#noticeRoom()
  }

  #remember(id: string): void {
    this.#gone.add(id)
    if (this.#gone.size <= GONE_REMEMBERED) return
    const oldest = this.#gone.values().next()
    if (!oldest.done) this.#gone.delete(oldest.value)
  }

  #noticeRoom(): void {
    if (!this.#full || this.#queued() > this.#maxQueued / 2) return
    this.#full = false
    this.#onRoom()
  }
}
