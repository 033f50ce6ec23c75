import type { FastifyReply, FastifyRequest } from 'fastify'
import type { World } from '../../world.ts'
import { cutBody, strikeAfter, strikeBefore } from '../../faults/effects.ts'
import type { Fault } from '../../faults/fault.ts'
import type { GraphRefusal } from '../errors.ts'
import { knownRefusal, refuseByFault, sendRefusal } from '../errors.ts'
import { newWamid } from '../ids.ts'
import type { WhatsAppNumber } from '../registry.ts'
import type { AcceptedMessage } from './statuses.ts'
import type { Loose } from './shape.ts'
import { validateSend } from './validate.ts'
import { plain } from '../../plain.ts'

const TARGET = 'whatsapp.send'

/** `POST /{version}/{phone_number_id}/messages` with a message. The hot path: 2,000 a second. */
export async function sendMessage(world: World, number: WhatsAppNumber, request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply | void> {
  const body = request.body as Loose
  const refusal = validateSend(body, world.media)
  const to = addressOf(body)
  const text = wordsOf(body)
  const fault = world.faults.pick(TARGET, { number: number.phone_number_id, to, text })
  const note = { target: TARGET, number: number.phone_number_id, to, callbackData: body?.biz_opaque_callback_data as string | undefined, kind: kindOf(body), text, body, fault: fault?.id }
  if (fault) {
    const status = await strikeBefore(fault, reply, refuseByFault)
    if (status !== null) return void world.journal.add({ ...note, outcome: 'fault', status })
  }
  if (refusal) {
    world.journal.add({ ...note, outcome: 'refused', status: refusal.status })
    return sendRefusal(reply, refusal)
  }
  const message = accept(world, number, body, to)
  world.journal.add({ ...note, outcome: 'accepted', status: 200, id: message.id })
  return answer(body, message, reply, fault)
}

function accept(world: World, number: WhatsAppNumber, body: Loose, to: string): AcceptedMessage {
  const isTemplate = body.type === 'template'
  const message: AcceptedMessage = {
    id: newWamid(),
    to,
    isUserId: body.to === undefined,
    callbackData: body.biz_opaque_callback_data as string | undefined,
    category: isTemplate ? 'utility' : 'service',
  }
  // Outside the window Meta accepts first and tells the failure by webhook.
  if (!isTemplate && !world.meta.windowIsOpen(number.phone_number_id, to, number.window_ms)) message.failsWith = 131047
  world.statuses.tell(number, message)
  return message
}

function answer(body: Loose, message: AcceptedMessage, reply: FastifyReply, fault: Fault | undefined): FastifyReply | void {
  if (strikeAfter(fault, reply)) return
  const contact = message.isUserId ? `{"input":${JSON.stringify(message.to)},"user_id":${JSON.stringify(message.to)}}` : `{"input":${JSON.stringify(body.to)},"wa_id":"${message.to}"}`
  const json = `{"messaging_product":"whatsapp","contacts":[${contact}],"messages":[{"id":"${message.id}"}]}`
  if (fault?.action.cutStreamAfterEvents !== undefined) return cutBody(reply, json)
  return reply.header('content-type', 'application/json; charset=UTF-8').send(json)
}

/** The customer's address as the journal knows it: digits, or the business-scoped user id. */
function addressOf(body: Loose): string {
  if (typeof body?.to === 'string') return /^\d+$/.test(body.to) ? body.to : body.to.replace(/\D/g, '')
  return typeof body?.recipient === 'string' ? body.recipient.slice(0, 255) : ''
}

const kindOf = (body: Loose): string => (typeof body?.type === 'string' ? body.type.slice(0, 64) : 'text')

/** What the customer would read, cut at 500 characters. */
function wordsOf(body: Loose): string {
  const kind = kindOf(body)
  const value = body?.[kind] as Loose | undefined
  const words = value?.body ?? value?.caption ?? value?.name ?? value?.emoji ?? ''
  if (typeof words === 'string') return words.slice(0, 500)
  return plain((words as Loose).text).slice(0, 500)
}

/** `status: "read"`, with or without a typing indicator. */
export async function markRead(world: World, number: WhatsAppNumber, request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply | void> {
  const body = request.body as Loose
  const kind = body.typing_indicator === undefined ? 'read' : 'typing'
  const fault = world.faults.pick('whatsapp.read', { number: number.phone_number_id })
  const note = { target: 'whatsapp.read', number: number.phone_number_id, id: plain(body.message_id), kind, fault: fault?.id, body }
  const status = fault ? await strikeBefore(fault, reply, refuseByFault) : null
  if (status !== null) return void world.journal.add({ ...note, outcome: 'fault', status })
  const refusal = readRefusal(body)
  world.journal.add({ ...note, outcome: refusal ? 'refused' : 'accepted', status: refusal?.status ?? 200 })
  if (refusal) return sendRefusal(reply, refusal)
  if (!strikeAfter(fault, reply)) return reply.send({ success: true })
}

function readRefusal(body: Loose): GraphRefusal | null {
  if (body.messaging_product !== 'whatsapp') return knownRefusal(100, { message: '(#100) The parameter messaging_product is required.' })
  if (body.status !== 'read') return knownRefusal(131009, { details: 'Param status must be one of {read}.' })
  if (typeof body.message_id !== 'string' || !body.message_id.startsWith('wamid.')) return knownRefusal(131009, { details: 'Param message_id is not a valid message id.' })
  const typing = body.typing_indicator as Loose | undefined
  return typing === undefined || typing?.type === 'text' ? null : knownRefusal(131009, { details: "Param typing_indicator['type'] must be one of {text}." })
}
