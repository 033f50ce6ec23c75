import { z } from 'zod'
import type { Micros } from './money.ts'

/** Telephony suppliers that a number can be at. */
export const CarrierId = z.enum(['twilio', 'telnyx'])
export type CarrierId = z.infer<typeof CarrierId>

export const CallDirection = z.enum(['inbound', 'outbound'])
export type CallDirection = z.infer<typeof CallDirection>

/** The first three are of a live call; it ends in one of the others and stays there. */
export const CallStatus = z.enum(['initiated', 'ringing', 'in_progress', 'completed', 'failed', 'busy', 'no_answer', 'cancelled'])
export type CallStatus = z.infer<typeof CallStatus>
export type EndedCallStatus = Exclude<CallStatus, 'initiated' | 'ringing' | 'in_progress'>

/** Why a call is over, or was never taken. A published word keeps its meaning. */
export const CallEndReason = z.enum([
  'caller_hung_up', 'agent_hung_up', 'hung_up_by_api', 'transferred', 'silence', 'max_duration', 'voicemail',
  'busy', 'no_answer', 'rejected', 'cancelled', 'unreachable', 'carrier_failed', 'line_lost', 'process_lost',
  // Refused before it was answered.
  'number_inactive', 'tenant_suspended', 'no_agent', 'number_busy', 'tenant_busy', 'insufficient_credit', 'no_recogniser',
])
export type CallEndReason = z.infer<typeof CallEndReason>

/** What a call costs, by who is paid. */
export const CALL_COST_PARTS = ['carrier', 'stt', 'tts', 'model'] as const
export type CallCostPart = (typeof CALL_COST_PARTS)[number]
export type CallCost = Record<CallCostPart, Micros>

/** What happened at which moment of a call. What was said is no event: that is a message. */
export const CallEventKind = z.enum(['status', 'turn', 'interrupted', 'incident', 'dtmf', 'transfer', 'recording', 'machine', 'credit', 'note'])
export type CallEventKind = z.infer<typeof CallEventKind>

/** `none`: not recorded. `recording` without a process that does it is found by the recovery of the call. */
export const RecordingState = z.enum(['none', 'recording', 'stored', 'failed'])
export type RecordingState = z.infer<typeof RecordingState>

/** When a part of a text was spoken: `text.slice(charStart, charEnd)`, milliseconds of the call. It holds no words itself. */
export const WordSpan = z.object({
  charStart: z.number().int().nonnegative(),
  charEnd: z.number().int().nonnegative(),
  startMs: z.number().nonnegative(),
  endMs: z.number().nonnegative(),
  confidence: z.number().nullable(),
  /** Nobody measured it: by the length of the words. */
  estimated: z.boolean().default(false),
})
export type WordSpan = z.infer<typeof WordSpan>

type TimedWord = { text: string; startMs: number; endMs: number; confidence: number | null }

/** A recogniser's words as spans of the text they make up, in order. A word that the text does not hold (a vendor's own spelling) is left out. */
export function wordSpans(text: string, words: readonly TimedWord[]): WordSpan[] {
  const fold = foldOf(text)
  const folded = fold(text)
  let from = 0
  return words.flatMap(({ text: word, startMs, endMs, confidence }) => {
    const charStart = folded.indexOf(fold(word.trim()), from)
    if (word.trim() === '' || charStart < 0) return []
    from = charStart + word.trim().length
    return [{ charStart, charEnd: from, startMs, endMs, confidence, estimated: false }]
  })
}

/** Small letters, unless they are more characters than the text has (Turkish İ): then its places would be others. */
const foldOf = (text: string) => (part: string): string => (text.toLowerCase().length === text.length ? part.toLowerCase() : part)

/** E.164 as telephone suppliers write it. */
export const E164 = z.string().regex(/^\+[1-9]\d{4,17}$/, 'a number in E.164 (+4722334455)')

export const SttEngineId = z.enum(['openai', 'deepgram', 'google', 'compatible', 'whisper'])
export const TtsEngineId = z.enum(['openai', 'elevenlabs', 'google', 'polly', 'kokoro', 'piper', 'espeak'])

const language = z.string().regex(/^[a-zA-Z]{2,3}(-[a-zA-Z0-9]{2,8})*$/, 'a language tag (BCP 47), like en-GB')

/** How a number sounds and listens. Engines are tried in the order given; an empty list: in the order of the installation. */
const Voice = z.strictObject({
  stt: z.array(SttEngineId).max(5).default([]),
  /** A voice's id is its engine's own word; null: the engine's first voice of the language. */
  tts: z.array(z.strictObject({ engine: TtsEngineId, voice_id: z.string().min(1).max(128).nullable().default(null) })).max(5).default([]),
  speed: z.number().min(0.5).max(2).default(1),
  /** Null: the recogniser finds out. */
  language: language.nullable().default(null),
})

/** Settings of a number of type `voice`, under the names of the wire, like every number's settings. */
export const VoiceSettings = z.strictObject({
  carrier: CarrierId,
  /** The carrier's own settings; its folder says what they are. */
  carrier_settings: z.record(z.string(), z.unknown()).default({}),
  voice: Voice.prefault({}),
  /** Said at once when the line is open; null: the caller begins. */
  greeting: z.string().trim().min(1).max(1_000).nullable().default(null),
  recording: z.strictObject({
    enabled: z.boolean().default(false),
    /** Said before anything is recorded. */
    announcement: z.string().trim().min(1).max(1_000).nullable().default(null),
  }).prefault({}),
  max_duration_seconds: z.number().int().min(30).max(14_400).default(3_600),
  silence: z.strictObject({
    /** Silence of both sides until "are you there?" … */
    prompt_after_seconds: z.number().int().min(3).max(120).default(10),
    /** … and after so many of them we hang up. */
    prompts: z.number().int().min(0).max(5).default(2),
  }).prefault({}),
  /** Calls at a time on this number. */
  concurrency_limit: z.number().int().min(1).max(10_000).default(10),
  /** False: the agent speaks to its end whatever the caller says. */
  barge_in: z.boolean().default(true),
  /** Who takes over when the agent hands over to a person; null: the agent says goodbye and a person calls back. */
  transfer_to: z.string().max(255).regex(/^(\+[1-9]\d{4,17}|sips?:[^\s<>"]{3,240})$/, 'a number in E.164 (+4722334455) or a sip: address').nullable().default(null),
  transfer_timeout_seconds: z.number().int().min(5).max(120).default(30),
  /** `cold`: the caller hears it ring, and we are out. `warm`: the caller waits with music while whoever takes over is told what it is about, and says yes. */
  transfer_mode: z.enum(['cold', 'warm']).default('cold'),
})
export type VoiceSettings = z.infer<typeof VoiceSettings>

/** What one outbound call does other than the settings of its number say, under the names of the wire. */
export const CallOptions = z.object({
  greeting: VoiceSettings.shape.greeting.unwrap().optional(),
  max_duration_seconds: VoiceSettings.shape.max_duration_seconds.unwrap().optional(),
  /** Who has taken the call is found out before the agent speaks. */
  detect_machine: z.boolean().optional(),
  /** Left when a machine has answered and takes messages; without it the call is hung up then. */
  voicemail_message: z.string().trim().min(1).max(1_000).optional(),
})
export type CallOptions = z.infer<typeof CallOptions>

/** The settings that hold for one call. `options` as they were kept with it. */
export function settingsOfCall(settings: VoiceSettings, options: Record<string, unknown>): VoiceSettings {
  const { greeting, max_duration_seconds: longest } = CallOptions.parse(options)
  return { ...settings, ...(greeting === undefined ? {} : { greeting }), ...(longest === undefined ? {} : { max_duration_seconds: longest }) }
}

/** What a call is for that prepares another one's transfer: who waits, and what is said about them (sealed, base64). */
export const Briefing = z.object({ call_id: z.string(), sealed: z.string() })
export type Briefing = z.infer<typeof Briefing>

/** Null: an ordinary call. `options` as they were kept with it. */
export const briefingOf = (options: Record<string, unknown>): Briefing | null => Briefing.safeParse(options['briefing']).data ?? null

/** What a person of the business does in a call: hears both sides; speaks to the agent's side alone; speaks to the caller instead of the agent. */
export const SupervisionMode = z.enum(['listen', 'whisper', 'barge'])
export type SupervisionMode = z.infer<typeof SupervisionMode>

/** What processes tell the one that has a live call, over the bell `call:<id>`. A word may be lost: whoever needs to know asks for an answer. */
export const CallWord = z.object({
  /** The carrier says that the call is over, and why. */
  ended: z.string().optional(),
  by: z.string().nullable().optional(),
  /** Who took the call, by the carrier's ear. */
  machine: z.enum(['human', 'machine', 'fax', 'silence', 'unknown']).optional(),
  phase: z.enum(['detected', 'greeting_ended']).optional(),
  /** What became of the colleague who was called for a warm transfer. */
  colleague: z.string().optional(),
  recording: z.enum(['pause', 'resume']).optional(),
  /** Somebody wants to hear the call; the answer (`CallAnswer`) goes to the bell `reply`. */
  supervise: z.object({ offer: z.string(), mode: SupervisionMode, reply: z.string() }).optional(),
  /** Somebody who is in it does something else from now on; answered in the same way. */
  supervise_as: z.object({ leg: z.string(), mode: SupervisionMode, reply: z.string() }).optional(),
  /** This person leaves (`leg` of the answer). */
  leave: z.string().optional(),
  /** For the agent, from a person of the business; the caller does not hear it. */
  note: z.string().optional(),
})
export type CallWord = z.infer<typeof CallWord>
/** Null: not one of ours. */
export const parseCallWord = (word: string): CallWord | null => parsed(CallWord, word)

export const CallAnswer = z.object({
  /** `sdp`: to an offer. */
  answer: z.object({ leg: z.string(), sdp: z.string().optional() }).optional(),
  error: z.object({ code: z.string(), message: z.string(), param: z.string().nullable().default(null), details: z.record(z.string(), z.unknown()).optional() }).optional(),
})
export type CallAnswer = z.infer<typeof CallAnswer>
export const parseCallAnswer = (word: string): CallAnswer | null => parsed(CallAnswer, word)

/** Whatever comes over a bell: it never throws, where a throw would end a process with all its calls. */
function parsed<T>(schema: z.ZodType<T>, word: string): T | null {
  try {
    return schema.parse(JSON.parse(word))
  } catch {
    return null
  }
}
