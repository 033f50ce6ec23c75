import { CallDirection, CallEndReason, CallStatus, Id } from '@trunkline/core'
import { z } from 'zod'

// What happens to a tenant, told to whoever listens at the moment. Events are news, not history: Postgres is the truth, and who has
// missed something (`events.gap`) reads there. Names are those of the wire.

export const LIVE_EVENT_TYPES = [
  'call.initiated', 'call.ringing', 'call.connected', 'call.transcript', 'call.ended',
  'message.received', 'message.sent', 'message.delivered', 'message.read', 'message.failed',
  'conversation.handler_changed',
  'lead.created', 'lead.updated',
] as const
export const LiveEventType = z.enum(LIVE_EVENT_TYPES)
export type LiveEventType = z.infer<typeof LiveEventType>

const CallNews = z.object({
  call_id: Id,
  number_id: Id,
  agent_id: Id.nullable(),
  contact_id: Id.nullable(),
  conversation_id: Id.nullable(),
  direction: CallDirection,
  from: z.string().meta({ description: 'E.164, a SIP address, or `anonymous`', examples: ['+4930123456'] }),
  to: z.string().meta({ examples: ['+4930654321'] }),
  status: CallStatus,
})

/** Of a call: where it is. `call.ended` says why, and for how long it was connected. */
export const CallData = CallNews
export const CallEndedData = CallNews.extend({
  reason: CallEndReason.nullable(),
  connected_ms: z.number().int().nonnegative().nullable().meta({ description: 'From the answer to the end; null: nobody answered' }),
})

/** What is being said. Parts that are not final are replaced by the next one of the same `utterance_id`. */
export const TranscriptData = z.object({
  call_id: Id,
  number_id: Id,
  conversation_id: Id.nullable(),
  utterance_id: Id.meta({ description: 'The id of the message that it becomes' }),
  by: z.enum(['customer', 'agent']),
  text: z.string().max(8_000).meta({ description: 'Of the agent: what was heard', examples: ['When do you open?'] }),
  start_ms: z.number().int().nonnegative().meta({ description: 'Milliseconds of the call' }),
  end_ms: z.number().int().nonnegative(),
  interrupted: z.boolean().meta({ description: 'The other side cut in' }),
  is_final: z.boolean(),
})

/** A message is named here and read when it is told: Redis holds no words of a customer, and who listens sees what REST shows. */
export const MessageRef = z.object({ message_id: Id, status: z.string(), reason: z.string().nullable() })
export const LeadRef = z.object({ lead_id: Id })
export const HandlerRef = z.object({ conversation_id: Id, handler: z.enum(['agent', 'human']), was: z.enum(['agent', 'human']) })

/** Why a listener may lack something. `too_old`: what came after its last event is not kept any more. `lost`: Redis was away, or a process ended before it had told everything. */
export const GapReason = z.enum(['too_old', 'lost'])
export type GapReason = z.infer<typeof GapReason>

const told = <Type extends string, Data extends z.ZodType>(type: Type, data: Data) => z.object({ type: z.literal(type), data, project_id: Id.nullable(), at: z.iso.datetime() })

/** As it lies in the stream, inside its seal. `project_id` null: the row that it names knows. */
export const StoredEvent = z.discriminatedUnion('type', [
  told('call.initiated', CallData), told('call.ringing', CallData), told('call.connected', CallData), told('call.ended', CallEndedData), told('call.transcript', TranscriptData),
  told('message.received', MessageRef), told('message.sent', MessageRef), told('message.delivered', MessageRef), told('message.read', MessageRef), told('message.failed', MessageRef),
  told('conversation.handler_changed', HandlerRef),
  told('lead.created', LeadRef), told('lead.updated', LeadRef),
  told('events.gap', z.object({ reason: GapReason })),
])
export type StoredEvent = z.infer<typeof StoredEvent>

type Fresh<Event> = Event extends StoredEvent ? Pick<Event, 'type' | 'data'> & { projectId: Id | null; /** Default: now. */ at?: Date } : never
/** What a publisher says. */
export type NewEvent = Fresh<Exclude<StoredEvent, { type: 'events.gap' }>>

/** With its place in the tenant's stream, `<milliseconds>-<number>`: later events have higher ones. */
export type LiveEvent = StoredEvent & { id: string }
