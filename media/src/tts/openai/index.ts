import OpenAI from 'openai'
import { SpeechError } from '../../stt/contract.ts'
import type { SpeechFailure } from '../../stt/contract.ts'
import { PcmBytes } from '../bytes.ts'
import type { TtsEngine, TtsOptions, Voice } from '../contract.ts'
import { ttsEngine, type EngineSettings } from '../engine.ts'
import { httpFailure, socketFailure, speechError } from '../failure.ts'
import { isPage } from '../http.ts'
import { NO_PAUSES, REMOTE_DEADLINES, type Deadlines, type Piece, type Said, type VoicePart } from '../part.ts'

export type OpenAiVoiceSettings = {
  /** `https://api.openai.com/v1`, or a server that speaks the same. */
  baseUrl: string
  apiKey: string | null
  /** Default `gpt-4o-mini-tts`. */
  model?: string
  /** How it is to be said, for models that take it ("warm, unhurried"). */
  instructions?: string
  /** What a compatible server offers; default: OpenAI's own voices. */
  voices?: readonly Voice[]
  /** Shown in usage; default `openai`. */
  id?: string
  deadlines?: Partial<Deadlines>
  /** For addresses that a tenant typed in: a guarded one. */
  fetch?: typeof fetch
  engine?: Partial<EngineSettings>
}

/** PCM of OpenAI is 24 kHz, 16 bits, little endian, without a header (text-to-speech guide). */
const SAMPLE_RATE_HZ = 24_000
const MAX_INPUT = 4_096
/** Text-to-speech guide; they speak every language of the model. */
const VOICES: readonly Voice[] = ['alloy', 'ash', 'ballad', 'coral', 'echo', 'fable', 'nova', 'onyx', 'sage', 'shimmer', 'verse', 'marin', 'cedar'].map((id) => ({ id, name: id, language: 'mul', gender: null }))

/** OpenAI's voices, or a compatible server's. It tells no times of words: they are estimated. */
export function openaiVoice(settings: OpenAiVoiceSettings): TtsEngine {
  return ttsEngine(openaiPart(settings), settings.engine)
}

function openaiPart(settings: OpenAiVoiceSettings): VoicePart {
  const { id = 'openai', model = 'gpt-4o-mini-tts', voices = VOICES } = settings
  const client = buildClient(settings)
  return {
    id,
    model,
    maxChars: Math.min(400, MAX_INPUT),
    ahead: 1,
    spokenForm: { contacts: true, numbers: false },
    deadlines: { ...REMOTE_DEADLINES, ...settings.deadlines },
    pauses: NO_PAUSES,
    sampleRateHz: () => SAMPLE_RATE_HZ,
    voices: async () => [...voices],
    say: (piece, options, signal) => say(client, { id, model, instructions: settings.instructions }, piece, options, signal),
    failure: (error) => failureOf(id, error),
  }
}

/** Everything the SDK would read from the environment is given: a process's variables must never reach a tenant's call. */
function buildClient({ baseUrl, apiKey, fetch }: OpenAiVoiceSettings): OpenAI {
  return new OpenAI({ apiKey: apiKey ?? 'none', baseURL: baseUrl, organization: null, project: null, adminAPIKey: null, webhookSecret: null, maxRetries: 0, logLevel: 'off', fetch })
}

type Request = { id: string; model: string; instructions: string | undefined }

async function* say(client: OpenAI, { id, model, instructions }: Request, { text }: Piece, { voice, speed }: Omit<TtsOptions, 'signal'>, signal: AbortSignal): AsyncGenerator<Said> {
  const { data: answer, request_id: requestId } = await client.audio.speech.create({ model, voice: voice || 'alloy', input: text, speed, instructions, response_format: 'pcm' }, { signal }).withResponse()
  // An error that came with status 200 would be heard as noise.
  const type = answer.headers.get('content-type')
  if (isPage(type) || /^application\/json/i.test(type ?? '') || !answer.body) throw speechError('unavailable', `${id} answered with something that is no sound`, requestId)
  yield { type: 'open', requestId }
  const bytes = new PcmBytes()
  for await (const chunk of answer.body) yield { type: 'audio', pcm: bytes.push(chunk) }
}

function failureOf(id: string, error: unknown): SpeechFailure {
  if (error instanceof SpeechError || !(error instanceof OpenAI.APIError)) return socketFailure(id, error)
  const { status, requestID: requestId = null, code, headers } = error as InstanceType<typeof OpenAI.APIError>
  if (status === undefined) return socketFailure(id, error, requestId)
  const failure = httpFailure(id, status, { requestId, detail: code, retryAfter: headers?.get('retry-after') })
  // An empty account answers 429, and no waiting helps (error codes guide).
  return code === 'insufficient_quota' ? { ...failure, code: 'credentials', retryAfterMs: undefined } : failure
}
