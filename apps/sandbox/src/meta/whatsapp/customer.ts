import { z } from 'zod'
import { ControlError } from '../../control/input.ts'
import type { World } from '../../world.ts'
import { newWamid } from '../ids.ts'
import type { WhatsAppNumber } from '../registry.ts'
import type { Delivery } from '../webhook-sender.ts'
import { envelope } from './envelope.ts'

const RawMessage = z.looseObject({ type: z.string().min(1).max(64).optional() })

/** What a customer sends. Give `text`, or `message`, or several `messages` for one body. */
export const CustomerMessage = z.strictObject({
  phone_number_id: z.string().max(32).optional(),
  text: z.string().min(1).max(65_536).optional(),
  /** Any message object of the Cloud API; id, from and timestamp are filled in when absent. */
  message: RawMessage.optional(),
  messages: z.array(RawMessage).min(1).max(1000).optional(),
  /** How `messages` are packed: all in one value, one change each, or one entry each. */
  batch: z.enum(['messages', 'changes', 'entries']).default('messages'),
  name: z.string().max(512).default('Sandbox Customer'),
  username: z.string().max(255).optional(),
  /** Business-scoped user id; alone (`hide_phone`) it is a customer without a phone number. */
  user_id: z.string().max(255).optional(),
  hide_phone: z.boolean().default(false),
  /** Uploads this file and sends it as media of the message. */
  file: z.strictObject({ base64: z.string().max(16_000_000), mime_type: z.string().max(255), filename: z.string().max(255).optional(), caption: z.string().max(1024).optional() }).optional(),
})
export type CustomerMessageInput = z.input<typeof CustomerMessage>
type Parsed = z.output<typeof CustomerMessage>
type WireMessage = Record<string, unknown> & { id: string }

export type CustomerSent = { ids: string[]; delivery: Delivery }

/** Builds the webhook that Meta would send and delivers it; resolves after the first attempt. */
export async function customerWrites(world: World, waId: string, input: Parsed): Promise<CustomerSent> {
  const number = findNumber(world, input.phone_number_id)
  const whole = withFile(world, number, input)
  const { ids, payload } = inboundWebhook(number, waId, whole)
  const customer = input.hide_phone && input.user_id ? input.user_id : waId
  world.meta.noteCustomer(number.phone_number_id, customer)
  for (const [index, draft] of drafts(whole).entries()) {
    world.journal.add({ target: 'whatsapp.customer', outcome: 'accepted', status: 0, number: number.phone_number_id, to: customer, id: ids[index], kind: input.name, text: wordsOf(draft) })
  }
  const delivery = await world.webhooks.deliver(destinationOf(number), 'message', payload)
  return { ids, delivery }
}

/** Pure: the payload of a customer's message(s), for load generators that send by themselves. */
export function inboundWebhook(number: WhatsAppNumber, waId: string, input: Parsed): { ids: string[]; payload: ReturnType<typeof envelope> } {
  const messages = drafts(input).map((draft) => wireMessage(draft, waId, input))
  const contact = contactOf(waId, input)
  const ids = messages.map((message) => message.id)
  if (input.batch === 'messages') return { ids, payload: envelope(number, [{ contacts: [contact], messages }]) }
  const single = messages.map((message) => ({ contacts: [contact], messages: [message] }))
  if (input.batch === 'changes') return { ids, payload: envelope(number, single) }
  const bodies = single.map((value) => envelope(number, [value]))
  return { ids, payload: { object: bodies[0]!.object, entry: bodies.flatMap((body) => body.entry) } }
}

function drafts(input: Parsed): Record<string, unknown>[] {
  if (input.messages) return input.messages
  if (input.message) return [input.message]
  if (input.text !== undefined) return [{ type: 'text', text: { body: input.text } }]
  throw new ControlError(400, 'body: give text, message, messages or file', 'text')
}

/** What the customer's own phone shows. */
function wordsOf(draft: Record<string, unknown>): string {
  const { text, interactive, button, type } = draft as { text?: { body?: string }; interactive?: Record<string, { title?: string } | undefined>; button?: { text?: string }; type?: string }
  const choice = interactive?.button_reply ?? interactive?.list_reply
  return (text?.body ?? choice?.title ?? button?.text ?? `[${type ?? 'message'}]`).slice(0, 500)
}

function wireMessage(draft: Record<string, unknown>, waId: string, input: Parsed): WireMessage {
  const from = input.hide_phone ? {} : { from: waId }
  const user = input.user_id === undefined ? {} : { from_user_id: input.user_id }
  const type = draft.type ?? (draft.text === undefined ? Object.keys(draft)[0] : 'text')
  return { ...from, ...user, timestamp: String(Math.floor(Date.now() / 1000)), ...draft, type, id: (draft.id as string | undefined) ?? newWamid() }
}

function contactOf(waId: string, input: Parsed) {
  return {
    profile: { name: input.name, ...(input.username === undefined ? {} : { username: input.username }) },
    ...(input.hide_phone ? {} : { wa_id: waId }),
    ...(input.user_id === undefined ? {} : { user_id: input.user_id }),
  }
}

/** A file from the control API becomes an inbound media id, as if the customer had sent a photo. */
function withFile(world: World, number: WhatsAppNumber, input: Parsed): Parsed {
  if (!input.file) return input
  const { base64, mime_type, filename, caption } = input.file
  const stored = world.media.put(number.phone_number_id, Buffer.from(base64, 'base64'), mime_type, 'inbound')
  const kind = ['image', 'audio', 'video'].find((prefix) => mime_type.startsWith(`${prefix}/`)) ?? 'document'
  const media = { id: stored.id, mime_type, sha256: stored.sha256, caption, filename: kind === 'document' ? (filename ?? 'file') : undefined }
  return { ...input, message: { type: kind, [kind]: media }, text: undefined }
}

export function findNumber(world: World, id: string | undefined): WhatsAppNumber {
  const number = id === undefined ? onlyNumber(world) : world.meta.whatsapp.get(id)
  if (!number) throw new ControlError(404, id === undefined ? 'Give phone_number_id: there is not exactly one WhatsApp number' : `WhatsApp number ${id} is not registered here`, 'phone_number_id')
  return number
}

function onlyNumber(world: World): WhatsAppNumber | undefined {
  const [first, ...others] = world.meta.whatsapp.values()
  return others.length === 0 ? first : undefined
}

export function destinationOf(number: WhatsAppNumber) {
  if (number.webhook_url === undefined) throw new ControlError(409, `WhatsApp number ${number.phone_number_id} has no webhook_url`, 'webhook_url')
  return { number: number.phone_number_id, url: number.webhook_url, secret: number.app_secret }
}
