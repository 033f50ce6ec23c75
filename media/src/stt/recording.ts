import type { Pcm } from '../frame.ts'
import { rms } from './loudness.ts'
import type { Transcript } from './part.ts'

/** A cut is looked for within so much before the end of what a supplier takes. */
const SEARCH_MS = 3_000
const STEP_MS = 20

/** The middle of the quietest 20 ms near the end: where a word is least likely to be cut in two. */
export function quietestSample(pcm: Pcm, sampleRateHz: number): number {
  const step = Math.round((sampleRateHz * STEP_MS) / 1_000)
  let best = { at: pcm.length, level: Infinity }
  for (let at = Math.max(0, pcm.length - Math.round((sampleRateHz * SEARCH_MS) / 1_000)); at + step <= pcm.length; at += step) {
    const level = rms(pcm.subarray(at, at + step))
    if (level <= best.level) best = { at: at + (step >> 1), level }
  }
  return best.at
}

/** A recording in parts of at most `maxMs`, cut where it is quiet. */
export function* quietParts(pcm: Pcm, sampleRateHz: number, maxMs: number): Generator<{ pcm: Pcm; startMs: number }> {
  const max = Math.round((sampleRateHz * maxMs) / 1_000)
  for (let at = 0; at < pcm.length; ) {
    const rest = pcm.subarray(at)
    const length = rest.length <= max ? rest.length : quietestSample(rest.subarray(0, max), sampleRateHz)
    yield { pcm: rest.subarray(0, length), startMs: (at / sampleRateHz) * 1_000 }
    at += length
  }
}

/** Parts of one recording as one; it is as sure as its least sure part. */
export function joinTranscripts(parts: readonly { startMs: number; heard: Transcript }[], language: string | null): Transcript {
  const sure = parts.flatMap(({ heard }) => (heard.confidence === null ? [] : [heard.confidence]))
  return {
    text: parts.map(({ heard }) => heard.text).filter((text) => text !== '').join(' '),
    words: parts.flatMap(({ startMs, heard }) => heard.words.map((word) => ({ ...word, startMs: word.startMs + startMs, endMs: word.endMs + startMs }))),
    language: parts.find(({ heard }) => heard.text !== '')?.heard.language ?? parts[0]?.heard.language ?? language,
    confidence: sure.length === 0 ? null : Math.min(...sure),
    requestId: parts.at(-1)?.heard.requestId ?? null,
  }
}
