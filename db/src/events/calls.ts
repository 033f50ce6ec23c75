import type { Call, CallUtterance } from '../calls/contract.ts'
import type { NewEvent } from './contract.ts'

type CallEventType = 'call.initiated' | 'call.ringing' | 'call.connected' | 'call.ended'

/** What a call is now, as news: ask it each time that its status has changed, after the commit. */
export function callNews(call: Call): NewEvent {
  const { id, numberId, agentId, contactId, conversationId, direction, from, to, status, projectId } = call
  const data = { call_id: id, number_id: numberId, agent_id: agentId, contact_id: contactId, conversation_id: conversationId, direction, from, to, status }
  const type = typeOf(call)
  if (type !== 'call.ended') return { type, projectId, data }
  const { endedAt, answeredAt, endReason } = call
  const connectedMs = endedAt && answeredAt ? Math.max(0, endedAt.getTime() - answeredAt.getTime()) : null
  return { type, projectId, data: { ...data, reason: endReason, connected_ms: connectedMs } }
}

function typeOf({ endedAt, status }: Call): CallEventType {
  if (endedAt) return 'call.ended'
  if (status === 'in_progress') return 'call.connected'
  return status === 'ringing' ? 'call.ringing' : 'call.initiated'
}

export type Saying = Pick<CallUtterance, 'messageId' | 'by' | 'startMs' | 'endMs' | 'interrupted'> & { text: string; isFinal: boolean }

const TEXT_MAX = 8_000

/** What is being said in a call. `saying.messageId` is the same for every part of one utterance. */
export function transcriptNews({ id, projectId, numberId, conversationId }: Pick<Call, 'id' | 'projectId' | 'numberId' | 'conversationId'>, saying: Saying): NewEvent {
  const { messageId, by, startMs, endMs, interrupted, isFinal } = saying
  const times = { start_ms: Math.max(0, Math.round(startMs)), end_ms: Math.max(0, Math.round(endMs)) }
  const data = { call_id: id, number_id: numberId, conversation_id: conversationId, utterance_id: messageId, by, text: saying.text.slice(0, TEXT_MAX), ...times, interrupted, is_final: isFinal }
  return { type: 'call.transcript', projectId, data }
}
