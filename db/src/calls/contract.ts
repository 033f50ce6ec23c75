import type { CallCost, CallDirection, CallEndReason, CallEventKind, CallStatus, CarrierId, Id, RecordingState, WordSpan } from '@trunkline/core'
import type { VendorUse } from '../repos/usage.ts'
import type { calls } from '../tables/schema.ts'

/** A call as it is kept. `summarySealed` is customer text: opening it is the reader's decision. */
export type Call = {
  id: Id
  tenantId: Id
  projectId: Id
  numberId: Id
  agentId: Id | null
  promptId: Id | null
  promptVersion: number | null
  /** Null for a call that was refused before anybody was asked. */
  contactId: Id | null
  conversationId: Id | null
  direction: CallDirection
  carrier: CarrierId
  carrierCallId: string | null
  /** E.164, a SIP address, or `anonymous`. */
  from: string
  to: string
  status: CallStatus
  endReason: CallEndReason | null
  endDetail: string | null
  wish: CallWish | null
  /** A process of ours has its sound, or had it until a moment ago. */
  isHeld: boolean
  /** Of the wish `transfer`: how far it has come. */
  transfer: TransferState | null
  /** The carrier says that it is over, and it is not known yet whether somebody took it: it ends when that is, or a moment later. */
  partedAt: Date | null
  metadata: Record<string, unknown>
  options: Record<string, unknown>
  placedBy: string
  holdIds: Id[]
  cost: CallCost
  recording: { state: RecordingState; key: string | null; durationMs: number | null; sizeBytes: number | null }
  summarySealed: Buffer | null
  epoch: number
  createdAt: Date
  answeredAt: Date | null
  endedAt: Date | null
}

/** What was asked for from outside while the call runs. `press`: the sound ends so that keys can be pressed, and comes back. `return`: it comes back after a transfer that came to nothing. */
export type CallWish = 'hang_up' | 'transfer' | 'press' | 'return'
/** `asked`: the carrier has not said that it heard of it. */
export type TransferState = 'asked' | 'accepted' | 'ringing' | 'answered'
/** Those after which the sound is over and the call is not. */
export const HANDOVERS: readonly CallWish[] = ['transfer', 'press', 'return']

export type CallRow = typeof calls.$inferSelect

export function callOf(row: CallRow): Call {
  const { fromAddress, toAddress, costCarrierMicros, costSttMicros, costTtsMicros, costModelMicros, recordingState, recordingKey, recordingMs, recordingBytes, leaseOwner, leaseUntil: __, summaryDueAt: ___, transferAt: ____, ...rest } = row
  return {
    ...(rest as unknown as Call),
    isHeld: leaseOwner !== null,
    from: fromAddress,
    to: toAddress,
    cost: { carrier: costCarrierMicros, stt: costSttMicros, tts: costTtsMicros, model: costModelMicros },
    recording: { state: recordingState as RecordingState, key: recordingKey, durationMs: recordingMs, sizeBytes: recordingBytes },
  }
}

/** One thing said, as a message of the conversation. Of ours only what was heard. */
export type CallUtterance = {
  messageId: Id
  by: 'customer' | 'agent'
  contentSealed: Buffer
  /** Milliseconds of the call. */
  startMs: number
  endMs: number
  interrupted: boolean
  confidence: number | null
  words: WordSpan[]
  at: Date
}

export type CallEvent = { kind: CallEventKind; /** Milliseconds of the call. */ atMs: number | null; data: Record<string, unknown> }
export type StoredCallEvent = CallEvent & { id: number; createdAt: Date }

/** What was used and what it costs, rated when it was measured. */
export type CallUse = VendorUse
