import { z } from 'zod'
import { SpeechError } from '../../stt/contract.ts'
import type { SpeechFailure } from '../../stt/contract.ts'
import { wavPcm } from '../container.ts'
import type { SpokenSpan, TtsEngine, TtsOptions, Voice } from '../contract.ts'
import { ttsEngine, type EngineSettings } from '../engine.ts'
import { socketFailure, speechError } from '../failure.ts'
import { call, readAll, type HttpCall } from '../http.ts'
import { NO_PAUSES, REMOTE_DEADLINES, type Deadlines, type Piece, type Said, type VoicePart } from '../part.ts'

export type GoogleVoiceSettings = {
  /** `https://texttospeech.googleapis.com`. */
  baseUrl: string
  /** An API key, or what gives an access token of a service account. */
  credentials: { apiKey: string } | { accessToken: () => Promise<string> }
  /** For addresses that a tenant typed in: a guarded one. */
  dispatcher?: HttpCall['dispatcher']
  deadlines?: Partial<Deadlines>
  engine?: Partial<EngineSettings>
}

const ID = 'google'
const DEFAULT_VOICE = 'en-US-Neural2-C'
/** Of 20 s of speech at 48 kHz in base64, and much room. */
const MAX_ANSWER_BYTES = 16 * 1024 * 1024
const SPEED_MAX = 2

/** Google's voices over REST. The whole of a sentence comes at once; times of words by SSML marks (v1beta1). */
export function googleVoice(settings: GoogleVoiceSettings): TtsEngine {
  return ttsEngine(googlePart(settings), settings.engine)
}

function googlePart(settings: GoogleVoiceSettings): VoicePart {
  return {
    id: ID,
    model: 'text-to-speech',
    // 5,000 bytes with the marks (quotas); a character may have four bytes, and a word of one letter carries a mark of 17.
    maxChars: 200,
    ahead: 1,
    spokenForm: { contacts: true, numbers: false },
    // Not streamed: the answer begins when the sentence is finished.
    deadlines: { ...REMOTE_DEADLINES, openMs: 8_000, ...settings.deadlines },
    pauses: NO_PAUSES,
    sampleRateHz: (wanted) => wanted,
    voices: (signal) => voices(settings, signal),
    say: (piece, options, signal) => say(settings, piece, options, signal),
    failure: failureOf,
  }
}

const Answer = z.object({ audioContent: z.string(), timepoints: z.array(z.object({ markName: z.string().default(''), timeSeconds: z.number().default(0) })).default([]) })

async function* say(settings: GoogleVoiceSettings, { text }: Piece, options: Omit<TtsOptions, 'signal'>, signal: AbortSignal): AsyncGenerator<Said> {
  const name = options.voice || DEFAULT_VOICE
  const words = wordsOf(text)
  const body = {
    input: takesMarks(name) ? { ssml: markedSsml(text, words) } : { text },
    voice: { name, languageCode: name.split('-').slice(0, 2).join('-') },
    audioConfig: { audioEncoding: 'LINEAR16', sampleRateHertz: options.sampleRateHz, speakingRate: Math.min(SPEED_MAX, options.speed) },
    ...(takesMarks(name) ? { enableTimePointing: ['SSML_MARK'] } : {}),
  }
  const { body: answer } = await call({ engine: ID, url: `${settings.baseUrl}/v1beta1/text:synthesize`, headers: await authorization(settings), body, signal, requestIdHeader: null, dispatcher: settings.dispatcher })
  yield { type: 'open', requestId: null }
  const { audioContent, timepoints } = Answer.parse(JSON.parse((await readAll(answer, MAX_ANSWER_BYTES)).toString('utf8')))
  const sound = wavPcm(Buffer.from(audioContent, 'base64'))
  if (sound?.sampleRateHz !== options.sampleRateHz) throw speechError('unavailable', `${ID} sent something that is not the sound we asked for`)
  yield { type: 'audio', pcm: sound.pcm }
  const spans = spansOf(words, timepoints, (sound.pcm.length / options.sampleRateHz) * 1_000)
  if (spans.length > 0) yield { type: 'spans', spans }
}

/** Chirp and Gemini voices know no marks (documentation, "Chirp 3: HD voices"): plain text, estimated times. */
const takesMarks = (voice: string): boolean => !/chirp|gemini|journey/i.test(voice)

async function authorization({ credentials }: GoogleVoiceSettings): Promise<Record<string, string>> {
  return 'apiKey' in credentials ? { 'x-goog-api-key': credentials.apiKey } : { authorization: `Bearer ${await credentials.accessToken()}` }
}

type Word = { charStart: number; charEnd: number }
const wordsOf = (text: string): Word[] => [...text.matchAll(/\S+/gu)].map((match) => ({ charStart: match.index, charEnd: match.index + match[0].length }))

const ESCAPES: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&apos;' }
/** XML has no control characters besides white space (XML 1.0 §2.2). */
const escape = (text: string): string => text.toWellFormed().replaceAll(/[&<>"']/gu, (sign) => ESCAPES[sign]!).replaceAll(/[\0-\x08\x0B\x0C\x0E-\x1F\uFFFE\uFFFF]/gu, ' ')

/** A mark before every word, and one at the end. */
export function markedSsml(text: string, words: readonly Word[]): string {
  const body = words.map(({ charStart, charEnd }, index) => `<mark name="${index}"/>${escape(text.slice(charStart, charEnd))}`).join(' ')
  return `<speak>${body}<mark name="end"/></speak>`
}

/** A word lasts until the next begins: nothing is told of its end. */
function spansOf(words: readonly Word[], points: readonly { markName: string; timeSeconds: number }[], endMs: number): SpokenSpan[] {
  const known = points.filter(({ markName }) => /^\d+$/.test(markName) && Number(markName) < words.length).sort((a, b) => Number(a.markName) - Number(b.markName))
  const lastMs = Math.min(endMs, (points.find(({ markName }) => markName === 'end')?.timeSeconds ?? Infinity) * 1_000)
  return known.map(({ markName, timeSeconds }, index) => ({ ...words[Number(markName)]!, startMs: timeSeconds * 1_000, endMs: Math.max(timeSeconds * 1_000, (known[index + 1]?.timeSeconds ?? lastMs / 1_000) * 1_000) }))
}

const VoiceList = z.object({ voices: z.array(z.object({ name: z.string(), languageCodes: z.array(z.string()).min(1), ssmlGender: z.string().optional() })).default([]) })
const GENDERS: Record<string, Voice['gender']> = { FEMALE: 'female', MALE: 'male', NEUTRAL: 'neutral' }

async function voices(settings: GoogleVoiceSettings, signal: AbortSignal): Promise<Voice[]> {
  try {
    const { body } = await call({ engine: ID, url: `${settings.baseUrl}/v1beta1/voices`, method: 'GET', headers: await authorization(settings), signal, requestIdHeader: null, dispatcher: settings.dispatcher })
    const list = VoiceList.parse(JSON.parse((await readAll(body, MAX_ANSWER_BYTES)).toString('utf8')))
    return list.voices.map(({ name, languageCodes, ssmlGender = '' }) => ({ id: name, name, language: languageCodes[0]!, gender: GENDERS[ssmlGender] ?? null }))
  } catch (error) {
    throw error instanceof SpeechError ? error : new SpeechError(failureOf(error), { cause: error })
  }
}

const failureOf = (error: unknown): SpeechFailure => (error instanceof RangeError || error instanceof SyntaxError || error instanceof z.ZodError ? { code: 'unavailable', message: `${ID} sent something that cannot be read`, requestId: null } : socketFailure(ID, error))
