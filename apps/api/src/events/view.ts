import { AppError, Id } from '@trunkline/core'
import { CallData, CallEndedData, conversations, GapReason, leads, messages, TranscriptData, type LiveEvent, type LiveEventType } from '@trunkline/db'
import { z } from 'zod'
import type { ApiDeps } from '../deps.ts'
import { ConversationView, conversationView } from '../routes/conversation-view.ts'
import { LeadView, leadView } from '../routes/leads.ts'
import { MessageView, messageView } from '../routes/message-view.ts'
import { Time } from '../wire.ts'

const EventId = z.string().meta({ description: 'Its place: give the last one as `last_event_id` when you come back', examples: ['1795252200000-0'] })
const MessageData = z.object({ message: MessageView.meta({ description: 'As it is now, with `status` and `reason` of this event' }) })
const HandlerData = z.object({ conversation: ConversationView, handler: z.enum(['agent', 'human']), was: z.enum(['agent', 'human']) })
const LeadData = z.object({ lead: LeadView })

/** What each event tells. */
export const EVENT_DATA: Record<LiveEventType, { data: z.ZodObject; when: string }> = {
  'call.initiated': { data: CallData, when: 'A call comes in, or one was placed' },
  'call.ringing': { data: CallData, when: 'A call that was placed rings' },
  'call.connected': { data: CallData, when: 'It was answered' },
  'call.transcript': { data: TranscriptData, when: 'Something is being said; not final, it is replaced by the next one of the same `utterance_id`' },
  'call.ended': { data: CallEndedData, when: 'It is over, or was never taken' },
  'message.received': { data: MessageData, when: 'A customer has written' },
  'message.sent': { data: MessageData, when: 'The supplier has taken a message of ours (of the agent, or of a person, from wherever they wrote it)' },
  'message.delivered': { data: MessageData, when: 'It is on the customer’s device' },
  'message.read': { data: MessageData, when: 'The customer has opened it, or played it (`status`)' },
  'message.failed': { data: MessageData, when: 'Of ours: it did not leave, was refused, or nobody knows (`status`: failed, parked, unknown). Of a customer (`direction`): it gets no answer (failed, parked, rejected)' },
  'conversation.handler_changed': { data: HandlerData, when: 'A person has taken over, or the agent answers again' },
  'lead.created': { data: LeadData, when: 'A lead was found in a conversation' },
  'lead.updated': { data: LeadData, when: 'More was found, or somebody has changed its status' },
}

const GapData = z.object({ reason: GapReason.meta({ description: '`too_old`: what came after your `last_event_id` is not kept any more. `lost`: events may have been lost on their way.' }) })
const envelope = { id: EventId, tenant_id: Id, project_id: Id, at: Time }
const gap = z.object({ ...envelope, project_id: z.null(), type: z.literal('events.gap'), data: GapData })
const event = (type: LiveEventType) => z.object({ ...envelope, type: z.literal(type), data: EVENT_DATA[type].data })
const [first, ...others] = Object.keys(EVENT_DATA) as [LiveEventType, ...LiveEventType[]]

/** Every event on the wire. */
export const EventView = z.discriminatedUnion('type', [event(first), ...others.map(event), gap]).meta({ id: 'LiveEvent' })

/** An event as text, with what filters ask for. */
export type Frame = { id: string; type: LiveEventType | 'events.gap'; projectId: Id | null; conversationId: Id | null; text: string }

export type ViewDeps = Pick<ApiDeps, 'db' | 'keyring' | 'channels' | 'log'>

type Rows = { messages: Map<Id, messages.Message>; leads: Map<Id, leads.Lead>; conversations: Map<Id, conversations.Conversation> }
type Shown = { projectId: Id | null; conversationId: Id | null; data: unknown }
/** Nobody hears of a message without this scope: socket and REST then show the same. */
const READER = { scopes: new Set(['messages:read'] as const) }

/** Writes events down, once for all listeners of the tenant. The rows that they name are read here; an event whose row is gone is left out. */
export async function writeFrames(deps: ViewDeps, tenantId: Id, events: readonly LiveEvent[]): Promise<Frame[]> {
  const rows = await readRows(deps, tenantId, events)
  return events.flatMap((event) => {
    try {
      const shown = show(deps, event, rows)
      return shown === null ? [] : [frameOf(tenantId, event, shown)]
    } catch (error) {
      deps.log.error({ tenantId, type: event.type, error }, 'a live event could not be written down')
      return []
    }
  })
}

/** Through the schema that the documents show, as every answer of REST. */
function frameOf(tenantId: Id, { id, type, at }: LiveEvent, { projectId, conversationId, data }: Shown): Frame {
  const shown = (type === 'events.gap' ? GapData : EVENT_DATA[type].data).parse(data)
  return { id, type, projectId, conversationId, text: JSON.stringify({ id, type, tenant_id: tenantId, project_id: projectId, at, data: shown }) }
}

async function readRows({ db }: ViewDeps, tenantId: Id, events: readonly LiveEvent[]): Promise<Rows> {
  const [messageIds, leadIds, conversationIds] = [new Set<Id>(), new Set<Id>(), new Set<Id>()]
  for (const { data } of events) {
    if ('message_id' in data) messageIds.add(data.message_id)
    else if ('lead_id' in data) leadIds.add(data.lead_id)
    else if ('handler' in data) conversationIds.add(data.conversation_id)
  }
  if (messageIds.size + leadIds.size + conversationIds.size === 0) return { messages: new Map(), leads: new Map(), conversations: new Map() }
  return db.tenant(tenantId, async (tx) => ({
    messages: byId(await messages.byIds(tx, [...messageIds])),
    leads: byId(await each(leadIds, (id) => leads.get(tx, id))),
    conversations: byId(await each(conversationIds, (id) => conversations.get(tx, id))),
  }))
}

const byId = <Row extends { id: Id }>(rows: readonly Row[]) => new Map(rows.map((row) => [row.id, row]))

/** There are few of these: one after the other. */
async function each<Row>(ids: ReadonlySet<Id>, get: (id: Id) => Promise<Row>): Promise<Row[]> {
  const rows: Row[] = []
  for (const id of ids) {
    const row = await get(id).catch((error: unknown) => {
      if (error instanceof AppError && error.code === 'not_found') return null
      throw error
    })
    if (row !== null) rows.push(row)
  }
  return rows
}

function show(deps: ViewDeps, event: LiveEvent, rows: Rows): Shown | null {
  switch (event.type) {
    case 'message.received':
    case 'message.sent':
    case 'message.delivered':
    case 'message.read':
    case 'message.failed':
      return showMessage(deps.keyring, event.data, rows.messages.get(event.data.message_id))
    case 'lead.created':
    case 'lead.updated': {
      const lead = rows.leads.get(event.data.lead_id)
      return lead === undefined ? null : { projectId: lead.projectId, conversationId: lead.conversationId, data: { lead: leadView(lead) } }
    }
    case 'conversation.handler_changed': {
      const { handler, was } = event.data
      const found = rows.conversations.get(event.data.conversation_id)
      return found === undefined ? null : { projectId: found.projectId, conversationId: found.id, data: { conversation: { ...conversationView(deps.channels)(found), handler }, handler, was } }
    }
    case 'events.gap':
      return { projectId: null, conversationId: null, data: event.data }
    default:
      return { projectId: event.project_id, conversationId: event.data.conversation_id, data: event.data }
  }
}

/** `status` is the one of the event: the row may have moved on meanwhile. */
function showMessage(keyring: ViewDeps['keyring'], { status, reason }: { status: string; reason: string | null }, message: messages.Message | undefined): Shown | null {
  if (message === undefined) return null
  return { projectId: message.projectId, conversationId: message.conversationId, data: { message: { ...messageView(keyring, READER, message), status, reason } } }
}
