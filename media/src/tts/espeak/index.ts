import { SpeechError } from '../../stt/contract.ts'
import type { SpeechFailure } from '../../stt/contract.ts'
import type { SpokenSpan, TtsEngine, TtsOptions, Voice } from '../contract.ts'
import { ttsEngine, type EngineSettings } from '../engine.ts'
import { LOCAL_DEADLINES, SPOKEN_PAUSES, type Piece, type Said, type VoicePart } from '../part.ts'
import type { EspeakPool } from './pool.ts'
import type { EspeakVoice, SayRequest } from './protocol.ts'
import { WordTimes } from './words.ts'

export { EspeakPool, type PoolOptions } from './pool.ts'

export type EspeakSettings = {
  pool: EspeakPool
  /** 0 to 99; 50 is the voice's own. */
  pitch?: number
  /** Melody: 0 (flat) to 99; 50 is the voice's own. */
  range?: number
  engine?: Partial<EngineSettings>
}

const SAMPLE_RATE_HZ = 22_050
/** Words per minute at speed 1, and the limits of the library (speak_lib.h). */
const WORDS_PER_MINUTE = 175
const RATE_MIN = 80
const RATE_MAX = 450
const DEFAULT_VOICE = 'en-us'

/** The embedded voice: any of espeak's languages without a key, with exact times of words. `voice`: `de`, `en-us`, with a variant `en-us+f3`; empty: the language's. */
export function espeakEngine(settings: EspeakSettings): TtsEngine {
  return ttsEngine(espeakPart(settings), settings.engine)
}

function espeakPart({ pool, pitch = 50, range = 50 }: EspeakSettings): VoicePart {
  return {
    id: 'espeak',
    model: 'espeak-ng',
    maxChars: 300,
    ahead: 0,
    // It reads numbers by itself.
    spokenForm: { contacts: true, numbers: false },
    deadlines: LOCAL_DEADLINES,
    pauses: SPOKEN_PAUSES,
    sampleRateHz: () => SAMPLE_RATE_HZ,
    voices: async () => (await pool.voices()).map(voiceOf),
    say: (piece, options, signal) => say(pool, piece, options, { pitch, range }, signal),
    failure,
  }
}

async function* say(pool: EspeakPool, { text }: Piece, options: Omit<TtsOptions, 'signal'>, tone: Pick<SayRequest, 'pitch' | 'range'>, signal: AbortSignal): AsyncGenerator<Said> {
  const clean = harmless(text)
  const words = new WordTimes(clean)
  for await (const sound of pool.say({ text: clean, voice: voiceName(options), rate: rateOf(options.speed), sound: true, ...tone }, signal)) {
    if ('pcm' in sound) yield { type: 'audio', pcm: sound.pcm }
    else yield* spansOf(words.push(sound.marks))
  }
}

const spansOf = (spans: SpokenSpan[]): Said[] => (spans.length > 0 ? [{ type: 'spans', spans }] : [])

/** Espeak reads `<...>` as SSML and `[[...]]` as phonemes. Every character is replaced by one, so that positions stay. */
export const harmless = (text: string): string => text.toWellFormed().replaceAll(/[<>[\]\0\uFFFD]/gu, ' ')

export const rateOf = (speed: number): number => Math.round(Math.min(RATE_MAX, Math.max(RATE_MIN, WORDS_PER_MINUTE * speed)))

/** Espeak's names of languages are tags in lower case. */
const voiceName = ({ voice, language }: Pick<TtsOptions, 'voice' | 'language'>): string => (voice || language || DEFAULT_VOICE).replace(/^[^+]*/u, (name) => name.toLowerCase())

function voiceOf({ name, identifier, languages }: EspeakVoice): Voice {
  const language = languages.toSorted((a, b) => a.priority - b.priority)[0]?.name ?? identifier
  return { id: language, name, language: canonical(language), gender: null }
}

/** `en-us` -> `en-US`; what is no BCP 47 tag stays as it is. */
function canonical(tag: string): string {
  try {
    return Intl.getCanonicalLocales(tag)[0] ?? tag
  } catch {
    return tag
  }
}

const failure = (error: unknown): SpeechFailure => (error instanceof SpeechError ? error.failure : { code: 'unavailable', message: 'espeak failed', requestId: null })
