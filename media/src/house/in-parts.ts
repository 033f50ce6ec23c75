import type { Pcm } from '../frame.ts'
import type { SttEngine, SttOptions, WordTime } from '../stt/contract.ts'
import type { Transcript } from '../stt/part.ts'
import { joinTranscripts, quietParts } from '../stt/recording.ts'

export type PartsOptions = {
  /** Suppliers take 25 MB, which is 13 minutes at 16 kHz. Default: 5 minutes. */
  partMs?: number
  /** What each part said, as soon as it is known; parts without words are passed over. */
  onText?: (text: string) => void
}

/** A recording of any length, in parts that a supplier takes, cut where it is quiet. Rejects with a SpeechError. */
export async function transcribeInParts(engine: SttEngine, pcm: Pcm, options: SttOptions, { partMs = 300_000, onText }: PartsOptions = {}): Promise<{ text: string; words: WordTime[]; language: string | null }> {
  const parts: { startMs: number; heard: Transcript }[] = []
  for (const part of quietParts(pcm, options.sampleRateHz, partMs)) {
    const { text, words, language, usage } = await engine.transcribe(part.pcm, options)
    parts.push({ startMs: part.startMs, heard: { text, words, language, confidence: null, requestId: usage.requestId } })
    if (text !== '') onText?.(text)
  }
  const { text, words, language } = joinTranscripts(parts, options.language)
  return { text, words, language }
}
