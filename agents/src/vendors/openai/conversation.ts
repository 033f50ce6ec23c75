import { hash } from 'node:crypto'
import { z } from 'zod'
import type { ModelItem, VendorState } from '../contract.ts'

/**
 * What we remember of OpenAI's conversation: its id and a fingerprint of what it holds. Our archive is the truth; when the two differ
 * (a person answered in between, a reply was thrown away, an older part was summarised) the conversation is left and a new one begins.
 */
const ConversationState = z.object({
  conversationId: z.string().min(1).max(255),
  count: z.number().int().nonnegative(),
  digest: z.string(),
  calls: z.array(z.string()).default([]),
  outputs: z.array(z.string()).default([]),
})
type ConversationState = z.infer<typeof ConversationState>

type Message = Extract<ModelItem, { type: 'message' }>
/** Commentary and tool items live only inside a turn, so they are no part of the fingerprint that later turns compare. */
const isMessage = (item: ModelItem): item is Message => item.type === 'message' && item.phase === undefined
const fingerprint = (messages: readonly Message[]) => hash('sha256', JSON.stringify(messages.map((message) => [message.role, message.text.trim()])))

export type InputPlan = { conversationId: string | null; input: readonly ModelItem[] }

/** Continue with what is new, or start over with everything. */
export function planInput(items: readonly ModelItem[], state: VendorState | null | undefined): InputPlan {
  const known = ConversationState.safeParse(state ?? null)
  if (!known.success) return { conversationId: null, input: items }
  const messages = items.filter(isMessage)
  const { count, digest, conversationId } = known.data
  if (messages.length < count || fingerprint(messages.slice(0, count)) !== digest) return { conversationId: null, input: items }
  const input = unseen(items, known.data)
  return input.length === 0 ? { conversationId: null, input: items } : { conversationId, input }
}

function unseen(items: readonly ModelItem[], state: ConversationState): ModelItem[] {
  let messages = 0
  return items.filter((item) => {
    if (item.type === 'tool_call') return !state.calls.includes(item.callId)
    if (item.type === 'tool_output') return !state.outputs.includes(item.callId)
    return isMessage(item) && ++messages > state.count
  })
}

/** The state after an answer was completed in `conversationId`. */
export function stateAfter(conversationId: string, items: readonly ModelItem[], text: string, callIds: readonly string[]): VendorState {
  const answer: Message[] = text && callIds.length === 0 ? [{ type: 'message', role: 'assistant', text }] : []
  const messages = [...items.filter(isMessage), ...answer]
  return {
    conversationId,
    count: messages.length,
    digest: fingerprint(messages),
    calls: [...items.flatMap((item) => (item.type === 'tool_call' ? [item.callId] : [])), ...callIds],
    outputs: items.flatMap((item) => (item.type === 'tool_output' ? [item.callId] : [])),
  }
}
