import type { Logger } from '@trunkline/core'
import { compatibleStt } from '../stt/compatible/index.ts'
import type { SttEngine } from '../stt/contract.ts'
import { deepgramStt } from '../stt/deepgram/index.ts'
import { googleStt } from '../stt/google/index.ts'
import { openaiStt } from '../stt/openai/index.ts'
import { whisperStt, type WhisperEngine } from '../stt/whisper/index.ts'
import type { TtsEngine } from '../tts/contract.ts'
import { elevenlabsVoice } from '../tts/elevenlabs/index.ts'
import { EspeakPool, espeakEngine } from '../tts/espeak/index.ts'
import { googleVoice } from '../tts/google/index.ts'
import { kokoroVoice } from '../tts/kokoro/index.ts'
import { OnnxRunner } from '../tts/onnx/runner.ts'
import { openaiVoice } from '../tts/openai/index.ts'
import { piperVoice } from '../tts/piper/index.ts'
import { pollyVoice } from '../tts/polly/index.ts'
import type { SpeechHouseSettings, SttName, SttWish, TtsName, TtsWish } from './contract.ts'

export const BASE_URLS = { openai: 'https://api.openai.com/v1', elevenlabs: 'https://api.elevenlabs.io', googleTts: 'https://texttospeech.googleapis.com' }

/** OpenAI's recognition; `openaiModel` instead of the installation's for one asker. */
export function openaiEars({ openai }: SpeechHouseSettings, { openaiModel }: SttWish = {}): SttEngine | undefined {
  const model = openaiModel ?? openai?.sttModel
  return openai && openaiStt({ apiKey: openai.apiKey, baseUrl: openai.baseUrl ?? BASE_URLS.openai, ...(model ? { model } : {}) })
}

export function openaiSpeaker({ openai }: SpeechHouseSettings, { openaiModel, instructions }: TtsWish = {}): TtsEngine | undefined {
  const model = openaiModel ?? openai?.ttsModel
  return openai && openaiVoice({ apiKey: openai.apiKey, baseUrl: openai.baseUrl ?? BASE_URLS.openai, ...(model ? { model } : {}), ...(instructions ? { instructions } : {}) })
}

/** Recognisers that are set up, and the local one by itself: it has to be loaded and closed. */
export function buildEars(settings: SpeechHouseSettings): { engines: Map<SttName, SttEngine>; whisper: WhisperEngine | undefined } {
  const { deepgram, google, compatible, whisperDir, device } = settings
  const whisper = whisperDir ? whisperStt({ directory: whisperDir, ...(device ? { device } : {}) }) : undefined
  const engines = present<SttName, SttEngine>({
    openai: openaiEars(settings),
    deepgram: deepgram && deepgramStt(deepgram),
    google: google && googleStt({ credentials: { apiKey: google.apiKey }, ...(google.sttBaseUrl ? { baseUrl: google.sttBaseUrl } : {}) }),
    compatible: compatible && compatibleStt(compatible),
    whisper,
  })
  return { engines, whisper }
}

export type Voices = { engines: Map<TtsName, TtsEngine>; espeak: EspeakPool; runner: OnnxRunner | undefined }

export function buildVoices(settings: SpeechHouseSettings): Voices {
  const { elevenlabs, google, polly, kokoroDir, piperDir, device = 'cpu' } = settings
  const espeak = new EspeakPool()
  const runner = kokoroDir || piperDir ? new OnnxRunner() : undefined
  const engines = present<TtsName, TtsEngine>({
    openai: openaiSpeaker(settings),
    elevenlabs: elevenlabs && elevenlabsVoice({ baseUrl: BASE_URLS.elevenlabs, ...elevenlabs }),
    google: google && googleVoice({ baseUrl: google.ttsBaseUrl ?? BASE_URLS.googleTts, credentials: { apiKey: google.apiKey } }),
    polly: polly && pollyVoice(polly),
    kokoro: kokoroDir && runner ? kokoroVoice({ directory: kokoroDir, runner, espeak, device }) : undefined,
    piper: piperDir && runner ? piperVoice({ directory: piperDir, runner, espeak, device }) : undefined,
    espeak: espeakEngine({ pool: espeak }),
  })
  return { engines, espeak, runner }
}

/** Those of the order that are set up; others are told to the log, once, when the house opens. */
export function ordered<Name extends string>(order: readonly Name[], engines: ReadonlyMap<Name, unknown>, log?: Logger): Name[] {
  const missing = order.filter((name) => !engines.has(name))
  if (missing.length > 0) log?.warn({ missing }, 'engines of speech are named in the order and not set up')
  return [...new Set(order)].filter((name) => engines.has(name))
}

const present = <Name extends string, Engine>(all: Record<Name, Engine | undefined>): Map<Name, Engine> => new Map((Object.entries(all) as [Name, Engine | undefined][]).flatMap(([name, engine]) => (engine ? [[name, engine]] : [])))
