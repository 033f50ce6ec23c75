import type { LookupFunction } from 'node:net'
import { systemClock } from '@trunkline/core'
import { createEncoder } from '../../codec/index.ts'
import { httpFailure, socketFailure } from '../../tts/failure.ts'
import { SpeechError } from '../contract.ts'
import type { SttEngine, SttOptions } from '../contract.ts'
import { sttEngine } from '../engine.ts'
import type { SttSettings } from '../engine.ts'
import type { StreamPart, Transcript } from '../part.ts'
import { wavBytes } from '../../tts/container.ts'
import { KeepAlive } from './keep-alive.ts'
import { DeepgramLive } from './live.ts'
import { listenQuery, recordingQuery, transcriptOf } from './wire.ts'
import type { Tuning } from './wire.ts'

export type DeepgramSttOptions = {
  apiKey: string
  model?: string
  /** http(s); the socket's address is made from it. */
  baseUrl?: string
  /** `mulaw` halves the upload and costs nothing where the call is mu-law anyway. */
  encoding?: 'linear16' | 'mulaw'
  endpointingMs?: number | null
  smartFormat?: boolean
  /** For addresses that a tenant typed in: guarded ones, of recordings and of sockets. */
  fetch?: typeof fetch
  lookup?: LookupFunction
}

const ID = 'deepgram'
/** 99th percentile of time to the final, measured by Pipecat's authors (services/stt_latency.py). */
const FINAL_P99_MS = 350

/**
 * Deepgram's live socket, with the `ws` client instead of the official SDK: that one reconnects on its own, which is the chain's to decide
 * (it must replay), hides the status of a refused handshake, and says nothing of back-pressure. Recordings go by REST.
 */
export function deepgramStt(options: DeepgramSttOptions, settings: SttSettings = {}): SttEngine {
  const { apiKey, model = 'nova-3', baseUrl = 'https://api.deepgram.com', encoding = 'linear16', endpointingMs = 300, smartFormat = true, fetch: call = fetch, lookup } = options
  const tuning: Tuning = { model, endpointingMs, smartFormat }
  const clock = settings.clock ?? systemClock
  const keepAlive = new KeepAlive(clock)
  const part: StreamPart = {
    live: 'stream', id: ID, model, finalP99Ms: FINAL_P99_MS,
    failure: (error) => (error instanceof SpeechError ? error.failure : socketFailure(ID, error)),
    open: (stt, sink) => new DeepgramLive({ url: `${baseUrl.replace(/^http/, 'ws')}/v1/listen?${listenQuery(tuning, stt, encoding)}`, apiKey, encoder: createEncoder({ encoding: encoding === 'mulaw' ? 'pcmu' : 'pcm_s16le', sampleRateHz: stt.sampleRateHz }), options: stt, sink, clock, keepAlive, lookup }),
    transcribe: (pcm, stt) => recording(call, `${baseUrl}/v1/listen?${recordingQuery(tuning, stt)}`, apiKey, wavBytes(pcm, stt.sampleRateHz), stt),
  }
  return sttEngine(part, settings)
}

async function recording(call: typeof fetch, url: string, apiKey: string, wav: Uint8Array, { signal, language }: SttOptions): Promise<Transcript> {
  const answer = await call(url, { method: 'POST', headers: { authorization: `Token ${apiKey}`, 'content-type': 'audio/wav' }, body: wav, signal, redirect: 'error' })
  const requestId = answer.headers.get('dg-request-id')
  const text = await answer.text()
  if (!answer.ok) throw new SpeechError(httpFailure(ID, answer.status, { requestId, retryAfter: answer.headers.get('retry-after') }))
  const heard = transcriptOf(jsonOf(text), language)
  if (!heard) throw new SpeechError({ code: 'unavailable', message: `${ID} answered something that is no transcription`, requestId })
  return { ...heard, requestId: heard.requestId ?? requestId }
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return null
  }
}
