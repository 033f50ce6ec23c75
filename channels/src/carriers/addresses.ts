import type { Id } from '@trunkline/core'
import type { Carrier } from './contract.ts'
import type { CallInstructionInput } from './instructions.ts'
import { mediaPath, mediaToken } from './media-token.ts'

/** Where carriers find us. */
export type VoiceAddresses = {
  /** Of webhooks, without a slash at the end. */
  publicUrl: string
  /** Of media sockets, `ws:` or `wss:`. */
  mediaUrl: string
  /** Makes the tokens of media sockets; the voice processes have the same. */
  mediaKey: Uint8Array
}

export type VoiceStep = 'status' | 'next' | 'transferred'

export const stepUrl = ({ publicUrl }: VoiceAddresses, numberId: Id, step: VoiceStep, callId: Id): string => `${publicUrl}/webhooks/voice/${numberId}/${step}/${callId}`

/** The call's sound to a voice process. A carrier that goes on when the socket breaks asks us what comes next, and gets the same again while the call lives; `again`, with a breath in between: while nobody answers, it would ask a hundred times a second. */
export function streamCall(addresses: VoiceAddresses, carrier: Carrier, { id, numberId }: { id: Id; numberId: Id }, { again = false }: { again?: boolean } = {}): CallInstructionInput[] {
  const url = `${addresses.mediaUrl}${mediaPath(carrier.id, id, mediaToken(addresses.mediaKey, id))}`
  const stream: CallInstructionInput = { do: 'stream', url }
  if (!carrier.can.socketEndsStep) return [stream]
  const breath: CallInstructionInput[] = again ? [{ do: 'pause', seconds: 1 }] : []
  return [stream, ...breath, { do: 'redirect', url: stepUrl(addresses, numberId, 'next', id) }]
}

/** `https:` as `wss:`. */
export const socketUrl = (url: string): string => url.replace(/^http/, 'ws')
