import { AppError, SttEngineId, TtsEngineId } from '@trunkline/core'
import type { EngineInfo, SpeechFor, SttName, TtsName, VoiceChoice, VoiceInfo } from '@trunkline/media'

// Clients of OpenAI's API name OpenAI's models and voices. Here a model's name is a wish: OpenAI's are asked of OpenAI where it is set up and of the
// installation's other engines where it is not; an engine's id, or its model's name, chooses that engine.

const OPENAI_STT = /^(whisper-1|gpt-transcribe|gpt-4o(-mini)?-transcribe(-\d{4}-\d{2}-\d{2})?)$/
const OPENAI_TTS = /^(tts-1(-hd)?|gpt-4o-mini-tts)(-\d{4}-\d{2}-\d{2})?$/
/** The one of OpenAI's that tells when words were spoken (API reference, createTranscription). */
const OPENAI_TIMED = 'whisper-1'
/** Text-to-speech guide. Whoever asks for one of these is understood everywhere. */
export const OPENAI_VOICES = ['alloy', 'ash', 'ballad', 'cedar', 'coral', 'echo', 'fable', 'marin', 'nova', 'onyx', 'sage', 'shimmer', 'verse'] as const

export type SttChoice = { order: SttName[]; openaiModel?: string; engines: EngineInfo<SttName>[] }
export type TtsChoice = { order: VoiceChoice[]; voice: string; openaiModel?: string; engines: EngineInfo<TtsName>[] }

const NO_EARS = 'Nobody here can hear: this installation has no recogniser. Its operator sets one up with DEEPGRAM_API_KEY, OPENAI_API_KEY, GOOGLE_SPEECH_API_KEY, STT_COMPATIBLE_BASE_URL or WHISPER_DIR.'

/** `timed`: the answer tells when words were spoken. Throws AppError. */
export function chooseEars(house: Pick<SpeechFor, 'engines'>, model: string, timed: boolean): SttChoice {
  const all = house.engines().stt
  if (all.length === 0) throw new AppError('invalid_state', { message: NO_EARS })
  if (OPENAI_STT.test(model)) {
    const openaiModel = timed ? OPENAI_TIMED : model
    const engines = preferred(all, 'openai').map((info) => (info.engine === 'openai' ? { ...info, model: openaiModel } : info))
    return { order: engines.map(({ engine }) => engine), openaiModel, engines }
  }
  const engine = named(all, model)
  if (!engine) throw unknownModel(model, all, ['whisper-1', 'gpt-4o-transcribe', 'gpt-4o-mini-transcribe'], SttEngineId.options.includes(model as SttName))
  const asked = engine.engine === 'openai' && timed ? { ...engine, model: OPENAI_TIMED } : engine
  return { order: [asked.engine], engines: [asked], ...(asked === engine ? {} : { openaiModel: OPENAI_TIMED }) }
}

/** `voice`: its id, or `engine:id` where two engines share one. Throws AppError. */
export async function chooseVoice(house: Pick<SpeechFor, 'engines' | 'voices'>, model: string, voice: string): Promise<TtsChoice> {
  const all = house.engines().tts
  const isOpenai = OPENAI_TTS.test(model)
  const only = isOpenai ? undefined : named(all, model)
  if (!isOpenai && !only) throw unknownModel(model, all, ['tts-1', 'tts-1-hd', 'gpt-4o-mini-tts'], TtsEngineId.options.includes(model as TtsName))
  const candidates = only ? [only] : preferred(all, 'openai')
  const owner = await ownerOf(house, candidates, voice)
  const engines = candidates.map((info) => (info.engine === 'openai' && isOpenai ? { ...info, model } : info))
  const wish = isOpenai ? { openaiModel: model } : {}
  // Nobody's own, but known: each engine takes a voice of its language.
  if (!owner) return { order: engines.map(({ engine }) => ({ engine, voice_id: null })), voice: '', engines, ...wish }
  const others = engines.filter(({ engine }) => engine !== owner.engine)
  const order = [{ engine: owner.engine, voice_id: owner.voice }, ...others.map(({ engine }) => ({ engine, voice_id: null }))]
  return { order, voice: '', engines: [...engines.filter(({ engine }) => engine === owner.engine), ...others], ...wish }
}

async function ownerOf(house: Pick<SpeechFor, 'voices'>, candidates: readonly EngineInfo<TtsName>[], voice: string): Promise<{ engine: TtsName; voice: string } | null> {
  const [prefix, rest] = [voice.split(':', 1)[0]!, voice.slice(voice.indexOf(':') + 1)]
  const named = voice.includes(':') ? candidates.find(({ engine }) => engine === prefix) : undefined
  // Told by name, an engine is believed: it may have voices that its list does not show.
  if (named) return { engine: named.engine, voice: rest }
  const voices = await house.voices()
  const owner = candidates.find(({ engine }) => voices.some((info) => info.engine === engine && isVoice(info, voice)))
  if (owner) return { engine: owner.engine, voice }
  if ((OPENAI_VOICES as readonly string[]).includes(voice)) return null
  throw new AppError('invalid_request', { message: `There is no voice of this name${candidates.length === 1 ? ` at ${candidates[0]!.engine}` : ''}. GET /v1/tts/voices lists them.`, param: 'body.voice' })
}

/** `en-us+f3` is a variant of `en-us`. */
const isVoice = ({ id }: VoiceInfo, voice: string): boolean => id === voice || id === voice.split(/[+#]/, 1)[0]

const named = <Name extends string>(all: readonly EngineInfo<Name>[], model: string) => all.find((info) => info.engine === model || info.model === model)
const preferred = <Name extends string>(all: readonly EngineInfo<Name>[], first: Name) => all.toSorted((a, b) => Number(b.engine === first) - Number(a.engine === first))

function unknownModel(model: string, all: readonly EngineInfo<string>[], openai: readonly string[], known: boolean): AppError {
  const possible = [...openai, ...new Set(all.flatMap((info) => [info.engine, info.model]))].filter((name, at, names) => names.indexOf(name) === at)
  const message = known ? `The engine ${model} is not set up here. Possible: ${possible.join(', ')}.` : `There is no model of this name here. Possible: ${possible.join(', ')}.`
  return new AppError('invalid_request', { message, param: 'body.model' })
}
