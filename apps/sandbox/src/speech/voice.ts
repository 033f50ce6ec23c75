import { CHORD_MS, GAP_MS, HIGH_TONES_HZ, LOW_TONES_HZ, SENTENCE_GAP_MS, WORD_GAP_MS, checkByte } from './tones.ts'

/** `text.slice(charStart, charEnd)` is spoken from `startMs` to `endMs`. */
export type SpokenWord = { text: string; charStart: number; charEnd: number; startMs: number; endMs: number }
/** Chars are UTF-16 units of the text, one entry each; those that are not spoken (spaces) last as long as the pause. */
export type Speech = { text: string; pcm: Int16Array; words: SpokenWord[]; charStartMs: number[]; charEndMs: number[]; durationMs: number }

export type VoiceSettings = { sampleRateHz: number; speed?: number }

const AMPLITUDE = 9_000
const HIGH_SHARE = 0.6
const RAMP_MS = 3

type Chord = { byte: number; startMs: number; endMs: number }
type Plan = { chords: Chord[]; words: SpokenWord[]; charStartMs: number[]; charEndMs: number[]; endMs: number }

/** Speaks deterministically: the same text always is the same sound. Reads as text: the caller takes SSML apart. */
export function speak(text: string, { sampleRateHz, speed = 1 }: VoiceSettings): Speech {
  const plan = planOf(text, 1 / speed)
  const pcm = new Int16Array(Math.ceil((plan.endMs / 1_000) * sampleRateHz))
  for (const chord of plan.chords) sound(pcm, chord, sampleRateHz)
  return { text, pcm, words: plan.words, charStartMs: plan.charStartMs, charEndMs: plan.charEndMs, durationMs: plan.endMs }
}

function planOf(text: string, stretch: number): Plan {
  const plan: Plan = { chords: [], words: [], charStartMs: Array.from({ length: text.length }, () => 0), charEndMs: Array.from({ length: text.length }, () => 0), endMs: 0 }
  let charAt = 0
  for (const match of text.matchAll(/\S+/g)) {
    silence(plan, charAt, match.index, plan.endMs)
    charAt = match.index + match[0].length
    word(plan, match[0], match.index, stretch)
    const pauseMs = /[.!?:]["')\]]?$/.test(match[0]) ? SENTENCE_GAP_MS : WORD_GAP_MS
    plan.endMs += pauseMs * stretch
  }
  silence(plan, charAt, text.length, plan.endMs)
  return plan
}

function word(plan: Plan, text: string, charStart: number, stretch: number): void {
  const bytes = Buffer.from(text, 'utf8')
  const startMs = plan.endMs
  let chars = charStart
  for (const char of text) {
    const from = plan.endMs
    for (const byte of Buffer.from(char, 'utf8')) chord(plan, byte, stretch)
    for (let unit = 0; unit < char.length; unit++) {
      plan.charStartMs[chars + unit] = from
      plan.charEndMs[chars + unit] = plan.endMs
    }
    chars += char.length
  }
  chord(plan, checkByte(bytes), stretch)
  plan.charEndMs[chars - 1] = plan.endMs
  plan.words.push({ text, charStart, charEnd: chars, startMs, endMs: plan.endMs })
}

function chord(plan: Plan, byte: number, stretch: number): void {
  plan.chords.push({ byte, startMs: plan.endMs, endMs: plan.endMs + CHORD_MS * stretch })
  plan.endMs += (CHORD_MS + GAP_MS) * stretch
}

/** Characters between words begin and end in the pause before `atMs`. */
function silence(plan: Plan, from: number, to: number, atMs: number): void {
  const beforeMs = plan.words.at(-1)?.endMs ?? 0
  for (let index = from; index < to; index++) {
    plan.charStartMs[index] = beforeMs
    plan.charEndMs[index] = atMs
  }
}

function sound(pcm: Int16Array, { byte, startMs, endMs }: Chord, rate: number): void {
  const first = Math.round((startMs / 1_000) * rate)
  const count = Math.round(((endMs - startMs) / 1_000) * rate)
  const ramp = (RAMP_MS / 1_000) * rate
  const low = (2 * Math.PI * LOW_TONES_HZ[byte >> 4]!) / rate
  const high = (2 * Math.PI * HIGH_TONES_HZ[byte & 15]!) / rate
  for (let n = 0; n < count; n++) {
    const edge = Math.min(1, (n + 1) / ramp, (count - n) / ramp)
    pcm[first + n] = Math.round(AMPLITUDE * edge * (Math.sin(low * n) + HIGH_SHARE * Math.sin(high * n)))
  }
}
