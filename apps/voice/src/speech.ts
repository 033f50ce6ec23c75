import { Breakers, type Clock, type Logger } from '@trunkline/core'
import { createEnergyVad, createSttChain, createTtsChain, deepgramStt, EspeakPool, espeakEngine, openaiStt, openaiVoice, type SttEngine, type TtsEngine, type Vad, type VoiceLink } from '@trunkline/media'
import type { VoiceEnv } from './env.ts'

/** Ears and voices of this process, for all its calls and sessions. */
export type Speech = { vad: Vad; stt: SttEngine | null; tts: TtsEngine; close(): Promise<void> }

const OPENAI = 'https://api.openai.com/v1'

/** In the order of preference; the embedded voice is always the last, so that there is one without any key. Recognition needs a supplier: null. */
export function openSpeech(env: VoiceEnv, clock: Clock, log: Logger): Speech {
  const breakers = new Breakers(clock)
  const espeak = new EspeakPool()
  const vad = createEnergyVad()
  const ears: SttEngine[] = []
  const voices: VoiceLink[] = []
  if (env.DEEPGRAM_API_KEY) ears.push(deepgramStt({ apiKey: env.DEEPGRAM_API_KEY, ...(env.DEEPGRAM_BASE_URL ? { baseUrl: env.DEEPGRAM_BASE_URL } : {}) }))
  if (env.OPENAI_API_KEY) {
    const baseUrl = env.OPENAI_BASE_URL ?? OPENAI
    ears.push(openaiStt({ apiKey: env.OPENAI_API_KEY, baseUrl }))
    voices.push({ engine: openaiVoice({ apiKey: env.OPENAI_API_KEY, baseUrl }), voice: null })
  }
  voices.push({ engine: espeakEngine({ pool: espeak }), voice: '' })
  return {
    vad,
    stt: ears.length > 0 ? createSttChain(ears, { breakers, clock, log }) : null,
    tts: createTtsChain(voices, { breakers, clock, log }),
    async close() {
      await vad.close()
      espeak.close()
    },
  }
}
