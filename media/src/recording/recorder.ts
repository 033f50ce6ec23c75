import { AppError } from '@trunkline/core'
import type { Pcm, SampleRateHz } from '../frame.ts'
import type { Container } from './container.ts'
import { openOggOpus } from './ogg-opus.ts'
import { SinkFeeder } from './sink.ts'
import type { RecordingSink } from './sink.ts'
import { StereoTimeline } from './timeline.ts'
import type { Side } from './timeline.ts'
import { wavContainer } from './wav.ts'

export type RecorderOptions = {
  sink: RecordingSink
  format: 'wav' | 'ogg'
  sampleRateHz: SampleRateHz
  /** The beginning of the call, monotonic. All times given to the recorder are of that clock. */
  startMs: number
  /** `awaited`: not a sample is written of the time before `grantConsent`. */
  consent: 'given' | 'awaited'
  /** What stands in the file for time that must not be recorded: as much silence, or nothing. */
  unrecorded: 'silence' | 'omitted'
  /** Sound that the sink has not taken yet; more is replaced by silence of the same length. Default 4 MiB. */
  maxPendingBytes?: number
  /** The sink failed. The call goes on, its recording does not. Once. */
  onFault?: (error: unknown) => void
}

export type RecordingState = 'awaiting_consent' | 'recording' | 'paused' | 'refused' | 'closed'

export type RecordingSummary = {
  /** Of the file. */
  durationMs: number
  bytes: number
  /** Sound that came when its place was written already. */
  lostMs: number
  /** Sound that a slow sink had no room for: silence in the file. */
  droppedMs: number
  /** Pieces of the call that the file leaves out, in call time: to find a word in the file, take off what was omitted before it. */
  omitted: { atMs: number; durationMs: number }[]
  fault: unknown
  /** There is no recording: nobody consented. */
  discarded: boolean
}

/** Sound is written this long after its time: until then it may still come (jitter), or turn out not to have been heard (a cut). */
const HOLD_MS = 400
/** Less than the time between two calls of `advance`, which comes a little early now and then: one that was skipped would be a quarter of a second more to lose. */
const FLUSH_MS = 150
const SEAL_MS = 500
const WINDOW_MS = 4_000
const SNAP_MS = 1
const MAX_PENDING_BYTES = 4 * 1024 * 1024

/** The caller at the left, at the right the agent as it was heard; each sample at its place in the call. */
export async function openRecorder(options: RecorderOptions): Promise<CallRecorder> {
  return new CallRecorder(options.format === 'wav' ? wavContainer(options.sampleRateHz) : await openOggOpus(options.sampleRateHz), options)
}

type Switch = { at: number; on: boolean }

export class CallRecorder {
  readonly #container: Container
  readonly #feeder: SinkFeeder
  readonly #timeline: StereoTimeline
  readonly #samplesPerMs: number
  readonly #startMs: number
  readonly #unrecorded: 'silence' | 'omitted'
  #consented: boolean
  #paused = false
  #ended: 'refused' | 'closed' | null = null
  /** Whether the sample at the timeline's base is recorded, and the changes that come after it. */
  #on: boolean
  #switches: Switch[] = []
  /** Samples of silence that the sink owes room for. */
  #owed = 0
  #dropped = 0
  #recorded = 0
  #omitted: { atMs: number; durationMs: number }[] = []
  #sealedMs: number

  /** Use `openRecorder`. */
  constructor(container: Container, options: RecorderOptions) {
    this.#container = container
    this.#feeder = new SinkFeeder(options.sink, options.maxPendingBytes ?? MAX_PENDING_BYTES, options.onFault ?? (() => {}))
    this.#samplesPerMs = options.sampleRateHz / 1_000
    this.#timeline = new StereoTimeline(WINDOW_MS * this.#samplesPerMs, SNAP_MS * this.#samplesPerMs)
    this.#startMs = options.startMs
    this.#sealedMs = options.startMs
    this.#unrecorded = options.unrecorded
    this.#consented = options.consent === 'given'
    this.#on = this.#consented
    this.#feeder.write(container.begin())
  }

  get state(): RecordingState {
    if (this.#ended) return this.#ended
    if (!this.#consented) return 'awaiting_consent'
    return this.#paused ? 'paused' : 'recording'
  }

  /** What the caller said from `atMs` on. Copied. */
  caller(pcm: Pcm, atMs: number): void {
    this.#place('caller', pcm, atMs)
  }

  /** What the caller heard from `atMs` on, at the time when it was heard. Copied. */
  agent(pcm: Pcm, atMs: number): void {
    this.#place('agent', pcm, atMs)
  }

  /** Of the agent nothing was heard after `atMs` of what came so far. */
  cutAgent(atMs: number): void {
    this.#timeline.cut('agent', this.#sampleAt(atMs))
  }

  pause(atMs: number): void {
    this.#paused = true
    this.#switch(atMs)
  }

  resume(atMs: number): void {
    this.#paused = false
    this.#switch(atMs)
  }

  grantConsent(atMs: number): void {
    this.#consented = true
    this.#switch(atMs)
  }

  /** The caller does not want it: what there is of it is deleted. Idempotent. */
  async refuse(): Promise<void> {
    if (this.#ended) return
    this.#ended = 'refused'
    this.#container.close()
    await this.#feeder.discard()
  }

  /** Writes what is old enough. Call it each 250 ms or so, for what a crash leaves is as old as the last call. */
  advance(nowMs: number): void {
    if (this.#ended) return
    const until = this.#sampleAt(nowMs - HOLD_MS)
    if (until - this.#timeline.base < FLUSH_MS * this.#samplesPerMs) return
    this.#writeUntil(until)
    if (nowMs - this.#sealedMs < SEAL_MS) return
    this.#sealedMs = nowMs
    this.#seal()
  }

  /** The call ended at `nowMs`, and with it the file. Throws AppError `invalid_state` when it is over already. */
  async close(nowMs: number): Promise<RecordingSummary> {
    if (this.#ended) throw new AppError('invalid_state', { message: 'The recording is over already.' })
    if (!this.#consented) {
      await this.refuse()
      return this.#summary(true)
    }
    this.#writeUntil(this.#sampleAt(nowMs))
    this.#ended = 'closed'
    await this.#payAll()
    this.#feeder.write(this.#container.finish())
    this.#seal()
    this.#container.close()
    await this.#feeder.close()
    return this.#summary(false)
  }

  #sampleAt(atMs: number): number {
    return Math.round((atMs - this.#startMs) * this.#samplesPerMs)
  }

  #place(side: Side, pcm: Pcm, atMs: number): void {
    if (!this.#ended) this.#timeline.place(side, pcm, this.#sampleAt(atMs))
  }

  #switch(atMs: number): void {
    const on = this.#consented && !this.#paused
    const at = Math.max(this.#sampleAt(atMs), this.#timeline.base, this.#switches.at(-1)?.at ?? 0)
    if (on !== (this.#switches.at(-1)?.on ?? this.#on)) this.#switches.push({ at, on })
  }

  /** From switch to switch, a second at a time, so that no array grows with the length of a silence. */
  #writeUntil(until: number): void {
    while (this.#timeline.base < until) {
      const next = this.#switches[0]
      if (next && next.at <= this.#timeline.base) {
        this.#on = next.on
        this.#switches.shift()
        continue
      }
      const end = Math.min(until, next?.at ?? until, this.#timeline.base + 1_000 * this.#samplesPerMs)
      this.#write(this.#timeline.base, this.#timeline.take(end))
    }
  }

  #write(from: number, stereo: Pcm): void {
    if (!this.#on && this.#unrecorded === 'omitted') {
      this.#omit(from, stereo.length / 2)
      return
    }
    if (!this.#on) stereo.fill(0)
    this.#recorded += stereo.length / 2
    this.#payOwed()
    if (this.#owed === 0 && this.#fits(stereo.length / 2)) {
      this.#feeder.write(this.#container.encode(stereo))
      return
    }
    this.#owed += stereo.length / 2
    this.#dropped += stereo.length / 2
  }

  #omit(from: number, samples: number): void {
    const last = this.#omitted.at(-1)
    const atMs = from / this.#samplesPerMs
    const durationMs = samples / this.#samplesPerMs
    if (last && Math.abs(last.atMs + last.durationMs - atMs) < 1 / this.#samplesPerMs) last.durationMs += durationMs
    else this.#omitted.push({ atMs, durationMs })
  }

  #fits(samples: number): boolean {
    const bytes = Math.ceil((samples / this.#samplesPerMs / 1_000) * this.#container.bytesPerSecond)
    return bytes <= this.#feeder.roomBytes && this.#feeder.writtenBytes + bytes <= this.#container.maxBytes
  }

  /** Silence in the place of what did not fit, so that everything after it lies where it belongs. */
  #payOwed(): void {
    while (this.#owed > 0) {
      const samples = Math.min(this.#owed, 1_000 * this.#samplesPerMs)
      if (!this.#fits(samples)) return
      this.#feeder.write(this.#container.encode(new Int16Array(samples * 2)))
      this.#owed -= samples
    }
  }

  async #payAll(): Promise<void> {
    for (let before = Infinity; this.#owed > 0 && this.#owed < before; ) {
      before = this.#owed
      await this.#feeder.drained()
      this.#payOwed()
    }
  }

  #seal(): void {
    const patch = this.#container.seal(this.#feeder.writtenBytes)
    if (patch) this.#feeder.patch(patch)
  }

  #summary(discarded: boolean): RecordingSummary {
    return {
      durationMs: discarded ? 0 : (this.#recorded - this.#owed) / this.#samplesPerMs,
      bytes: discarded ? 0 : this.#feeder.writtenBytes,
      lostMs: this.#timeline.lostSamples / this.#samplesPerMs,
      droppedMs: this.#dropped / this.#samplesPerMs,
      omitted: this.#omitted,
      fault: this.#feeder.fault?.error ?? null,
      discarded,
    }
  }
}
