import { createDecoder, createResampler, SpeechEdges, type Decoder, type Pcm, type PlainFormat, type Resampler, type SampleRateHz, type Vad, type VadStream } from '@trunkline/media'
import { realtime } from '@trunkline/channels'

type InputConfig = Extract<realtime.Effect, { type: 'configure_input' }>['input']
type Detection = InputConfig['turn_detection']

/** While nobody speaks, this much before the padding is kept: detectors are late, and more of thousands of silent callers would fill the memory. */
const MARGIN_MS = 5_000
/** semantic_vad has no setting for it, and pads as server_vad does by default. */
const SEMANTIC_PADDING_MS = 300
const FRAME_MS = 20

/** How long it must be silent, when the model of turns is asked to be eager or patient. Longest waits are the protocol's: 8, 4 and 2 s. */
const SEMANTIC_SILENCE_MS = { low: 1_200, medium: 800, high: 400, auto: 600 } as const

type Chunk = { fromMs: number; pcm: Pcm }
export type InputSoundEvents = { speechStarted(atMs: number): void; speechStopped(atMs: number): void }

/** The caller's sound in one Realtime session: positions are milliseconds of all that was appended. */
export class InputSound {
  readonly #vad: Vad
  readonly #events: InputSoundEvents
  #decoder!: Decoder
  #resampler: Resampler | null = null
  #stream: VadStream | null = null
  #edges = new SpeechEdges()
  #rateHz: SampleRateHz = 24_000
  #detection: Detection = null
  #chunks: Chunk[] = []
  #heldMs = 0
  #speaking = false
  #atMs = 0
  /** What does not fill a frame yet. */
  #rest: Pcm = new Int16Array(0)
  /** Positions of the detector's stream count from here. */
  #streamFromMs = 0

  constructor(vad: Vad, input: InputConfig, events: InputSoundEvents) {
    this.#vad = vad
    this.#events = events
    this.configure(input)
  }

  get sampleRateHz(): SampleRateHz {
    return this.#rateHz
  }

  /** Milliseconds of all that was appended. */
  get position(): number {
    return this.#atMs
  }

  configure(input: InputConfig): void {
    const format = plainFormat(input.format)
    if (this.#decoder?.format.encoding !== format.encoding) {
      // Of another rate: it would be cut at the wrong places.
      this.#chunks = []
      this.#heldMs = 0
      this.#decoder = createDecoder(format)
      this.#rateHz = format.sampleRateHz
    }
    this.#detection = input.turn_detection
    this.forget()
  }

  feed(bytes: Uint8Array): void {
    const pcm = this.#decoder.decode(bytes)
    if (pcm.length === 0) return
    this.#keep(pcm)
    if (this.#detection) this.#listen(pcm, (this.#stream ??= this.#open(this.#detection)))
  }

  /** A cut of what was appended; shorter where it is not kept any more. */
  between(startMs: number, endMs: number): Pcm {
    const perMs = this.#rateHz / 1_000
    const parts = this.#chunks.flatMap(({ fromMs, pcm }) => {
      const from = Math.max(0, Math.round((startMs - fromMs) * perMs))
      const to = Math.min(pcm.length, Math.round((endMs - fromMs) * perMs))
      return to > from ? [pcm.subarray(from, to)] : []
    })
    const whole = new Int16Array(parts.reduce((sum, part) => sum + part.length, 0))
    let at = 0
    for (const part of parts) {
      whole.set(part, at)
      at += part.length
    }
    return whole
  }

  /** What was appended before this is not asked for any more. */
  release(beforeMs: number): void {
    while (this.#chunks.length > 0 && this.#endOf(this.#chunks[0]!) <= beforeMs) this.#drop()
  }

  /** Forgets any speech that was under way: the detector begins anew. */
  forget(): void {
    this.#stream?.close()
    this.#resampler?.close()
    this.#rest = new Int16Array(0)
    this.#streamFromMs = this.#atMs
    this.#stream = null
    this.#resampler = null
    this.#speaking = false
  }

  close(): void {
    this.#detection = null
    this.forget()
  }

  /** With the first sound only: a session that says nothing costs no detector. */
  #open(detection: NonNullable<Detection>): VadStream {
    const listenHz = this.#rateHz === 8_000 ? 8_000 : 16_000
    this.#resampler = this.#rateHz === listenHz ? null : createResampler({ fromHz: this.#rateHz, toHz: listenHz })
    this.#edges = new SpeechEdges({ minSilenceMs: silenceOf(detection), startAbove: thresholdOf(detection) })
    const fromMs = this.#streamFromMs
    return this.#vad.open({ sampleRateHz: listenHz, onProbability: (probability, endMs) => this.#heard(probability, fromMs, endMs) })
  }

  #heard(probability: number, fromMs: number, endMs: number): void {
    if (fromMs !== this.#streamFromMs) return
    for (const edge of this.#edges.push(probability, endMs)) {
      this.#speaking = edge.type === 'start'
      // The silence that told of the end belongs to the turn.
      if (edge.type === 'start') this.#events.speechStarted(fromMs + edge.atMs)
      else this.#events.speechStopped(fromMs + endMs)
    }
  }

  #listen(pcm: Pcm, stream: VadStream): void {
    const frame = (this.#rateHz / 1_000) * FRAME_MS
    const sound = new Int16Array(this.#rest.length + pcm.length)
    sound.set(this.#rest)
    sound.set(pcm, this.#rest.length)
    let at = 0
    for (; at + frame <= sound.length; at += frame) {
      const piece = sound.subarray(at, at + frame)
      stream.push(this.#resampler ? this.#resampler.process(piece) : piece.slice())
    }
    this.#rest = sound.slice(at)
  }

  #keep(pcm: Pcm): void {
    const durationMs = (pcm.length / this.#rateHz) * 1_000
    this.#chunks.push({ fromMs: this.#atMs, pcm })
    this.#atMs += durationMs
    this.#heldMs += durationMs
    const keepMs = this.#detection && !this.#speaking ? paddingOf(this.#detection) + MARGIN_MS : realtime.LIMITS.bufferMs
    while (this.#heldMs - this.#lengthOf(this.#chunks[0]!) >= keepMs) this.#drop()
  }

  #drop(): void {
    this.#heldMs -= this.#lengthOf(this.#chunks.shift()!)
  }

  #endOf(chunk: Chunk): number {
    return chunk.fromMs + this.#lengthOf(chunk)
  }

  #lengthOf({ pcm }: Chunk): number {
    return (pcm.length / this.#rateHz) * 1_000
  }
}

export function plainFormat(format: InputConfig['format']): PlainFormat {
  if (format.type === 'audio/pcmu') return { encoding: 'pcmu', sampleRateHz: 8_000 }
  if (format.type === 'audio/pcma') return { encoding: 'pcma', sampleRateHz: 8_000 }
  return { encoding: 'pcm_s16le', sampleRateHz: 24_000 }
}

const silenceOf = (detection: NonNullable<Detection>): number => (detection.type === 'server_vad' ? detection.silence_duration_ms : SEMANTIC_SILENCE_MS[detection.eagerness])
const thresholdOf = (detection: NonNullable<Detection>): number => (detection.type === 'server_vad' ? detection.threshold : 0.5)
const paddingOf = (detection: NonNullable<Detection>): number => (detection.type === 'server_vad' ? detection.prefix_padding_ms : SEMANTIC_PADDING_MS)
