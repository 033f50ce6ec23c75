import type { MediaStart, MediaWire } from '@trunkline/channels'
import { CallPipeline, holdMusic, monotonicClock, openRecorder, type CallRecorder, type Pcm, type PipelineOptions, type PlayoutWire, type RecordingSink, type RecordingSummary, type SampleRateHz } from '@trunkline/media'
import { CarrierLine, type LineEnd, type MediaSocket } from './line.ts'
import { SecondVoice } from './second-voice.ts'

export type PhoneCallOptions = Omit<PipelineOptions, 'sampleRateHz' | 'wire' | 'tap' | 'openedMs'> & {
  /** Null: not recorded. The file is a stereo WAV, caller at the left. */
  recording: RecordingSink | null
  /** Said when a line that broke is there again. */
  lineBack: string
  /** The carrier's stream has begun, for the first time or again. */
  onLine: (start: MediaStart, isFirst: boolean) => void
  /** A key was pressed. */
  onKey: (digit: string) => void
  /** Once, when the line is gone for good and the recording closed. */
  onEnded: (report: PhoneCallReport) => void
}

export type PhoneCallReport = {
  /** Who ended it: the line, or whoever called `hangUp`. */
  reason: LineEnd
  /** From the carrier's start to the end. */
  durationMs: number
  recording: RecordingSummary | null
}

const RECORD_MS = 250
/** A line that breaks without a goodbye may come back: the carrier asks what to do and is told to connect again. */
const LINE_GRACE_MS = 15_000
/** How a line may end that can come back. */
const BROKEN: ReadonlySet<LineEnd> = new Set(['closed'])

/** One call on a carrier's media socket, from its start to its report: the line (and the next one, when it breaks), the pipeline and the recording under one owner. */
export class PhoneCall {
  readonly #options: PhoneCallOptions
  #line: CarrierLine | null = null
  #pipeline: CallPipeline | null = null
  #recorder: CallRecorder | null = null
  #tick: NodeJS.Timeout | null = null
  #grace: NodeJS.Timeout | null = null
  #startedMs: number | null = null
  #over = false
  #ears: { caller(pcm: Pcm): void; agent(pcm: Pcm): void } | null = null
  /** The caller waits. */
  #held = false
  /** A person has the word instead of the agent. */
  #taken = false
  #beside: SecondVoice | null = null

  constructor(options: PhoneCallOptions) {
    this.#options = options
  }

  /** The call's media socket: the first, or the one after a line that broke. An older one is let go of. */
  attach(socket: MediaSocket, media: MediaWire): void {
    if (this.#over) return socket.close(1000)
    const before = this.#line
    const line: CarrierLine = new CarrierLine(socket, media, {
      started: () => void this.#started(line).catch(() => this.hangUp()),
      frame: (pcm, atMs) => {
        this.#recorder?.caller(pcm, atMs)
        this.#ears?.caller(pcm)
        this.#pipeline?.frame(pcm, atMs)
      },
      mark: (name) => this.#pipeline?.markReturned(name),
      digit: (digit) => {
        this.#options.onKey(digit)
        this.#pipeline?.key(digit)
      },
      ended: (reason) => this.#lineEnded(line, reason),
    })
    this.#line = line
    before?.close('hung_up')
  }

  /** Says something outside a turn. */
  say(text: string): void {
    this.#pipeline?.say(text)
  }

  /** Sound of the line; before the line is open: none. */
  get sampleRateHz(): SampleRateHz | null {
    return this.#pipeline && this.#line ? this.#line.sampleRateHz : null
  }

  /** Whoever else hears both sides, as they are heard. */
  listen(ears: { caller(pcm: Pcm): void; agent(pcm: Pcm): void }): void {
    this.#ears = ears
  }

  /** A person speaks instead of the agent, by `speak`; false: the agent goes on. */
  takeOver(on: boolean): void {
    this.#taken = on
    this.#arrange('')
  }

  /** 20 ms of that person, now. */
  speak(pcm: Pcm): void {
    this.#line?.send(pcm)
    this.#recorder?.agent(pcm, monotonicClock.nowMs())
  }

  /** 20 ms of a person who speaks beside the agent, and is not recorded. Sound of the line's rate. */
  speakBeside(pcm: Pcm): void {
    if (!this.#line) return
    this.#beside ??= new SecondVoice(this.#line.sampleRateHz)
    for (const sound of this.#beside.second(pcm, monotonicClock.nowMs())) this.#line.send(sound)
    if (this.#beside.speaks) this.#pipeline?.company()
  }

  /** Music until `unhold`. */
  hold(): void {
    this.#held = true
    this.#arrange('')
  }

  unhold(text: string): void {
    this.#held = false
    this.#arrange(text)
  }

  /** A person who speaks goes before music, music before the agent. */
  #arrange(text: string): void {
    if (!this.#pipeline || !this.#line) return
    if (this.#taken) this.#pipeline.hold(null)
    else if (this.#held) this.#pipeline.hold(holdMusic(this.#line.sampleRateHz))
    else this.#pipeline.unhold(text)
  }

  /** From now on nothing is recorded, or again. False: there is no recording. */
  record(on: boolean): boolean {
    if (!this.#recorder) return false
    if (on) this.#recorder.resume(monotonicClock.nowMs())
    else this.#recorder.pause(monotonicClock.nowMs())
    return true
  }

  /** The last words; the call ends when they were heard. */
  sayLast(text: string): void {
    this.#pipeline?.sayLast(text)
  }

  /** Ends the call from our side: the carrier goes on with its next instruction. Idempotent. */
  hangUp(): void {
    this.#line?.close('hung_up')
    this.#end('hung_up')
  }

  get isOver(): boolean {
    return this.#over
  }

  /** Since the carrier's start; null before it. */
  get sinceMs(): number | null {
    return this.#startedMs === null ? null : Math.round(monotonicClock.nowMs() - this.#startedMs)
  }

  get stats(): CallPipeline['stats'] | null {
    return this.#pipeline?.stats ?? null
  }

  async #started(line: CarrierLine): Promise<void> {
    if (this.#grace) clearTimeout(this.#grace)
    this.#grace = null
    if (this.#pipeline) {
      this.#options.onLine(line.start, false)
      return this.#pipeline.say(this.#options.lineBack)
    }
    this.#startedMs = monotonicClock.nowMs()
    const { recording, lineBack: _, onLine, onKey: ___, onEnded: __, ...pipeline } = this.#options
    if (recording) {
      this.#recorder = await openRecorder({ sink: recording, format: 'wav', sampleRateHz: line.sampleRateHz, startMs: this.#startedMs, consent: 'given', unrecorded: 'silence' })
      this.#tick = setInterval(() => this.#recorder!.advance(monotonicClock.nowMs()), RECORD_MS)
    }
    if (this.#over) return
    const recorder = this.#recorder
    this.#pipeline = new CallPipeline({
      ...pipeline,
      sampleRateHz: line.sampleRateHz,
      openedMs: this.#startedMs,
      wire: this.#wire,
      ...(recorder ? { tap: { frame: (pcm, dueMs) => recorder.agent(pcm, dueMs), cut: (atMs) => recorder.cutAgent(atMs) } } : {}),
    })
    onLine(line.start, true)
  }

  /** Whatever line there is. While there is none nobody hears us. */
  readonly #wire: PlayoutWire = {
    send: (pcm) => {
      this.#ears?.agent(pcm)
      this.#line?.send(this.#beside ? this.#beside.first(pcm, monotonicClock.nowMs()) : pcm)
    },
    mark: (name) => this.#line?.mark(name),
    clear: () => this.#line?.clear(),
  }

  #lineEnded(line: CarrierLine, reason: LineEnd): void {
    if (line !== this.#line || this.#over) return
    if (!BROKEN.has(reason) || !this.#pipeline) return this.#end(reason)
    this.#pipeline.lineLost()
    this.#grace = setTimeout(() => this.#end(reason), LINE_GRACE_MS)
  }

  #end(reason: LineEnd): void {
    if (this.#over) return
    this.#over = true
    if (this.#grace) clearTimeout(this.#grace)
    if (this.#tick) clearInterval(this.#tick)
    const endedMs = monotonicClock.nowMs()
    this.#pipeline?.close()
    const closing = this.#recorder?.close(endedMs) ?? Promise.resolve(null)
    void closing.catch(() => null).then((recording) => this.#options.onEnded({ reason, durationMs: this.#startedMs === null ? 0 : Math.round(endedMs - this.#startedMs), recording }))
  }
}
