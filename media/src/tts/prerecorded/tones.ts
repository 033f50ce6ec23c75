import type { Pcm, SampleRateHz } from '../../frame.ts'

/** A signal of telephones: tones at once or one after another, and how long each lasts. */
type Step = { hz: readonly number[]; ms: number }
export type SignalName = 'ringback' | 'busy' | 'trouble'

/** Ringing and busy as in most of Europe (ITU-T E.180, supplement 2); the special information tone of three rising notes (E.180 §7). */
const SIGNALS: Record<SignalName, readonly Step[]> = {
  ringback: [{ hz: [425], ms: 1_000 }, { hz: [], ms: 4_000 }],
  busy: [{ hz: [425], ms: 480 }, { hz: [], ms: 480 }],
  trouble: [{ hz: [950], ms: 330 }, { hz: [1_400], ms: 330 }, { hz: [1_800], ms: 330 }, { hz: [], ms: 1_000 }],
}

const LEVEL = 8_000
/** Edges rise and fall so long: a jump clicks. */
const EDGE_MS = 4

/** One period, to be repeated. */
export function signal(name: SignalName, sampleRateHz: SampleRateHz): Pcm {
  const steps = SIGNALS[name]
  const pcm = new Int16Array(steps.reduce((sum, { ms }) => sum + samples(ms, sampleRateHz), 0))
  let at = 0
  for (const { hz, ms } of steps) {
    const length = samples(ms, sampleRateHz)
    for (const one of hz) addTone(pcm, at, length, one, LEVEL / hz.length, sampleRateHz)
    at += length
  }
  return pcm
}

function addTone(pcm: Pcm, at: number, length: number, hz: number, level: number, sampleRateHz: number): void {
  const edge = samples(EDGE_MS, sampleRateHz)
  for (let n = 0; n < length; n++) pcm[at + n]! += Math.round(level * Math.min(1, n / edge, (length - 1 - n) / edge) * Math.sin((2 * Math.PI * hz * n) / sampleRateHz))
}

const samples = (ms: number, sampleRateHz: number): number => Math.round((ms / 1_000) * sampleRateHz)

/** Soft noise, so that a silent line does not seem dead. The same for the same seed; about -60 dBFS. */
export function comfortNoise(sampleRateHz: SampleRateHz, ms: number, seed = 1): Pcm {
  const pcm = new Int16Array(samples(ms, sampleRateHz))
  let state = seed >>> 0 || 1
  let smooth = 0
  for (let n = 0; n < pcm.length; n++) {
    // xorshift32 (Marsaglia 2003); smoothed, because white noise hisses.
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    smooth += 0.35 * ((state | 0) / 0x80000000 - smooth)
    pcm[n] = Math.round(smooth * 90)
  }
  return pcm
}

/** Four bars, one chord each, as semitones above A3; our own. */
const CHORDS: readonly (readonly number[])[] = [[0, 3, 7, 12], [-4, 0, 3, 8], [-9, -2, 3, 7], [-2, 2, 5, 10]]
const NOTE_MS = 400
/** Up and down the chord. */
const FIGURE = [0, 1, 2, 3, 2, 1, 2, 1]
const A3_HZ = 220
const DECAY_MS = 700
/** Share of each overtone of a plucked note. */
const OVERTONES = [1, 0.35, 0.12]
const MUSIC_LEVEL = 4_500

/** Hold music of our own: 12.8 s that repeat without a seam, because what rings at the end rings on at the beginning. */
export function holdMusic(sampleRateHz: SampleRateHz): Pcm {
  const notes = CHORDS.flatMap((chord) => FIGURE.map((step) => A3_HZ * 2 ** (chord[step]! / 12)))
  const loop = new Float32Array(samples(NOTE_MS * notes.length, sampleRateHz))
  for (const [index, hz] of notes.entries()) pluck(loop, samples(NOTE_MS * index, sampleRateHz), hz, sampleRateHz)
  return Int16Array.from(loop, (level) => Math.round(level * MUSIC_LEVEL))
}

function pluck(loop: Float32Array, at: number, hz: number, sampleRateHz: number): void {
  const length = samples(DECAY_MS * 5, sampleRateHz)
  const attack = samples(8, sampleRateHz)
  for (let n = 0; n < length; n++) {
    const envelope = Math.min(1, n / attack) * Math.exp(-n / samples(DECAY_MS, sampleRateHz))
    let level = 0
    for (let overtone = 0; overtone < OVERTONES.length; overtone++) level += OVERTONES[overtone]! * Math.sin((2 * Math.PI * hz * (overtone + 1) * n) / sampleRateHz)
    loop[(at + n) % loop.length]! += envelope * level
  }
}
