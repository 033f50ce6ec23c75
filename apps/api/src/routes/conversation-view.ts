import { ChannelId, Id, type Channel, type Clock, type MessageChannelId } from '@trunkline/core'
import type { conversations } from '@trunkline/db'
import { z } from 'zod'
import { Time, toWire } from '../wire.ts'

export const ConversationView = z
  .object({
    id: Id,
    project_id: Id,
    number_id: Id,
    channel: ChannelId,
    agent_id: Id.nullable(),
    contact_id: Id,
    contact_name: z.string().nullable(),
    status: z.enum(['open', 'closed', 'archived']),
    archive_id: Id.nullable(),
    handler: z.enum(['agent', 'human']).meta({ description: 'Who answers' }),
    handler_epoch: z.number().int(),
    reply_to: z.object({ kind: z.string(), value: z.string() }),
    last_seq: z.number().int(),
    last_message_at: Time,
    last_inbound_at: Time.nullable(),
    window_closes_at: Time.nullable().meta({ description: 'Until then free-form messages may be sent; null: the channel has no window, or the customer has not written' }),
    created_at: Time,
  })
  .meta({ id: 'Conversation' })

export const conversationView = (channels: Record<MessageChannelId, Channel>) => (conversation: conversations.Conversation): z.infer<typeof ConversationView> => {
  const { tenantId: _tenant, ...row } = conversation
  return { ...toWire(row), window_closes_at: row.channel === 'voice' ? null : (windowEnd(channels[row.channel], conversation)?.toISOString() ?? null) }
}

function windowEnd(channel: Channel, conversation: Pick<conversations.Conversation, 'lastInboundAt'>): Date | null {
  const { windowMs } = channel.can
  return windowMs === null || conversation.lastInboundAt === null ? null : new Date(conversation.lastInboundAt.getTime() + windowMs)
}

/** Whether the platform still takes a free-form message. */
export function windowOpen(channel: Channel, conversation: Pick<conversations.Conversation, 'lastInboundAt'>, clock: Pick<Clock, 'nowMs'>): boolean {
  if (channel.can.windowMs === null) return true
  const end = windowEnd(channel, conversation)
  return end !== null && end.getTime() > clock.nowMs()
}
