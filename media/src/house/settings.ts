import { SttEngineId, TtsEngineId } from '@trunkline/core'
import { z } from 'zod'
import type { SpeechHouseSettings, SttName, TtsName } from './contract.ts'

/** The quickest to a final first; the one that computes here last. */
export const DEFAULT_ORDERS: { stt: readonly SttName[]; tts: readonly TtsName[] } = {
  stt: ['deepgram', 'openai', 'google', 'compatible', 'whisper'],
  tts: ['openai', 'elevenlabs', 'google', 'polly', 'kokoro', 'piper', 'espeak'],
}

const text = z.string().min(1).optional()
const url = z.url({ protocol: /^https?$/ }).transform((address) => address.replace(/\/+$/, '')).optional()
const order = <Name extends string>(name: z.ZodEnum<Record<Name, Name>>) =>
  z.string().transform((list) => list.split(',').map((part) => part.trim()).filter((part) => part !== '')).pipe(z.array(name)).optional()

/** The environment of whoever has a house: a part of an app's own schema. */
export const speechEnv = {
  /** Engines that are asked, in order, separated by commas. Default: all that are set up. */
  STT_ORDER: order(SttEngineId),
  TTS_ORDER: order(TtsEngineId),
  OPENAI_API_KEY: text,
  OPENAI_BASE_URL: url,
  OPENAI_STT_MODEL: text,
  OPENAI_TTS_MODEL: text,
  DEEPGRAM_API_KEY: text,
  DEEPGRAM_BASE_URL: url,
  DEEPGRAM_MODEL: text,
  /** Of Google's Speech-to-Text and Text-to-Speech. */
  GOOGLE_SPEECH_API_KEY: text,
  GOOGLE_STT_BASE_URL: url,
  GOOGLE_TTS_BASE_URL: url,
  /** A server of one's own with OpenAI's /audio/transcriptions (speaches, vLLM, LocalAI). */
  STT_COMPATIBLE_BASE_URL: url,
  STT_COMPATIBLE_API_KEY: text,
  STT_COMPATIBLE_MODEL: text,
  ELEVENLABS_API_KEY: text,
  ELEVENLABS_BASE_URL: url,
  ELEVENLABS_MODEL: text,
  POLLY_REGION: text,
  POLLY_ACCESS_KEY_ID: text,
  POLLY_SECRET_ACCESS_KEY: text,
  POLLY_BASE_URL: url,
  POLLY_MODEL: z.enum(['standard', 'neural', 'long-form', 'generative']).optional(),
  /** Folders of models: Whisper as exported for transformers.js, Kokoro and Piper as published. */
  WHISPER_DIR: text,
  KOKORO_DIR: text,
  PIPER_DIR: text,
  /** Who tells speech from other sound: a model, or loudness. The sandbox's voices are tones: by loudness only. */
  VAD: z.enum(['silero', 'energy']).default('silero'),
  /** Path of smart-turn-v3*.onnx, which hears by the melody whether a caller is done; without it words and pauses tell. */
  SMART_TURN_MODEL: text,
  SPEECH_DEVICE: z.enum(['cpu', 'cuda']).default('cpu'),
  /** Where the messages for "no voice works" are kept; made when it is not there. */
  SPEECH_DIR: z.string().min(1).default('.data/speech'),
}
const Env = z.object(speechEnv)
export type SpeechEnv = z.infer<typeof Env>

/** What must be given together. */
const TOGETHER: (keyof SpeechEnv)[][] = [
  ['STT_COMPATIBLE_BASE_URL', 'STT_COMPATIBLE_MODEL'],
  ['POLLY_REGION', 'POLLY_ACCESS_KEY_ID', 'POLLY_SECRET_ACCESS_KEY'],
]

/** Throws an Error that names what is missing: half an engine would be found out in a call. */
export function speechSettings(env: SpeechEnv): SpeechHouseSettings {
  for (const names of TOGETHER) {
    const missing = names.filter((name) => env[name] === undefined)
    if (missing.length > 0 && missing.length < names.length) throw new Error(`The environment is not complete: ${names.filter((name) => !missing.includes(name)).join(' and ')} set without ${missing.join(' and ')}`)
  }
  return defined({
    sttOrder: env.STT_ORDER,
    ttsOrder: env.TTS_ORDER,
    openai: env.OPENAI_API_KEY && defined({ apiKey: env.OPENAI_API_KEY, baseUrl: env.OPENAI_BASE_URL, sttModel: env.OPENAI_STT_MODEL, ttsModel: env.OPENAI_TTS_MODEL }),
    deepgram: env.DEEPGRAM_API_KEY && defined({ apiKey: env.DEEPGRAM_API_KEY, baseUrl: env.DEEPGRAM_BASE_URL, model: env.DEEPGRAM_MODEL }),
    google: env.GOOGLE_SPEECH_API_KEY && defined({ apiKey: env.GOOGLE_SPEECH_API_KEY, sttBaseUrl: env.GOOGLE_STT_BASE_URL, ttsBaseUrl: env.GOOGLE_TTS_BASE_URL }),
    compatible: env.STT_COMPATIBLE_BASE_URL && env.STT_COMPATIBLE_MODEL && { baseUrl: env.STT_COMPATIBLE_BASE_URL, apiKey: env.STT_COMPATIBLE_API_KEY ?? null, model: env.STT_COMPATIBLE_MODEL },
    elevenlabs: env.ELEVENLABS_API_KEY && defined({ apiKey: env.ELEVENLABS_API_KEY, baseUrl: env.ELEVENLABS_BASE_URL, model: env.ELEVENLABS_MODEL }),
    polly: pollyOf(env),
    whisperDir: env.WHISPER_DIR,
    smartTurnModel: env.SMART_TURN_MODEL,
    kokoroDir: env.KOKORO_DIR,
    piperDir: env.PIPER_DIR,
    vad: env.VAD,
    device: env.SPEECH_DEVICE,
    messagesDir: env.SPEECH_DIR,
  })
}

function pollyOf({ POLLY_REGION: region, POLLY_ACCESS_KEY_ID: accessKeyId, POLLY_SECRET_ACCESS_KEY: secretAccessKey, POLLY_BASE_URL: endpoint, POLLY_MODEL: model }: SpeechEnv) {
  return region && accessKeyId && secretAccessKey ? defined({ region, credentials: { accessKeyId, secretAccessKey }, endpoint, model }) : undefined
}

type Defined<T> = { [K in keyof T as undefined extends T[K] ? never : K]: T[K] } & { [K in keyof T as undefined extends T[K] ? K : never]?: Exclude<T[K], undefined | ''> }

/** Optional fields of settings are absent, never undefined. */
const defined = <T extends object>(fields: T): Defined<T> => Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined && value !== '')) as Defined<T>
