import type { Pcm } from '../frame.ts'
import { speex } from './speex.ts'

export type ResamplerOptions = {
  /** Any rate: engines speak 22,050 and others. 1,000 to 192,000. */
  fromHz: number
  toHz: number
  /** 0 to 10; 5 delays 5 ms from or to 8 kHz and keeps images 70 dB down (see the tests), at 5 to 20 us a frame. */
  quality?: number
  /**
   * false (live): every 20 ms in gives 20 ms out at once, all of it `delayMs` late.
   * true (speech of an engine, files): sample n out is the moment n/toHz of the input, and `flush` brings what is missing at the end.
   */
  aligned?: boolean
}

/** One stream. Samples out are samples in times the ratio, to within one sample, however the input is cut. */
export type Resampler = {
  readonly delayMs: number
  /** A new array, or `pcm` itself where both rates are equal. */
  process(pcm: Pcm): Pcm
  /** The rest of the sound that is still in the filter. The stream then begins anew. */
  flush(): Pcm
  /** Idempotent; a stream that nobody closed is closed when it is collected. */
  close(): void
}

const DEFAULT_QUALITY = 5
/** Input is fed in pieces, so that the buffers in WebAssembly memory are shared by all streams of the thread. */
const PIECE = 4_096
const OUTPUT = PIECE * 8
const MIN_HZ = 1_000
const MAX_HZ = 192_000

const input = speex._malloc(PIECE * 2)
const output = speex._malloc(OUTPUT * 2)
const lengths = speex._malloc(8)
const EMPTY = new Int16Array(0)

const forgotten = new FinalizationRegistry<number>((state) => speex._speex_resampler_destroy(state))

/** Throws RangeError for rates or qualities that do not exist: they are ours to know, never a caller's to choose. */
export function createResampler({ fromHz, toHz, quality = DEFAULT_QUALITY, aligned = false }: ResamplerOptions): Resampler {
  for (const rate of [fromHz, toHz]) if (!Number.isInteger(rate) || rate < MIN_HZ || rate > MAX_HZ) throw new RangeError(`${rate} Hz is no sample rate between ${MIN_HZ} and ${MAX_HZ}.`)
  return fromHz === toHz ? passage : new SpeexStream(fromHz, toHz, quality, aligned)
}

const passage: Resampler = { delayMs: 0, process: (pcm) => pcm, flush: () => EMPTY, close() {} }

class SpeexStream implements Resampler {
  readonly delayMs: number
  readonly #fromHz: number
  readonly #toHz: number
  readonly #aligned: boolean
  #state: number
  /** Since the stream began. */
  #samplesIn = 0
  #samplesOut = 0

  constructor(fromHz: number, toHz: number, quality: number, aligned: boolean) {
    this.#fromHz = fromHz
    this.#toHz = toHz
    this.#aligned = aligned
    this.#state = speex._speex_resampler_init(1, fromHz, toHz, quality, lengths)
    if (this.#state === 0) throw new RangeError(`The resampler refuses ${fromHz} to ${toHz} Hz with quality ${quality}.`)
    forgotten.register(this, this.#state, this)
    if (aligned) speex._speex_resampler_skip_zeros(this.#state)
    this.delayMs = (this.#latency() / toHz) * 1_000
  }

  process(pcm: Pcm): Pcm {
    if (this.#state === 0) throw new Error('The resampler is closed.')
    this.#samplesIn += pcm.length
    const out = new Int16Array(Math.ceil((pcm.length * this.#toHz) / this.#fromHz) + 2)
    let written = 0
    for (let at = 0; at < pcm.length; at += PIECE) {
      speex.HEAP16.set(pcm.subarray(at, at + PIECE), input >> 1)
      written = this.#run(Math.min(PIECE, pcm.length - at), out, written)
    }
    this.#samplesOut += written
    return out.subarray(0, written)
  }

  flush(): Pcm {
    const expected = Math.round((this.#samplesIn * this.#toHz) / this.#fromHz) + (this.#aligned ? 0 : this.#latency())
    const missing = Math.max(0, expected - this.#samplesOut)
    // Enough to push the end of the sound through a filter that may not have been full yet.
    const silence = new Int16Array(Math.ceil(((missing + 2 * this.#latency()) * this.#fromHz) / this.#toHz) + 2)
    const tail = this.#samplesIn === 0 ? EMPTY : this.process(silence).slice(0, missing)
    this.#restart()
    return tail
  }

  close(): void {
    if (this.#state === 0) return
    forgotten.unregister(this)
    speex._speex_resampler_destroy(this.#state)
    this.#state = 0
  }

  #latency(): number {
    return speex._speex_resampler_get_output_latency(this.#state)
  }

  #restart(): void {
    speex._speex_resampler_reset_mem(this.#state)
    if (this.#aligned) speex._speex_resampler_skip_zeros(this.#state)
    this.#samplesIn = 0
    this.#samplesOut = 0
  }

  /** Feeds what lies in the input buffer; the library may take it in several steps. Answers how many samples `out` holds then. */
  #run(length: number, out: Int16Array, written: number): number {
    for (let used = 0; used < length; ) {
      speex.HEAPU32[lengths >> 2] = length - used
      speex.HEAPU32[(lengths >> 2) + 1] = OUTPUT
      speex._speex_resampler_process_int(this.#state, 0, input + used * 2, lengths, output, lengths + 4)
      const made = speex.HEAPU32[(lengths >> 2) + 1]!
      out.set(speex.HEAP16.subarray(output >> 1, (output >> 1) + made), written)
      written += made
      used += speex.HEAPU32[lengths >> 2]!
    }
    return written
  }
}
