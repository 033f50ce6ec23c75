import type { SttEngine } from '../contract.ts'
import { sttEngine } from '../engine.ts'
import type { SttSettings } from '../engine.ts'
import { transcriptionPart } from '../openai/transcriptions.ts'
import type { TranscriptionStyle } from '../openai/transcriptions.ts'

export type CompatibleSttOptions = {
  baseUrl: string
  apiKey: string | null
  model: string
  /** `verbose_json` (default) brings times of words and is known to speaches, vLLM, LocalAI and Groq; `json` is the least that a server can do. */
  style?: TranscriptionStyle
  /** Measured by the operator; the default is Groq's. */
  finalP99Ms?: number
  maxSegmentMs?: number
  fetch?: typeof fetch
}

/** Any server with OpenAI's `/audio/transcriptions`. */
export function compatibleStt({ style = 'verbose_json', finalP99Ms = 1_540, maxSegmentMs = 25_000, ...place }: CompatibleSttOptions, settings?: SttSettings): SttEngine {
  return sttEngine(transcriptionPart({ id: 'compatible', style, finalP99Ms, maxSegmentMs, ...place }), settings)
}
