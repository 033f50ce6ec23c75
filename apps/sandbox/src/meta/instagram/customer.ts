import { z } from 'zod'
import { ControlError } from '../../control/input.ts'
import type { World } from '../../world.ts'
import { newMid } from '../ids.ts'
import type { InstagramAccount } from '../registry.ts'
import type { Delivery } from '../webhook-sender.ts'

const Raw = z.looseObject({})

/** What a customer does on Instagram. Give `text`, `message`, `event` (a raw messaging object) or several `events`. */
export const InstagramCustomerMessage = z.strictObject({
  ig_id: z.string().max(32).optional(),
  text: z.string().min(1).max(65_536).optional(),
  /** A raw `message` object; mid is filled in when absent. */
  message: Raw.optional(),
  /** A raw member of `messaging[]`: postback, reaction, read, referral, ... */
  event: Raw.optional(),
  events: z.array(Raw).min(1).max(1000).optional(),
  /** Sends this file as an attachment with a signed address that needs no token. */
  file: z.strictObject({ base64: z.string().max(35_000_000), mime_type: z.string().max(255) }).optional(),
  /** How `events` are packed. */
  batch: z.enum(['messaging', 'entries']).default('messaging'),
  name: z.string().max(512).optional(),
  username: z.string().max(255).optional(),
})
export type InstagramCustomerInput = z.input<typeof InstagramCustomerMessage>
type Parsed = z.output<typeof InstagramCustomerMessage>
type Messaging = Record<string, unknown>

export type InstagramCustomerSent = { ids: string[]; delivery: Delivery }

/** Builds the webhook that Instagram would send and delivers it; resolves after the first attempt. */
export async function instagramCustomerWrites(world: World, igsid: string, input: Parsed): Promise<InstagramCustomerSent> {
  const account = findAccount(world, input.ig_id)
  const { ids, payload } = instagramInbound(account, igsid, withFile(world, account, input))
  world.meta.noteCustomer(account.ig_id, igsid)
  world.meta.nameCustomer(igsid, input.name ?? 'Sandbox Customer', input.username ?? `customer_${igsid.slice(-6)}`)
  for (const event of payload.entry.flatMap((entry) => entry.messaging)) {
    const { mid, text, title } = (event.message ?? event.postback ?? {}) as { mid?: string; text?: string; title?: string }
    world.journal.add({ target: 'instagram.customer', outcome: 'accepted', status: 0, number: account.ig_id, to: igsid, id: mid, kind: input.name, text: (text ?? title)?.slice(0, 500) ?? `[${Object.keys(event).at(-1)}]` })
  }
  const delivery = await world.webhooks.deliver(accountDestination(account), 'message', payload)
  return { ids, delivery }
}

/** Pure: the payload of a customer's action(s). */
export function instagramInbound(account: InstagramAccount, igsid: string, input: Parsed) {
  const events = drafts(input).map((draft) => messaging(account, igsid, draft))
  const ids = events.flatMap((event) => {
    const mid = (event.message as { mid?: string } | undefined)?.mid
    return mid === undefined ? [] : [mid]
  })
  return { ids, payload: instagramEnvelope(account, events, input.batch) }
}

export function instagramEnvelope(account: InstagramAccount, events: Messaging[], batch: 'messaging' | 'entries' = 'messaging') {
  const groups = batch === 'messaging' ? [events] : events.map((event) => [event])
  return { object: 'instagram', entry: groups.map((group) => ({ id: account.ig_id, time: Date.now(), messaging: group })) }
}

function withFile(world: World, account: InstagramAccount, input: Parsed): Parsed {
  if (!input.file) return input
  const { base64, mime_type } = input.file
  const stored = world.media.put(account.ig_id, Buffer.from(base64, 'base64'), mime_type, 'inbound')
  const type = ['image', 'audio', 'video'].find((prefix) => mime_type.startsWith(`${prefix}/`)) ?? 'file'
  const url = `${world.publicUrl()}/sandbox-media/${world.media.link(stored.id, true)}`
  return { ...input, message: { ...input.message, attachments: [{ type, payload: { url } }] } }
}

function drafts(input: Parsed): Messaging[] {
  if (input.events) return input.events
  if (input.event) return [input.event]
  if (input.message) return [{ message: input.message }]
  if (input.text !== undefined) return [{ message: { text: input.text } }]
  throw new ControlError(400, 'body: give text, message, event or events', 'text')
}

function messaging(account: InstagramAccount, igsid: string, draft: Messaging): Messaging {
  const event: Messaging = { sender: { id: igsid }, recipient: { id: account.ig_id }, timestamp: Date.now(), ...draft }
  if (event.message) event.message = { mid: newMid(), ...event.message }
  return event
}

export function findAccount(world: World, id: string | undefined): InstagramAccount {
  const [first, ...others] = world.meta.instagram.values()
  const account = id === undefined ? (others.length === 0 ? first : undefined) : world.meta.instagram.get(id)
  if (!account) throw new ControlError(404, id === undefined ? 'Give ig_id: there is not exactly one Instagram account' : `Instagram account ${id} is not registered here`, 'ig_id')
  return account
}

export function accountDestination(account: InstagramAccount) {
  if (account.webhook_url === undefined) throw new ControlError(409, `Instagram account ${account.ig_id} has no webhook_url`, 'webhook_url')
  return { number: account.ig_id, url: account.webhook_url, secret: account.app_secret }
}
