import type { Pcm } from '../frame.ts'
import type { SttOptions } from './contract.ts'
import { hasSound } from './loudness.ts'
import type { PartStream, SegmentPart, Sink } from './part.ts'
import { quietestSample } from './recording.ts'

/** Kept before the first sound of a segment: soft beginnings of words. */
const LEAD_MS = 500

type Segment = { pcm: Pcm; startMs: number; endMs: number }

/**
 * A live stream out of a supplier that takes recordings. Silence is never sent: it costs money, and Whisper's kind invents words for it.
 * Recordings are sent one after another, so words come in order.
 */
export class SegmentStream implements PartStream {
  readonly #part: SegmentPart
  readonly #options: SttOptions
  readonly #sink: Sink
  readonly #stop = new AbortController()
  #pieces: Pcm[] = []
  #samples = 0
  /** Of the first kept sample, since the stream began. */
  #startSample = 0
  #hasSound = false
  #line: Promise<void> = Promise.resolve()

  constructor(part: SegmentPart, options: SttOptions, sink: Sink) {
    this.#part = part
    this.#options = options
    this.#sink = sink
    sink.opened(null)
  }

  push(pcm: Pcm): void {
    if (pcm.length === 0) return
    // Copied: the owner of a frame uses its memory again.
    this.#pieces.push(pcm.slice())
    this.#samples += pcm.length
    this.#hasSound ||= hasSound(pcm, this.#options.sampleRateHz)
    if (!this.#hasSound) this.#forget()
    else if (this.#ms(this.#samples) >= this.#part.maxSegmentMs) this.#send(this.#cut(quietestSample(joined(this.#pieces, this.#samples), this.#options.sampleRateHz)))
  }

  finish(): void {
    if (this.#hasSound) this.#send(this.#cut(this.#samples))
    this.#line = this.#line.then(() => {
      if (!this.#stop.signal.aborted) this.#sink.finished()
    })
  }

  close(): void {
    this.#stop.abort()
    this.#pieces = []
    this.#samples = 0
  }

  /** Drops silence before the first sound. */
  #forget(): void {
    while (this.#pieces.length > 1 && this.#ms(this.#samples - this.#pieces[0]!.length) >= LEAD_MS) {
      const { length } = this.#pieces.shift()!
      this.#samples -= length
      this.#startSample += length
    }
  }

  #cut(count: number): Segment {
    const all = joined(this.#pieces, this.#samples)
    const rest = all.slice(count)
    const startMs = this.#ms(this.#startSample)
    this.#pieces = rest.length > 0 ? [rest] : []
    this.#samples = rest.length
    this.#startSample += count
    this.#hasSound = hasSound(rest, this.#options.sampleRateHz)
    return { pcm: all.subarray(0, count), startMs, endMs: this.#ms(this.#startSample) }
  }

  #send(segment: Segment): void {
    this.#line = this.#line.then(() => this.#transcribe(segment))
  }

  async #transcribe({ pcm, startMs, endMs }: Segment): Promise<void> {
    const { signal } = this.#stop
    if (signal.aborted) return
    try {
      const heard = await this.#part.transcribe(pcm, { ...this.#options, signal }, (text) => signal.aborted || this.#sink.partial(text, null))
      if (signal.aborted) return
      const words = heard.words.map((word) => ({ ...word, startMs: word.startMs + startMs, endMs: word.endMs + startMs }))
      this.#sink.final({ text: heard.text, confidence: heard.confidence, words, language: heard.language, startMs, endMs, endOfTurn: false })
    } catch (error) {
      if (!signal.aborted) this.#sink.failed(this.#part.failure(error))
    }
  }

  #ms(samples: number): number {
    return (samples / this.#options.sampleRateHz) * 1_000
  }
}

function joined(pieces: readonly Pcm[], samples: number): Pcm {
  const all = new Int16Array(samples)
  let at = 0
  for (const piece of pieces) {
    all.set(piece, at)
    at += piece.length
  }
  return all
}
