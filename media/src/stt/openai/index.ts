import type { SttEngine } from '../contract.ts'
import { sttEngine } from '../engine.ts'
import type { SttSettings } from '../engine.ts'
import { transcriptionPart } from './transcriptions.ts'

export type OpenaiSttOptions = { apiKey: string; model?: string; baseUrl?: string; fetch?: typeof fetch }

/** 99th percentile of time to the final, measured by Pipecat's authors (services/stt_latency.py). */
const FINAL_P99_MS = 2_010
/** The API takes 25 MB; long recordings make short waits long. */
const MAX_SEGMENT_MS = 30_000

/** OpenAI's recognition. Live, what was said up to `finish()` is one recording; partials come while its answer streams. */
export function openaiStt({ apiKey, model = 'gpt-4o-transcribe', baseUrl = 'https://api.openai.com/v1', fetch }: OpenaiSttOptions, settings?: SttSettings): SttEngine {
  // whisper-1 ignores `stream`; its successors know neither `verbose_json` nor times of words (OpenAI API reference, createTranscription).
  const style = model.startsWith('whisper') ? 'verbose_json' : 'stream'
  return sttEngine(transcriptionPart({ id: 'openai', baseUrl, apiKey, model, style, finalP99Ms: FINAL_P99_MS, maxSegmentMs: MAX_SEGMENT_MS, fetch }), settings)
}
