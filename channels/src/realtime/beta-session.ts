import type { AudioFormat } from './audio.ts'
import type { WireSession } from './server-events.ts'

/**
 * The flat session of before GA (`openai` npm, RealtimeSession and TranscriptionSessionUpdate) and its GA counterpart.
 * Source of the pairs: the migration notes in `openai` npm's types and the reference of both shapes. Pure renaming:
 * what is wrong in a value is found afterwards, by the GA schema.
 */
type Fields = Record<string, unknown>

const FORMATS = { pcm16: { type: 'audio/pcm', rate: 24_000 }, g711_ulaw: { type: 'audio/pcmu' }, g711_alaw: { type: 'audio/pcma' } } as const
const NAMES = { 'audio/pcm': 'pcm16', 'audio/pcmu': 'g711_ulaw', 'audio/pcma': 'g711_alaw' } as const

/** A name that is none stays as it is, for the schema to refuse. */
const toFormat = (name: unknown): unknown => (typeof name === 'string' && Object.hasOwn(FORMATS, name) ? FORMATS[name as keyof typeof FORMATS] : name)
const fromFormat = (format: AudioFormat): string => NAMES[format.type]

/** Beta's ["text", "audio"] is GA's ["audio"]: speech always comes with its words. */
export const toModalities = (list: unknown): unknown => (Array.isArray(list) && list.includes('audio') ? ['audio'] : list)
export const fromModalities = (list: readonly ('text' | 'audio')[]): string[] => (list.includes('audio') ? ['text', 'audio'] : ['text'])

function renamed(fields: Fields, names: Record<string, string>): Fields {
  return Object.fromEntries(Object.entries(fields).flatMap(([key, value]) => (Object.hasOwn(names, key) ? [[names[key]!, value]] : [])))
}

const without = (fields: Fields, names: readonly string[]): Fields => Object.fromEntries(Object.entries(fields).filter(([key]) => !names.includes(key)))
const some = (name: string, fields: Fields): Fields => (Object.keys(fields).length > 0 ? { [name]: fields } : {})

const INPUT = {
  input_audio_format: 'format',
  input_audio_transcription: 'transcription',
  input_audio_noise_reduction: 'noise_reduction',
  turn_detection: 'turn_detection',
}
const OUTPUT = { output_audio_format: 'format', voice: 'voice', speed: 'speed' }
/** GA has no temperature; who echoes a whole session back sends what only we may set. */
const DROPPED = ['temperature', 'id', 'object', 'expires_at', 'client_secret']

const formatted = (fields: Fields): Fields => ('format' in fields ? { ...fields, format: toFormat(fields.format) } : fields)

export function betaSessionPatch(session: Fields): Fields {
  const moved = [...Object.keys(INPUT), ...Object.keys(OUTPUT), ...DROPPED, 'modalities', 'max_response_output_tokens']
  const audio = { ...some('input', formatted(renamed(session, INPUT))), ...some('output', formatted(renamed(session, OUTPUT))) }
  return {
    ...without(session, moved),
    type: 'realtime',
    ...('modalities' in session ? { output_modalities: toModalities(session.modalities) } : {}),
    ...('max_response_output_tokens' in session ? { max_output_tokens: session.max_response_output_tokens } : {}),
    ...some('audio', audio),
  }
}

export function betaTranscriptionPatch(session: Fields): Fields {
  const input = formatted(renamed(session, INPUT))
  return { ...without(session, [...Object.keys(INPUT), ...DROPPED, 'modalities']), type: 'transcription', ...some('audio', some('input', input)) }
}

type RealtimeWire = Extract<WireSession, { type: 'realtime' }>
type TranscriptionWire = Extract<WireSession, { type: 'transcription' }>

/** 0.8 was beta's default and only sensible value for sound; it is shown because beta's schema has it. */
export function betaSession({
  id,
  model,
  expires_at,
  output_modalities,
  instructions,
  tools,
  tool_choice,
  max_output_tokens,
  tracing,
  prompt,
  include,
  audio,
}: RealtimeWire): Fields {
  return {
    id,
    object: 'realtime.session',
    model,
    expires_at,
    modalities: fromModalities(output_modalities),
    instructions,
    voice: typeof audio.output.voice === 'string' ? audio.output.voice : audio.output.voice.id,
    speed: audio.output.speed,
    output_audio_format: fromFormat(audio.output.format),
    ...betaInput(audio.input),
    tools,
    tool_choice: typeof tool_choice === 'string' ? tool_choice : tool_choice.name,
    temperature: 0.8,
    max_response_output_tokens: max_output_tokens,
    tracing,
    prompt,
    include,
  }
}

export function betaTranscriptionSession({ id, expires_at, include, audio }: TranscriptionWire): Fields {
  return { id, object: 'realtime.transcription_session', expires_at, modalities: ['text'], ...betaInput(audio.input), include }
}

const betaInput = ({ format, transcription, noise_reduction, turn_detection }: RealtimeWire['audio']['input']): Fields => ({
  input_audio_format: fromFormat(format),
  input_audio_transcription: transcription,
  input_audio_noise_reduction: noise_reduction,
  turn_detection,
})
