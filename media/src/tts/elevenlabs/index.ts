import { z } from 'zod'
import { SpeechError } from '../../stt/contract.ts'
import type { SpeechFailure } from '../../stt/contract.ts'
import { PcmBytes, linesOf } from '../bytes.ts'
import type { TtsEngine, TtsOptions, Voice } from '../contract.ts'
import { ttsEngine, type EngineSettings } from '../engine.ts'
import { socketFailure, speechError } from '../failure.ts'
import { call, readAll, type HttpCall } from '../http.ts'
import { NO_PAUSES, REMOTE_DEADLINES, type Deadlines, type Piece, type Said, type VoicePart } from '../part.ts'
import { baseLanguage } from '../text/language.ts'
import { Line, WordAlignment } from './alignment.ts'

export type ElevenLabsSettings = {
  /** `https://api.elevenlabs.io`. */
  baseUrl: string
  apiKey: string
  /** Default `eleven_flash_v2_5`, the quickest. */
  model?: string
  /** For addresses that a tenant typed in: a guarded one. */
  dispatcher?: HttpCall['dispatcher']
  deadlines?: Partial<Deadlines>
  engine?: Partial<EngineSettings>
}

const ID = 'elevenlabs'
/** `pcm_48000` exists for dear accounts only (models reference, output formats). */
const RATES_HZ = [8_000, 16_000, 24_000]
/** The interface refuses others (voice settings). */
const SPEED_MIN = 0.7
const SPEED_MAX = 1.2
const MAX_LINE_BYTES = 8 * 1024 * 1024
const MAX_LIST_BYTES = 16 * 1024 * 1024

/**
 * ElevenLabs over HTTP, streamed with times of characters. Not its text socket: that buffers text by a schedule of its own, dies after
 * twenty idle seconds, and mixes sentences on one connection; here every sentence is a request of its own on a warm connection, which can
 * be cancelled, timed, billed (`request-id`) and repeated by another engine alone. `previous_text` carries the melody over.
 */
export function elevenlabsVoice(settings: ElevenLabsSettings): TtsEngine {
  return ttsEngine(elevenlabsPart(settings), settings.engine)
}

function elevenlabsPart(settings: ElevenLabsSettings): VoicePart {
  const { model = 'eleven_flash_v2_5' } = settings
  return {
    id: ID,
    model,
    maxChars: 400,
    ahead: 1,
    // The quick models read no numbers by themselves (documentation, "normalization").
    spokenForm: { contacts: true, numbers: /flash|turbo/.test(model) },
    deadlines: { ...REMOTE_DEADLINES, ...settings.deadlines },
    pauses: NO_PAUSES,
    sampleRateHz: nativeRate,
    voices: (signal) => voices(settings, signal),
    say: (piece, options, signal) => say({ ...settings, model }, piece, options, signal),
    failure: (error) => failureOf(error),
  }
}

const nativeRate = (wanted: number): number => (RATES_HZ.includes(wanted) ? wanted : 24_000)

async function* say({ baseUrl, apiKey, model, dispatcher }: ElevenLabsSettings & { model: string }, { text, before }: Piece, options: Omit<TtsOptions, 'signal'>, signal: AbortSignal): AsyncGenerator<Said> {
  const url = `${baseUrl}/v1/text-to-speech/${encodeURIComponent(options.voice)}/stream/with-timestamps?output_format=pcm_${nativeRate(options.sampleRateHz)}`
  const body = { text, model_id: model, voice_settings: { speed: Math.min(SPEED_MAX, Math.max(SPEED_MIN, options.speed)) }, ...(before ? { previous_text: before } : {}), ...languageOf(model, options.language) }
  const { requestId, body: answer } = await call({ engine: ID, url, headers: { 'xi-api-key': apiKey, accept: 'application/json' }, body, signal, requestIdHeader: 'request-id', dispatcher })
  yield { type: 'open', requestId }
  const bytes = new PcmBytes()
  const words = new WordAlignment(text)
  for await (const line of linesOf(answer, MAX_LINE_BYTES)) {
    if (line.trim() === '') continue
    const { audio_base64: sound, alignment } = readLine(line, requestId)
    if (sound) yield { type: 'audio', pcm: bytes.push(Buffer.from(sound, 'base64')) }
    const spans = alignment ? words.push(alignment) : []
    if (spans.length > 0) yield { type: 'spans', spans }
  }
  const last = words.end()
  if (last.length > 0) yield { type: 'spans', spans: last }
}

/** Only the multilingual quick models take a language; others refuse the field. */
const languageOf = (model: string, language: string | null) => (language && model.endsWith('v2_5') ? { language_code: baseLanguage(language) } : {})

function readLine(line: string, requestId: string | null): z.infer<typeof Line> {
  try {
    return Line.parse(JSON.parse(line))
  } catch (error) {
    throw speechError('unavailable', `${ID} sent something that is no line of sound`, requestId, error)
  }
}

const VoiceList = z.object({ voices: z.array(z.object({ voice_id: z.string(), name: z.string(), labels: z.record(z.string(), z.string().nullish()).nullish() })) })
const GENDERS = new Set(['female', 'male', 'neutral'])

async function voices({ baseUrl, apiKey, dispatcher }: ElevenLabsSettings, signal: AbortSignal): Promise<Voice[]> {
  try {
    const { body } = await call({ engine: ID, url: `${baseUrl}/v1/voices`, method: 'GET', headers: { 'xi-api-key': apiKey }, signal, requestIdHeader: 'request-id', dispatcher })
    const list = VoiceList.parse(JSON.parse((await readAll(body, MAX_LIST_BYTES)).toString('utf8')))
    return list.voices.map(({ voice_id: id, name, labels }) => ({ id, name, language: labels?.language ?? 'mul', gender: GENDERS.has(labels?.gender ?? '') ? (labels!.gender as Voice['gender']) : null }))
  } catch (error) {
    throw error instanceof SpeechError ? error : new SpeechError(failureOf(error), { cause: error })
  }
}

const failureOf = (error: unknown): SpeechFailure => (error instanceof RangeError || error instanceof SyntaxError || error instanceof z.ZodError ? { code: 'unavailable', message: `${ID} sent something that cannot be read`, requestId: null } : socketFailure(ID, error))
