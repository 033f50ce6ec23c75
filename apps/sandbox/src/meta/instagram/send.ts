import type { FastifyReply, FastifyRequest } from 'fastify'
import { cutBody, strikeAfter, strikeBefore } from '../../faults/effects.ts'
import type { World } from '../../world.ts'
import type { GraphRefusal } from '../errors.ts'
import { knownRefusal, refuseByFault, sendRefusal } from '../errors.ts'
import { newMid } from '../ids.ts'
import type { InstagramAccount } from '../registry.ts'
import type { Loose } from '../whatsapp/shape.ts'
import { accountDestination, instagramEnvelope } from './customer.ts'
import { validateInstagram } from './validate.ts'
import { plain } from '../../plain.ts'

/** `POST /{version}/{ig_id}/messages`: a message or a sender action. */
export async function sendInstagram(world: World, account: InstagramAccount, request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply | void> {
  const body = (request.body ?? {}) as Loose
  const isAction = body.sender_action !== undefined
  const target = isAction ? 'instagram.sender_action' : 'instagram.send'
  const to = recipientOf(body)
  const text = wordsOf(body)
  const fault = world.faults.pick(target, { number: account.ig_id, to, text })
  const note = { target, number: account.ig_id, to, callbackData: metadataOf(body), kind: kindOf(body), text, body, fault: fault?.id }
  const status = fault ? await strikeBefore(fault, reply, refuseByFault) : null
  if (status !== null) return void world.journal.add({ ...note, outcome: 'fault', status })
  const refusal = validateInstagram(body) ?? (isAction ? null : windowRefusal(world, account, to, body))
  if (refusal) {
    world.journal.add({ ...note, outcome: 'refused', status: refusal.status })
    return sendRefusal(reply, refusal)
  }
  const mid = isAction ? undefined : newMid()
  world.journal.add({ ...note, outcome: 'accepted', status: 200, id: mid })
  if (mid) void tellBack(world, account, to, body, mid)
  if (strikeAfter(fault, reply)) return
  const answer = mid ? { recipient_id: to, message_id: mid } : { recipient_id: to }
  if (fault?.action.cutStreamAfterEvents !== undefined) return cutBody(reply, JSON.stringify(answer))
  return reply.send(answer)
}

/** 24 hours since the customer's last message, 7 days for a person (`HUMAN_AGENT`). */
function windowRefusal(world: World, account: InstagramAccount, to: string, body: Loose): GraphRefusal | null {
  const windowMs = account.window_ms === null ? null : account.window_ms * (body.tag === 'HUMAN_AGENT' ? 7 : 1)
  if (world.meta.windowIsOpen(account.ig_id, to, windowMs)) return null
  return knownRefusal(10, { message: '(#10) This message is sent outside of allowed window.', subcode: 2534022 })
}

/** Instagram tells our own message back (`is_echo`, inside `messages`) and that the customer has seen it (`messaging_seen`). */
async function tellBack(world: World, account: InstagramAccount, to: string, body: Loose, mid: string): Promise<void> {
  if (account.webhook_url === undefined || !(account.echoes || account.seen)) return
  const fault = world.faults.pick('instagram.echo', { number: account.ig_id, to })
  if (fault?.action.drop) return
  const message = body.message as Loose
  const metadata = metadataOf(body)
  const { attachment, metadata: _own, quick_replies: _asked, ...said } = message
  const echo = { ...said, ...(attachment === undefined ? {} : { attachments: [attachment] }), mid, is_echo: true, ...(metadata === undefined ? {} : { metadata }) }
  const destination = accountDestination(account)
  await world.webhooks.pause(Math.max(1, fault?.action.delayMs ?? 1))
  if (account.echoes) {
    const event = { sender: { id: account.ig_id }, recipient: { id: to }, timestamp: Date.now(), message: echo }
    await world.webhooks.deliver(destination, 'echo', instagramEnvelope(account, [event]))
  }
  if (!account.seen) return
  const event = { sender: { id: to }, recipient: { id: account.ig_id }, timestamp: Date.now(), read: { mid } }
  await world.webhooks.deliver(destination, 'seen', instagramEnvelope(account, [event]))
}

function recipientOf(body: Loose): string {
  const { id, comment_id } = (body.recipient ?? {}) as Loose
  return plain(id ?? comment_id).slice(0, 255)
}

function metadataOf(body: Loose): string | undefined {
  const metadata = (body.message as Loose | undefined)?.metadata ?? body.metadata
  return typeof metadata === 'string' ? metadata : undefined
}

function kindOf(body: Loose): string {
  if (typeof body.sender_action === 'string') return body.sender_action.slice(0, 64)
  const message = body.message as Loose | undefined
  if (message?.attachment) return String((message.attachment as Loose).type).slice(0, 64)
  return message?.quick_replies ? 'quick_replies' : 'text'
}

function wordsOf(body: Loose): string {
  const message = body.message as Loose | undefined
  const payload = (message?.attachment as Loose | undefined)?.payload as Loose | undefined
  return plain(message?.text ?? payload?.text).slice(0, 500)
}
