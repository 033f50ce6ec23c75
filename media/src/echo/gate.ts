import { BandPowers, BANDS } from '../dsp/bands.ts'
import { ANALYSIS_HZ } from '../dsp/windows.ts'
import { FRAME_MS, type Pcm } from '../frame.ts'
import { createResampler, type Resampler } from '../resample/resampler.ts'
import type { EchoGate, EchoGateOptions, EchoVerdict } from './contract.ts'
import { FarEnd, HOP_MS, HOP_SAMPLES, HopBands } from './far.ts'
import { DELAYS, Likeness, MIN_DELAY_HOPS } from './likeness.ts'
import { LineNoise } from './noise.ts'
import { EchoPath } from './path.ts'

/** Measured with synthetic voices, a loudspeaker, a room and G.711: an echo is as alike as 0.8 to 0.99 down to -25 dB, another voice as 0.2 to 0.5. */
const ALIKE = 0.68
const SURELY_ALIKE = 0.85
const HALF_ALIKE = 0.55
const UNLIKE = 0.4
/** The same delay for so many hops. */
const AGREEING_HOPS = 8
/** So much of the caller's first sound is listened to before it is let through, while nothing is known of the line. */
const HOLD_HOPS = 18
/** Played and nothing came back for so long: this line has no echo that is louder than its noise. */
const QUIET_HOPS = 30
/** Running loudness of something, and of a voice that has been speaking for some 100 ms. */
const PLAYED = 1
const WELL_PLAYED = 20
/** Unlike for so much of the caller's sound: the echo has gone (another telephone, a headset). */
const GONE_HOPS = 300
/** An echo that was heard for less than a second may have been two voices that began together: it goes as fast as it came. */
const PROVEN_HOPS = 100
const MISTAKEN_HOPS = 15
/** Share of the heard power that the echo does not explain: more of it is another voice. */
const UNEXPLAINED = 0.35
/** An echo may be 7 dB over its mean for a moment. */
const MARGIN = 5
/** While another voice is there the likeness falls to a third; then also what could be echo belongs to it, or it would be heard in pieces. */
const OTHERS_TOO = 0.7
/** Per hop. Likeness falls slowly, because that is also what another voice would do to it. */
const USUAL_RISE = 0.02
const USUAL_FALL = 0.004
/** Frames of a network come in bursts; further away than this it is not the next frame any more. */
const CLOCK_SLACK_MS = 120
/** Share of its lateness by which a frame moves the clock: two clocks drift apart by some 0.01 %. */
const CLOCK_NEWEST = 0.01
/** Hops from before the echo was recognised, from which its way is learned at once. */
const REMEMBERED = 32
/** While nothing is played only the noise is of interest, and it changes slowly. */
const NOISE_EVERY_HOPS = 4

type Sound = 'echo' | 'other' | 'quiet'
/** `unknown`: nothing was played yet, or not long enough. `silent`: it was, and nothing came back. */
type Line = 'unknown' | 'echoes' | 'silent'

export function createEchoGate(options: EchoGateOptions): EchoGate {
  return new Gate(options)
}

class Gate implements EchoGate {
  readonly #verdict: EchoVerdict = { isEcho: false, correlation: 0, delayMs: null }
  readonly #playedRate: Resampler
  readonly #heardRate: Resampler
  readonly #bands = new BandPowers()
  readonly #far = new FarEnd(this.#bands)
  readonly #near = new HopBands()
  readonly #noise = new LineNoise()
  readonly #likeness = new Likeness(this.#far)
  readonly #path = new EchoPath(this.#far)
  readonly #recent = Array.from({ length: REMEMBERED }, () => new Float64Array(BANDS))
  #line: Line = 'unknown'
  #delay = 0
  /** When the next frame that is heard should come. */
  #nextMs: number | null = null
  #isCompared = false
  #candidate = -1
  #agreeing = 0
  #loud = 0
  #quiet = 0
  #unlike = 0
  #learned = 0
  /** Likeness of a mere echo on this line: noise makes it smaller. */
  #usual = ALIKE

  constructor({ sampleRateHz, heardHz = sampleRateHz }: EchoGateOptions) {
    this.#playedRate = createResampler({ fromHz: sampleRateHz, toHz: ANALYSIS_HZ })
    this.#heardRate = createResampler({ fromHz: heardHz, toHz: ANALYSIS_HZ })
  }

  played(pcm: Pcm, atMs: number): void {
    this.#far.write(this.#playedRate.process(pcm), Math.round(atMs / HOP_MS))
  }

  cut(atMs: number): void {
    this.#far.cut(Math.ceil(atMs / HOP_MS))
  }

  heard(pcm: Pcm, atMs: number): EchoVerdict {
    const first = Math.round(this.#clock(atMs) / HOP_MS)
    const sound = this.#heardRate.process(pcm)
    let [echo, other] = [false, false]
    for (let from = 0, hop = first; from + HOP_SAMPLES <= sound.length; from += HOP_SAMPLES, hop++) {
      const heard = this.#hop(sound, from, hop)
      echo ||= heard === 'echo'
      other ||= heard === 'other'
    }
    this.#verdict.isEcho = echo && !other
    this.#verdict.delayMs = this.#line === 'echoes' ? (this.#delay + MIN_DELAY_HOPS) * HOP_MS : null
    return this.#verdict
  }

  close(): void {
    this.#playedRate.close()
    this.#heardRate.close()
  }

  /** Frames follow each other every 20 ms whenever they arrive; only a real hole moves them. */
  #clock(atMs: number): number {
    const expectedMs = this.#nextMs ?? atMs
    const lateMs = atMs - expectedMs
    const frameMs = Math.abs(lateMs) > CLOCK_SLACK_MS ? atMs : expectedMs + lateMs * CLOCK_NEWEST
    this.#nextMs = frameMs + FRAME_MS
    return frameMs
  }

  #hop(sound: Pcm, from: number, hop: number): Sound {
    // What is played in this very moment may still be on its way to us; nothing of it can have come back.
    this.#far.fill(hop - 1)
    this.#near.push(sound, from)
    if (this.#far.loudnessAround(hop - MIN_DELAY_HOPS) < PLAYED) return this.#nothingPlayed(hop)
    const powers = this.#near.measure(this.#bands)
    this.#recent[hop % REMEMBERED]!.set(powers)
    this.#isCompared = true
    this.#likeness.push(powers, hop)
    this.#verdict.correlation = 0
    if (!this.#noise.isLoud(powers)) return this.#heardNothing(hop)
    this.#likeness.seek(hop)
    this.#verdict.correlation = this.#likeness.correlation
    this.#loud++
    this.#seek(hop)
    return this.#line === 'echoes' ? this.#judge(powers, hop) : this.#hold()
  }

  #nothingPlayed(hop: number): Sound {
    if (this.#isCompared) this.#likeness.forget()
    this.#isCompared = false
    this.#verdict.correlation = 0
    if (hop % NOISE_EVERY_HOPS === 0) this.#noise.isLoud(this.#near.measure(this.#bands))
    return 'other'
  }

  #heardNothing(hop: number): Sound {
    const longAgo = this.#far.loudnessAround(hop - MIN_DELAY_HOPS - DELAYS)
    if (this.#line === 'unknown' && longAgo > WELL_PLAYED && ++this.#quiet > QUIET_HOPS) this.#line = 'silent'
    return 'quiet'
  }

  /** On a line of which nothing is known the first sound of the caller may be an echo, for a moment. */
  #hold(): Sound {
    if (this.#line === 'unknown' && this.#loud > HOLD_HOPS) this.#line = 'silent'
    return this.#line === 'unknown' ? 'echo' : 'other'
  }

  /** Is there an echo, and at which delay? */
  #seek(hop: number): void {
    const { delay, correlation } = this.#likeness
    const isSame = Math.abs(delay - this.#candidate) <= 1
    this.#candidate = delay
    if (correlation < ALIKE) this.#agreeing = 0
    else this.#agreeing = isSame ? this.#agreeing + 1 : 1
    if (this.#agreeing >= AGREEING_HOPS && this.#isNews(delay, correlation, hop)) this.#found(delay, correlation, hop)
  }

  #isNews(delay: number, correlation: number, hop: number): boolean {
    if (this.#line !== 'echoes') return true
    return Math.abs(delay - this.#delay) > 1 && correlation > this.#likeness.at(this.#delay, hop) + 0.15
  }

  #found(delay: number, correlation: number, hop: number): void {
    this.#line = 'echoes'
    this.#delay = delay
    this.#unlike = 0
    this.#learned = 0
    this.#usual = correlation
    this.#path.forget()
    for (let past = hop - REMEMBERED + 1; past <= hop; past++) if (past >= 0) this.#path.learn(this.#recent[past % REMEMBERED]!, past, delay)
  }

  #judge(powers: Float64Array, hop: number): Sound {
    const correlation = this.#likeness.at(this.#delay, hop)
    this.#verdict.correlation = correlation
    this.#unlike = correlation < UNLIKE ? this.#unlike + 1 : 0
    if (this.#unlike > (this.#learned < PROVEN_HOPS ? MISTAKEN_HOPS : GONE_HOPS)) this.#line = 'silent'
    const isExplained = this.#unexplained(powers, hop) < UNEXPLAINED
    if (correlation > SURELY_ALIKE || (isExplained && correlation > HALF_ALIKE)) this.#learn(powers, hop, correlation)
    return isExplained && correlation > OTHERS_TOO * this.#usual ? 'echo' : 'other'
  }

  #learn(powers: Float64Array, hop: number, correlation: number): void {
    this.#learned++
    this.#path.learn(powers, hop, this.#delay)
    this.#usual += (correlation > this.#usual ? USUAL_RISE : USUAL_FALL) * (correlation - this.#usual)
  }

  /** Share of the heard power that is neither echo nor noise. */
  #unexplained(powers: Float64Array, hop: number): number {
    const expected = this.#path.expect(hop, this.#delay)
    const noise = 2 * this.#noise.inBand
    let [all, beyond] = [1, 0]
    for (let band = 0; band < BANDS; band++) {
      all += powers[band]!
      beyond += Math.max(0, powers[band]! - MARGIN * expected[band]! - noise)
    }
    return beyond / all
  }
}
