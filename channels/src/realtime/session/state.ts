import { z } from 'zod'
import { AudioFormat } from '../audio.ts'
import { SessionConfig } from '../session-config.ts'
import { ResponseUsage } from '../usage.ts'

/**
 * Everything that a session remembers: plain JSON, so that another process can go on with it. Sound is not in it: the
 * host keeps audio by item id. A new meaning of a field raises VERSION.
 */
export const VERSION = 1

const Ms = z.number().min(0)
const Status = z.enum(['in_progress', 'completed', 'incomplete'])

/** When each word of a spoken part ends: text up to `charEnd` is heard once `endMs` of the part has played. */
export const Span = z.strictObject({ charEnd: z.int().min(0), endMs: Ms })
export type Span = z.infer<typeof Span>

/** What is left of a truncated part. `estimated`: there were no word times, so the words were counted by the clock. */
const Heard = z.strictObject({ endMs: Ms, text: z.string(), estimated: z.boolean() })

const SpokenPart = z.strictObject({
  type: z.literal('output_audio'),
  /** Null once truncated. */
  transcript: z.string().nullable(),
  ms: Ms,
  spans: z.array(Span),
  heard: Heard.nullable(),
})
export type SpokenPart = z.infer<typeof SpokenPart>

export const Part = z.discriminatedUnion('type', [
  z.strictObject({ type: z.literal('input_text'), text: z.string() }),
  z.strictObject({
    type: z.literal('input_audio'),
    transcript: z.string().nullable(),
    /** Whether the client asked for transcripts; the model gets them either way. */
    shown: z.boolean(),
  }),
  z.strictObject({ type: z.literal('input_image'), imageUrl: z.string(), detail: z.enum(['auto', 'low', 'high']) }),
  z.strictObject({ type: z.literal('output_text'), text: z.string() }),
  SpokenPart,
])
export type Part = z.infer<typeof Part>

export const Item = z.discriminatedUnion('type', [
  z.strictObject({ type: z.literal('message'), id: z.string(), status: Status, role: z.enum(['system', 'user', 'assistant']), content: z.array(Part) }),
  z.strictObject({ type: z.literal('function_call'), id: z.string(), status: Status, callId: z.string(), name: z.string(), arguments: z.string() }),
  z.strictObject({ type: z.literal('function_call_output'), id: z.string(), status: Status, callId: z.string(), output: z.string() }),
])
export type Item = z.infer<typeof Item>
export type Message = Extract<Item, { type: 'message' }>

/** One output item of a response while it grows; `open` until its done events have left. */
export const Output = z.strictObject({ open: z.boolean(), item: Item })
export type Output = z.infer<typeof Output>

export const Response = z.strictObject({
  id: z.string(),
  /** False: out-of-band, `conversation: "none"`. */
  inConversation: z.boolean(),
  modality: z.enum(['text', 'audio']),
  maxOutputTokens: z.union([z.int(), z.literal('inf')]),
  format: AudioFormat,
  voice: z.string(),
  metadata: z.record(z.string(), z.string()).nullable(),
  output: z.array(Output),
  /** The last that the engine reported; stands in `response.done` also when the response was cut off. */
  usage: ResponseUsage.nullable(),
})
export type Response = z.infer<typeof Response>

export const State = z.strictObject({
  version: z.literal(VERSION),
  sessionId: z.string(),
  conversationId: z.string(),
  /** Unix seconds. */
  expiresAtS: z.int(),
  /** Ids are a random seed and a count: unique everywhere, and `step` stays a function of its arguments. */
  ids: z.strictObject({ seed: z.string(), next: z.int().min(0) }),
  config: SessionConfig,
  /** What listens when a client asks for transcription and names no model. */
  transcriptionModel: z.string(),
  /** Who plays our sound: the client itself (WebSocket), or we do (WebRTC, telephone) and know what was heard. */
  playout: z.enum(['client', 'server']),
  /** Whether the host can give an item's sound back for `conversation.item.retrieve`. */
  keepsAudio: z.boolean(),
  /** Our sound has left: the voice can no longer change. */
  spoke: z.boolean(),
  input: z.strictObject({
    /** All audio since the session began. */
    totalMs: Ms,
    /** Of it not yet committed. */
    waitingMs: Ms,
    /** First half of a 16-bit sample whose other half comes with the next append. */
    half: z.int().min(0).max(255).nullable(),
    /** Set while somebody speaks; the id is that of the item to come. */
    speech: z.strictObject({ itemId: z.string(), startMs: Ms }).nullable(),
  }),
  /** The conversation in its order. An item that is being generated is here from `added` on, without its content. */
  items: z.array(Item),
  responses: z.array(Response),
  playing: z.strictObject({ responseId: z.string(), itemId: z.string(), contentIndex: z.int(), heardMs: Ms }).nullable(),
  retrievals: z.array(z.strictObject({ requestId: z.string(), itemId: z.string() })),
})
export type State = z.infer<typeof State>
