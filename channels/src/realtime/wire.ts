/** The OpenAI Realtime protocol (GA) as schemas: what comes in, what goes out, and what both are made of. */
export { AudioFormat, bytesPerMs, decodeAudio } from './audio.ts'
export { CLIENT_EVENTS, ResponseSettings, type ClientEvent, type ClientEventOf, type ClientEventType } from './client-events.ts'
export { ItemInput, WireItem, WirePart } from './items.ts'
export { LIMITS } from './limits.ts'
export {
  SERVER_EVENTS,
  serverEvent,
  WireError,
  WireResponse,
  WireSession,
  type Logprob,
  type ServerEvent,
  type ServerEventFields,
  type ServerEventOf,
  type ServerEventType,
} from './server-events.ts'
export {
  realtimeDefaults,
  RealtimeConfig,
  SessionConfig,
  TranscriptionConfig,
  transcriptionDefaults,
  TurnDetection,
  USUAL,
  type Transcription,
} from './session-config.ts'
export { mergeRealtime, mergeTranscription, SessionPatch } from './session-patch.ts'
export { FunctionTool, ToolChoice } from './tools.ts'
export { RateLimit, ResponseUsage, responseUsage, TranscriptionUsage, transcriptionUsage, type MeasuredTokens, type MeasuredTranscription } from './usage.ts'
