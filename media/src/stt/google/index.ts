import { z } from 'zod'
import { createEncoder } from '../../codec/index.ts'
import type { Pcm } from '../../frame.ts'
import { httpFailure, socketFailure } from '../../tts/failure.ts'
import { SpeechError } from '../contract.ts'
import type { SttEngine, SttOptions } from '../contract.ts'
import { sttEngine } from '../engine.ts'
import type { SttSettings } from '../engine.ts'
import type { SegmentPart, Transcript } from '../part.ts'
import { joinTranscripts, quietParts } from '../recording.ts'

export type GoogleSttOptions = {
  /** An API key, or what answers an OAuth access token (it is asked for every recording, so it may cache). */
  credentials: { apiKey: string } | { accessToken: () => Promise<string> }
  model?: string
  baseUrl?: string
  /** Google wants one language; it is asked for when the caller's is unknown. BCP 47. */
  defaultLanguage?: string
  fetch?: typeof fetch
}

const ID = 'google'
/** 99th percentile, measured by Pipecat's authors (services/stt_latency.py) for the streaming API; a short recording takes as long. */
const FINAL_P99_MS = 1_570
/** `recognize` takes a minute (cloud.google.com/speech-to-text/quotas). */
const MAX_SEGMENT_MS = 55_000
const MAX_ANSWER_BYTES = 4_000_000

const Seconds = z.string().regex(/^\d+(\.\d+)?s$/).transform((text) => Number.parseFloat(text) * 1_000)
const Word = z.object({ word: z.string(), startTime: Seconds.default(0), endTime: Seconds.default(0), confidence: z.number().optional() })
const Alternative = z.object({ transcript: z.string().default(''), confidence: z.number().optional(), words: z.array(Word).default([]) })
const Answer = z.object({ results: z.array(z.object({ alternatives: z.array(Alternative).default([]), languageCode: z.string().optional() })).default([]), requestId: z.string().optional() })
const Refusal = z.object({ error: z.object({ status: z.string() }) })

/**
 * Google's `speech:recognize` over REST. The official client brings gRPC and 60 packages for what is one POST here; streaming exists in gRPC
 * only, so live it hears in recordings, as OpenAI's does.
 */
export function googleStt(options: GoogleSttOptions, settings?: SttSettings): SttEngine {
  const { model = 'latest_short', baseUrl = 'https://speech.googleapis.com', defaultLanguage = 'en-US' } = options
  const part: SegmentPart = {
    live: 'segments', id: ID, model, finalP99Ms: FINAL_P99_MS, maxSegmentMs: MAX_SEGMENT_MS,
    failure: (error) => (error instanceof SpeechError ? error.failure : socketFailure(ID, error)),
    async transcribe(pcm, stt) {
      const language = stt.language ?? defaultLanguage
      const parts: { startMs: number; heard: Transcript }[] = []
      for (const part of quietParts(pcm, stt.sampleRateHz, MAX_SEGMENT_MS)) parts.push({ startMs: part.startMs, heard: await recognise({ ...options, baseUrl }, requestOf(part.pcm, model, language, stt), stt.signal) })
      return joinTranscripts(parts, language)
    },
  }
  return sttEngine(part, settings)
}

const requestOf = (pcm: Pcm, model: string, languageCode: string, { sampleRateHz, keyterms }: SttOptions) => ({
  config: {
    encoding: 'LINEAR16', sampleRateHertz: sampleRateHz, languageCode, model, enableWordTimeOffsets: true, enableWordConfidence: true, enableAutomaticPunctuation: true,
    ...(keyterms.length > 0 ? { speechContexts: [{ phrases: keyterms }] } : {}),
  },
  audio: { content: Buffer.from(createEncoder({ encoding: 'pcm_s16le', sampleRateHz }).encode(pcm)).toString('base64') },
})

async function recognise({ credentials, baseUrl, fetch: call = fetch }: GoogleSttOptions, request: object, signal: AbortSignal): Promise<Transcript> {
  const who: Record<string, string> = 'apiKey' in credentials ? { 'x-goog-api-key': credentials.apiKey } : { authorization: `Bearer ${await credentials.accessToken()}` }
  const answer = await call(`${baseUrl}/v1/speech:recognize`, { method: 'POST', headers: { 'content-type': 'application/json', ...who }, body: JSON.stringify(request), signal, redirect: 'error' })
  if (Number(answer.headers.get('content-length') ?? 0) > MAX_ANSWER_BYTES) throw new SpeechError({ code: 'unavailable', message: 'google answered more than a transcription can be', requestId: null })
  const body = parsed(await answer.text())
  if (!answer.ok) throw new SpeechError(httpFailure(ID, answer.status, { retryAfter: answer.headers.get('retry-after'), detail: Refusal.safeParse(body).data?.error.status ?? null }))
  return transcriptOf(body)
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return null
  }
}

function transcriptOf(body: unknown): Transcript {
  const { success, data } = Answer.safeParse(body)
  if (!success) throw new SpeechError({ code: 'unavailable', message: 'google answered something that is no transcription', requestId: null })
  const heard = data.results.flatMap(({ alternatives, languageCode }) => (alternatives[0] ? [{ ...alternatives[0], languageCode }] : []))
  const sure = heard.flatMap(({ confidence }) => (confidence ? [confidence] : []))
  return {
    text: heard.map(({ transcript }) => transcript.trim()).filter((text) => text !== '').join(' '),
    words: heard.flatMap(({ words }) => words.map(({ word, startTime, endTime, confidence }) => ({ text: word, startMs: startTime, endMs: endTime, confidence: confidence ?? null }))),
    language: heard[0]?.languageCode ?? null,
    confidence: sure.length === 0 ? null : sure.reduce((sum, one) => sum + one, 0) / sure.length,
    requestId: data.requestId ?? null,
  }
}
