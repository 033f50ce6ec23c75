import type { Pcm, SampleRateHz } from '../frame.ts'
import { samplesIn } from './loop.ts'

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

/** So long a note is heard; then the next ones cover it. */
const RING_MS = DECAY_MS * 5
const ATTACK_MS = 8

const made = new Map<SampleRateHz, Pcm>()

/**
 * Hold music of our own: 12.8 s that repeat without a seam, because what rings at the end rings on at the beginning. Made once for each rate
 * (30 ms at 8 kHz, 160 at 48) and shared: nobody writes to it.
 */
export function holdMusic(sampleRateHz: SampleRateHz): Pcm {
  const known = made.get(sampleRateHz)
  if (known) return known
  const music = compose(sampleRateHz)
  made.set(sampleRateHz, music)
  return music
}

function compose(sampleRateHz: SampleRateHz): Pcm {
  const semitones = CHORDS.flatMap((chord) => FIGURE.map((step) => chord[step]!))
  const notes = new Map([...new Set(semitones)].map((semitone) => [semitone, pluck(A3_HZ * 2 ** (semitone / 12), sampleRateHz)]))
  const loop = new Float32Array(samplesIn(NOTE_MS * semitones.length, sampleRateHz))
  for (const [index, semitone] of semitones.entries()) addNote(loop, notes.get(semitone)!, samplesIn(NOTE_MS * index, sampleRateHz))
  return Int16Array.from(loop, (level) => Math.round(level * MUSIC_LEVEL))
}

function pluck(hz: number, sampleRateHz: number): Float32Array {
  const note = new Float32Array(samplesIn(RING_MS, sampleRateHz))
  for (const [index, share] of OVERTONES.entries()) addPartial(note, hz * (index + 1), share, sampleRateHz)
  const [attack, last] = [samplesIn(ATTACK_MS, sampleRateHz), note.length - 1]
  for (let n = 0; n < attack; n++) {
    note[n]! *= n / attack
    note[last - n]! *= n / attack
  }
  return note
}

/** A pointer that turns and shrinks with every sample, because sines and exponentials are dear. */
function addPartial(note: Float32Array, hz: number, share: number, sampleRateHz: number): void {
  const turn = (2 * Math.PI * hz) / sampleRateHz
  const shrink = Math.exp(-1 / samplesIn(DECAY_MS, sampleRateHz))
  const [stepRe, stepIm] = [shrink * Math.cos(turn), shrink * Math.sin(turn)]
  let [re, im] = [share, 0]
  for (let n = 0; n < note.length; n++) {
    note[n]! += im
    const next = re * stepRe - im * stepIm
    im = im * stepRe + re * stepIm
    re = next
  }
}

function addNote(loop: Float32Array, note: Float32Array, from: number): void {
  for (let n = 0, at = from; n < note.length; n++, at = at + 1 === loop.length ? 0 : at + 1) loop[at]! += note[n]!
}
