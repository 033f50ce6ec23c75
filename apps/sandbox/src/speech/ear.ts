import { HIGH_TONES_HZ, LOW_TONES_HZ, WORD_END_MS, checkByte } from './tones.ts'

/** A stretch of sound between two silences. `text` is null when it was no word of the sandbox's voices (a human, espeak, noise). */
export type Heard = { text: string | null; startMs: number; endMs: number; confidence: number }

/** Levels are looked at in steps of this length. */
const STEP_MS = 2.5
/** Below this RMS it is silence (about -49 dBFS): line noise and comfort noise. */
const FLOOR_RMS = 120
const SHORTEST_CHORD_MS = 12
/** Longer than any chord: this is somebody else's voice. */
const LONGEST_CHORD_MS = 110
const EDGE_MS = 3
/** Share of a chord's energy that lies in its two tones; voices and music stay far below. */
const PURE = 0.6
/** A stretch of foreign sound is told in pieces of this length, so that long speech does not wait for a pause. */
const FOREIGN_PIECE_MS = 400

/** Listens to a stream of any rate and tells what it heard as soon as it ended. Times count from the first sample. */
export class Ear {
  readonly #rate: number
  readonly #stepSamples: number
  readonly #heard: (heard: Heard) => void
  #step: Float64Array
  #filled = 0
  #samples = 0
  #peak = 0
  #burst: number[] = []
  #burstStart = 0
  #silentSince = 0
  #chords: { byte: number; purity: number }[] = []
  #startMs: number | null = null

  constructor(sampleRateHz: number, heard: (heard: Heard) => void) {
    this.#rate = sampleRateHz
    this.#stepSamples = Math.max(1, Math.round((STEP_MS / 1_000) * sampleRateHz))
    this.#step = new Float64Array(this.#stepSamples)
    this.#heard = heard
  }

  /** How much was pushed. */
  get nowMs(): number {
    return this.#ms(this.#samples)
  }

  /** Since when nothing was heard; null while something sounds. */
  get silentSinceMs(): number | null {
    return this.#startMs === null ? this.#ms(this.#silentSince) : null
  }

  push(pcm: Int16Array): void {
    for (let index = 0; index < pcm.length; index++) {
      this.#step[this.#filled++] = pcm[index]!
      this.#samples++
      if (this.#filled === this.#stepSamples) this.#endStep()
    }
  }

  /** Takes what is unfinished as it is: the end of a recording, or somebody wants to know now. */
  flush(): void {
    if (this.#burst.length > 0) this.#endBurst()
    this.#endWord()
  }

  #endStep(): void {
    let sum = 0
    for (const sample of this.#step) sum += sample * sample
    const rms = Math.sqrt(sum / this.#stepSamples)
    this.#peak = Math.max(rms, this.#peak * 0.985)
    this.#filled = 0
    if (rms > FLOOR_RMS && rms > 0.25 * this.#peak) return this.#sounds()
    if (this.#burst.length > 0) this.#endBurst()
    if (this.#startMs !== null && this.#ms(this.#samples - this.#silentSince) >= WORD_END_MS) this.#endWord()
  }

  #sounds(): void {
    if (this.#burst.length === 0) this.#burstStart = this.#samples - this.#stepSamples
    for (const sample of this.#step) this.#burst.push(sample)
    this.#startMs ??= this.#ms(this.#burstStart)
    if (this.#ms(this.#burst.length) < LONGEST_CHORD_MS) return
    this.#endBurst()
    if (this.nowMs - (this.#startMs ?? 0) >= FOREIGN_PIECE_MS) this.#endWord()
  }

  #endBurst(): void {
    const lengthMs = this.#ms(this.#burst.length)
    if (lengthMs >= SHORTEST_CHORD_MS) this.#chords.push(lengthMs < LONGEST_CHORD_MS ? readChord(this.#burst, this.#rate) : { byte: 0, purity: 0 })
    this.#silentSince = this.#burstStart + this.#burst.length
    this.#burst = []
  }

  #endWord(): void {
    const [startMs, chords] = [this.#startMs, this.#chords]
    this.#startMs = null
    this.#chords = []
    if (startMs === null || chords.length === 0) return
    this.#heard({ startMs, endMs: this.#ms(this.#silentSince), ...readWord(chords) })
  }

  #ms(samples: number): number {
    return (samples / this.#rate) * 1_000
  }
}

function readWord(chords: readonly { byte: number; purity: number }[]): { text: string | null; confidence: number } {
  const purity = chords.reduce((sum, chord) => sum + chord.purity, 0) / chords.length
  if (purity < PURE) return { text: null, confidence: 0.3 }
  const bytes = Uint8Array.from(chords, ({ byte }) => byte)
  const word = bytes.subarray(0, -1)
  if (word.length > 0 && checkByte(word) === bytes.at(-1)) return { text: Buffer.from(word).toString('utf8'), confidence: Math.min(0.99, 0.9 + 0.1 * purity) }
  // Damaged on the way: what can be read of it, and the doubt.
  const letters = Buffer.from(bytes).toString('latin1').replaceAll(/[^\w'-]/g, '')
  return { text: letters === '' ? null : letters, confidence: 0.35 }
}

function readChord(burst: readonly number[], rate: number): { byte: number; purity: number } {
  const edge = Math.min(Math.round((EDGE_MS / 1_000) * rate), burst.length >> 2)
  const samples = burst.slice(edge, burst.length - edge)
  let energy = 0
  for (const sample of samples) energy += sample * sample
  const low = strongest(samples, LOW_TONES_HZ, rate)
  const high = strongest(samples, HIGH_TONES_HZ, rate)
  // A sine of amplitude A has the energy A²N/2 and the Goertzel power (AN/2)².
  const purity = energy === 0 ? 0 : Math.min(1, (2 * (low.power + high.power)) / (samples.length * energy))
  return { byte: (low.index << 4) | high.index, purity }
}

function strongest(samples: readonly number[], tonesHz: readonly number[], rate: number): { index: number; power: number } {
  let best = { index: 0, power: -1 }
  for (const [index, hz] of tonesHz.entries()) {
    const power = goertzel(samples, hz, rate)
    if (power > best.power) best = { index, power }
  }
  return best
}

/** Power of one frequency (Goertzel 1958). */
function goertzel(samples: readonly number[], hz: number, rate: number): number {
  const coefficient = 2 * Math.cos((2 * Math.PI * hz) / rate)
  let [previous, before] = [0, 0]
  for (const sample of samples) {
    const next = sample + coefficient * previous - before
    before = previous
    previous = next
  }
  return previous * previous + before * before - coefficient * previous * before
}
