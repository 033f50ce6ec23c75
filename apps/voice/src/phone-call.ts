import type { MediaWire } from '@trunkline/channels'
import { CallPipeline, monotonicClock, openRecorder, type CallRecorder, type PipelineEvent, type PipelineOptions, type RecordingSink, type RecordingSummary, type SaidInCall } from '@trunkline/media'
import type { WebSocket } from 'ws'
import { CarrierLine, type LineEnd } from './carrier-line.ts'

export type PhoneCallOptions = Omit<PipelineOptions, 'sampleRateHz' | 'wire' | 'tap' | 'onEvent'> & {
  socket: WebSocket
  media: MediaWire
  /** Null: not recorded. The file is a stereo WAV, caller at the left. */
  recording: RecordingSink | null
  onEvent: (event: PipelineEvent) => void
  /** Once, when the line is gone and the recording closed. */
  onEnded: (report: PhoneCallReport) => void
}

export type PhoneCallReport = {
  /** Who ended it: the line, or the conversation. */
  reason: LineEnd | Extract<PipelineEvent, { type: 'ended' }>['reason']
  /** From the carrier's start to the end. */
  durationMs: number
  /** What was said and heard, in order. */
  said: SaidInCall[]
  recording: RecordingSummary | null
}

const RECORD_MS = 250

/** One call on a carrier's media socket, from its start to its report: the line, the pipeline and the recording under one owner. */
export class PhoneCall {
  readonly #options: PhoneCallOptions
  readonly #line: CarrierLine
  readonly #said: SaidInCall[] = []
  #pipeline: CallPipeline | null = null
  #recorder: CallRecorder | null = null
  #tick: NodeJS.Timeout | null = null
  #startedMs = monotonicClock.nowMs()
  #reason: PhoneCallReport['reason'] | null = null

  constructor(options: PhoneCallOptions) {
    this.#options = options
    this.#line = new CarrierLine(options.socket, options.media, {
      started: (line) => void this.#start(line),
      frame: (pcm, atMs) => {
        this.#recorder?.caller(pcm, atMs)
        this.#pipeline?.frame(pcm)
      },
      mark: (name) => this.#pipeline?.markReturned(name),
      digit: (digit) => this.#pipeline?.digits(digit),
      ended: (reason) => void this.#end(reason),
    })
  }

  /** Ends the call from our side: the carrier goes on with its next instruction, or hangs up. */
  hangUp(): void {
    this.#line.close('hung_up')
  }

  async #start(line: CarrierLine): Promise<void> {
    const { recording, onEvent, wheel, vad, stt, tts, voice, keyterms, settings, phrases, greeting, replier } = this.#options
    this.#startedMs = monotonicClock.nowMs()
    if (recording) {
      this.#recorder = await openRecorder({ sink: recording, format: 'wav', sampleRateHz: line.sampleRateHz, startMs: this.#startedMs, consent: 'given', unrecorded: 'silence' })
      this.#tick = setInterval(() => this.#recorder!.advance(monotonicClock.nowMs()), RECORD_MS)
    }
    const recorder = this.#recorder
    this.#pipeline = new CallPipeline({
      wheel, vad, stt, tts, voice, keyterms, settings, phrases, greeting, replier, sampleRateHz: line.sampleRateHz, wire: line,
      ...(recorder ? { tap: { frame: (pcm, dueMs) => recorder.agent(pcm, dueMs), cut: (atMs) => recorder.cutAgent(atMs) } } : {}),
      onEvent: (event) => {
        if (event.type === 'said') this.#said.push(event.said)
        onEvent(event)
        if (event.type !== 'ended') return
        this.#reason = event.reason
        this.hangUp()
      },
    })
  }

  async #end(reason: LineEnd): Promise<void> {
    const durationMs = Math.round(monotonicClock.nowMs() - this.#startedMs)
    this.#pipeline?.close()
    if (this.#tick) clearInterval(this.#tick)
    const recording = this.#recorder ? await this.#recorder.close(monotonicClock.nowMs()) : null
    this.#options.onEnded({ reason: this.#reason ?? reason, durationMs, said: [...this.#said].toSorted((one, other) => one.startMs - other.startMs), recording })
  }
}
