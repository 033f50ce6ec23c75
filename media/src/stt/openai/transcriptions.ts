import OpenAI from 'openai'
import type { Pcm } from '../../frame.ts'
import { wavBytes } from '../../tts/container.ts'
import { httpFailure, socketFailure } from '../../tts/failure.ts'
import type { SpeechFailure, SttOptions, WordTime } from '../contract.ts'
import { SpeechError } from '../contract.ts'
import type { SegmentPart, Transcript } from '../part.ts'

/** How a model of this wire wants to be asked. `verbose_json` brings times of words, `stream` text as it is found; no model gives both. */
export type TranscriptionStyle = 'stream' | 'verbose_json' | 'json'

export type TranscriptionPlace = {
  /** As in usage and failures. */
  id: string
  baseUrl: string
  /** null: the server asks for none. */
  apiKey: string | null
  model: string
  style: TranscriptionStyle
  finalP99Ms: number
  maxSegmentMs: number
  /** Given for addresses that a tenant typed in. */
  fetch?: typeof fetch
}

/** `POST {baseUrl}/audio/transcriptions` through OpenAI's own SDK: OpenAI, and every server that speaks its wire. */
export function transcriptionPart(place: TranscriptionPlace): SegmentPart {
  const client = clientOf(place)
  const failure = (error: unknown) => failureOf(place.id, error)
  const ask = { stream: askStream, verbose_json: askVerbose, json: askJson }[place.style]
  return {
    live: 'segments', id: place.id, model: place.model, finalP99Ms: place.finalP99Ms, maxSegmentMs: place.maxSegmentMs, failure,
    async transcribe(pcm, options, onPartial) {
      if (pcm.length === 0) return { text: '', words: [], language: options.language, confidence: null, requestId: null }
      return ask({ client, model: place.model, pcm, options, onPartial: onPartial ?? (() => undefined) })
    },
  }
}

function clientOf({ baseUrl, apiKey, fetch }: TranscriptionPlace): OpenAI {
  return new OpenAI({
    apiKey: apiKey ?? 'none',
    baseURL: baseUrl,
    // Everything the SDK would read from the environment is given: a process's variables must never reach a tenant's call.
    organization: null,
    project: null,
    adminAPIKey: null,
    webhookSecret: null,
    // Trying again is the chain's, which has other suppliers to try.
    maxRetries: 0,
    // The engine's deadlines come long before; this one only keeps a forgotten request from living for ever.
    timeout: 600_000,
    // The SDK prints bodies that it cannot parse; those are customers' words.
    logLevel: 'off',
    fetch,
  })
}

type Question = { client: OpenAI; model: string; pcm: Pcm; options: SttOptions; onPartial: (text: string) => void }

/** `language` is ISO 639-1 here, so `de-DE` is asked for as `de`. Keyterms go into the prompt, which both families of models read. */
function common({ model, pcm, options }: Question) {
  const file = new File([wavBytes(pcm, options.sampleRateHz)], 'speech.wav', { type: 'audio/wav' })
  const language = options.language?.split('-')[0]?.toLowerCase()
  return { file, model, ...(language ? { language } : {}), ...(options.keyterms.length > 0 ? { prompt: `${options.keyterms.join(', ')}.` } : {}) }
}

async function askStream(question: Question): Promise<Transcript> {
  const { client, options, onPartial } = question
  const { data: stream, request_id: requestId } = await client.audio.transcriptions.create({ ...common(question), stream: true, include: ['logprobs'] }, { signal: options.signal }).withResponse()
  let text = ''
  for await (const event of stream) {
    if (event.type === 'transcript.text.delta') onPartial((text += event.delta).trim())
    if (event.type === 'transcript.text.done') return { text: event.text.trim(), words: [], language: options.language, confidence: confidenceOf(event.logprobs), requestId }
  }
  throw new SpeechError({ code: 'cut', message: 'The stream ended before the text did', requestId })
}

async function askJson(question: Question): Promise<Transcript> {
  const { client, options } = question
  const { data, request_id: requestId } = await client.audio.transcriptions.create({ ...common(question), response_format: 'json' }, { signal: options.signal }).withResponse()
  return { text: textOf(data.text, requestId), words: [], language: options.language, confidence: confidenceOf(data.logprobs), requestId }
}

/** Whisper's way: it tells the language, words with times, and how sure it was of each segment. */
async function askVerbose(question: Question): Promise<Transcript> {
  const { client, options } = question
  const { data, request_id: requestId } = await client.audio.transcriptions.create({ ...common(question), response_format: 'verbose_json', timestamp_granularities: ['word', 'segment'] }, { signal: options.signal }).withResponse()
  const segments = (data.segments ?? []).filter(({ no_speech_prob, avg_logprob }) => !(no_speech_prob > 0.6 && avg_logprob < -1))
  const confidence = confidenceOf(segments.map(({ avg_logprob }) => ({ logprob: avg_logprob })))
  const words = (data.words ?? []).map(({ word, start, end }): WordTime => ({ text: word.trim(), startMs: start * 1_000, endMs: end * 1_000, confidence: null }))
  // Whisper invents words for noise, and says itself that there was no speech: the rule of its own decoder (whisper/transcribe.py).
  const isNoise = (data.segments?.length ?? 0) > 0 && segments.length === 0
  return { text: isNoise ? '' : textOf(data.text, requestId), words: isNoise ? [] : words, language: data.language ?? options.language, confidence, requestId }
}

/** Other servers' answers are looked at: a page of a proxy also comes with status 200. */
function textOf(text: unknown, requestId: string | null): string {
  if (typeof text === 'string') return text.trim()
  throw new SpeechError({ code: 'unavailable', message: 'The answer is no transcription', requestId })
}

/** Geometric mean of the probabilities of the tokens. */
function confidenceOf(logprobs: readonly { logprob?: number }[] | undefined): number | null {
  const known = (logprobs ?? []).flatMap(({ logprob }) => (typeof logprob === 'number' && Number.isFinite(logprob) ? [logprob] : []))
  return known.length === 0 ? null : Math.min(1, Math.exp(known.reduce((sum, one) => sum + one, 0) / known.length))
}

/** An empty account answers 429 as a rate does, and will not be filled by waiting. */
const NO_MONEY = /^(insufficient_quota|billing_hard_limit_reached)$/

function failureOf(id: string, error: unknown): SpeechFailure {
  if (error instanceof OpenAI.APIConnectionTimeoutError) return { code: 'timeout', message: `${id} did not answer in time`, requestId: null }
  if (!(error instanceof OpenAI.APIError) || error.status === undefined) return error instanceof SyntaxError ? { code: 'unavailable', message: `${id} sent no JSON`, requestId: null } : socketFailure(id, error)
  const failure = httpFailure(id, Number(error.status), { requestId: error.requestID ?? null, retryAfter: error.headers?.get('retry-after'), detail: error.code ?? null })
  return NO_MONEY.test(error.code ?? '') ? { ...failure, code: 'credentials' } : failure
}
