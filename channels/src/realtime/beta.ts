import { betaSession, betaSessionPatch, betaTranscriptionPatch, betaTranscriptionSession, fromModalities } from './beta-session.ts'
import type { WireItem, WirePart } from './items.ts'
import type { ServerEvent, WireResponse } from './server-events.ts'

/**
 * The protocol of before GA (removed at OpenAI on 12 May 2026), as a renaming in front of the session: clients that were
 * never updated speak to the same machine. Only behind a switch; GA is the default.
 */
type Fields = Record<string, unknown>

const isFields = (value: unknown): value is Fields => typeof value === 'object' && value !== null && !Array.isArray(value)

/** A beta client event in GA's words. What is not understood stays as it is: the GA schema then says what is wrong with it. */
export function fromBeta(event: unknown): unknown {
  if (!isFields(event)) return event
  switch (event.type) {
    case 'session.update':
      return isFields(event.session) ? { ...event, session: betaSessionPatch(event.session) } : event
    case 'transcription_session.update':
      return isFields(event.session)
        ? { ...event, type: 'session.update', session: betaTranscriptionPatch(event.session) }
        : { ...event, type: 'session.update' }
    case 'conversation.item.create':
      return { ...event, item: gaItem(event.item) }
    case 'response.create':
      return isFields(event.response) ? { ...event, response: gaResponse(event.response) } : event
    default:
      return event
  }
}

/** Beta's assistant parts are `text` and `audio`. */
function gaItem(item: unknown): unknown {
  if (!isFields(item) || item.role !== 'assistant' || !Array.isArray(item.content)) return item
  const content = item.content.map((part: unknown) =>
    isFields(part) ? { ...part, type: part.type === 'text' ? 'output_text' : part.type === 'audio' ? 'output_audio' : part.type } : part,
  )
  return { ...item, content }
}

function gaResponse(response: Fields): Fields {
  const { type: _type, audio, output_modalities, max_output_tokens, ...session } = betaSessionPatch(response)
  const tokens = response.max_output_tokens ?? max_output_tokens
  return {
    ...session,
    ...(output_modalities === undefined ? {} : { output_modalities }),
    ...(tokens === undefined ? {} : { max_output_tokens: tokens }),
    ...(isFields(audio) && audio.output ? { audio: { output: audio.output } } : {}),
    ...(Array.isArray(response.input) ? { input: response.input.map(gaItem) } : {}),
  }
}

/** Names that only changed. */
const RENAMED: Record<string, string> = {
  'response.output_text.delta': 'response.text.delta',
  'response.output_text.done': 'response.text.done',
  'response.output_audio.delta': 'response.audio.delta',
  'response.output_audio.done': 'response.audio.done',
  'response.output_audio_transcript.delta': 'response.audio_transcript.delta',
  'response.output_audio_transcript.done': 'response.audio_transcript.done',
}

/** One of our events as a beta client knows it, or null for what beta did not have. */
export function toBeta(event: ServerEvent): Fields | null {
  const renamed = RENAMED[event.type]
  if (renamed) return { ...event, type: renamed }
  switch (event.type) {
    case 'session.created':
    case 'session.updated':
      return event.session.type === 'realtime'
        ? { ...event, session: betaSession(event.session) }
        : { ...event, type: `transcription_${event.type}`, session: betaTranscriptionSession(event.session) }
    // Beta told of an item once, when it appeared.
    case 'conversation.item.added':
      return { ...event, type: 'conversation.item.created', item: betaItem(event.item) }
    case 'conversation.item.done':
      return null
    case 'conversation.item.created':
    case 'conversation.item.retrieved':
    case 'response.output_item.added':
    case 'response.output_item.done':
      return { ...event, item: betaItem(event.item) }
    case 'response.created':
    case 'response.done':
      return { ...event, response: betaResponse(event.response) }
    default:
      return { ...event }
  }
}

function betaItem(item: WireItem): Fields {
  return item.type === 'message' ? { ...item, content: item.content.map(betaPart) } : { ...item }
}

function betaPart(part: WirePart): Fields {
  if (part.type === 'output_text') return { ...part, type: 'text' }
  return part.type === 'output_audio' ? { ...part, type: 'audio' } : { ...part }
}

function betaResponse({ audio, output_modalities, output, ...response }: WireResponse): Fields {
  const format = { 'audio/pcm': 'pcm16', 'audio/pcmu': 'g711_ulaw', 'audio/pcma': 'g711_alaw' }[audio.output.format.type]
  return {
    ...response,
    output: output.map(betaItem),
    modalities: fromModalities(output_modalities),
    voice: audio.output.voice,
    output_audio_format: format,
    temperature: 0.8,
  }
}
