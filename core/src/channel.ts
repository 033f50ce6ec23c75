import type { ZodType } from 'zod'
import { z } from 'zod'
import type { MediaRef, OutboundContent } from './content.ts'
import { AppError } from './errors.ts'
import type { InboundEvent } from './inbound.ts'

/** Channels of messages: each has a `Channel` object. */
export const MessageChannelId = z.enum(['whatsapp', 'instagram', 'webchat'])
export type MessageChannelId = z.infer<typeof MessageChannelId>

/** What a number can be of. `voice` is carried by telephony suppliers and has calls instead of messages. */
export const ChannelId = z.enum([...MessageChannelId.options, 'voice'])
export type ChannelId = z.infer<typeof ChannelId>

/** The same id, known to be one of messages. Throws AppError `invalid_state` for a telephone number: nothing can be written from it. */
export function messageChannel(id: ChannelId): MessageChannelId {
  if (id === 'voice') throw new AppError('invalid_state', { message: 'A telephone number carries calls, not messages.', details: { channel: id } })
  return id
}

/** What a channel can show natively; `render` degrades the rest. Units in the names. */
export type Capabilities = {
  textMax: number
  /** WhatsApp counts characters, Instagram bytes of UTF-8. */
  textUnit: 'characters' | 'utf8_bytes'
  captionMax: number
  buttonsMax: number
  buttonTitleMax: number
  listRowsMax: number
  native: ReadonlySet<OutboundContent['kind']>
  mediaBytesMax: Record<'image' | 'audio' | 'video' | 'document' | 'sticker', number>
  /** Replies are free-form only this long after the customer's last message; null: no window. */
  windowMs: number | null
  templates: boolean
  typing: boolean
  reactions: boolean
  /** How an `unknown` send outcome is found again. */
  reconciles: 'callback_data' | 'echo' | 'local'
}

/** The raw request as it came, before any parsing: signatures are over these bytes. Header names are lower case. */
export type RawWebhook = { headers: Record<string, string | undefined>; body: Buffer; query: Record<string, string | undefined> }

/** Secrets and settings of one number, decrypted. Each channel's zod schemas validate them. */
export type NumberConfig<Credentials = Record<string, unknown>, Settings = Record<string, unknown>> = {
  numberId: string
  /** Our address at the supplier. */
  address: string
  credentials: Credentials
  settings: Settings
}

/** One HTTP request (or one local delivery) to the supplier. `body` is JSON. */
export type WireRequest = { kind: OutboundContent['kind']; body: Record<string, unknown>; /** Plain words, for the archive. */ text: string }

/** Said on the message: what was asked, what was sent instead, and why. */
export type Degradation = { from: string; to: string; reason: string }

export type Rendered = { requests: WireRequest[]; degradations: Degradation[] }

export type RenderContext = {
  /** The contact's strongest address on this channel. */
  to: { kind: string; value: string }
  /** Supplier's id of the message to quote. */
  replyTo?: string
}

/** What we do about a supplier's refusal. The number, pair and account policies act on more than this message. */
export type RejectionPolicy =
  | 'final' // never again: bad request, undeliverable
  | 'retry' // transient: back off, the head of the line stays
  | 'pair_rate' // too fast for this contact
  | 'number_rate' // too fast for this number
  | 'window_closed' // park, offer a template
  | 'opt_out' // the contact stopped us
  | 'template_fault' // final, and the template is flagged
  | 'media_fault' // send the link as text instead
  | 'stop_number' // nothing of this number can be sent until a person acts
  | 'reconnect' // token or permission: stop the number, ask to reconnect

export type SendOutcome =
  | { status: 'accepted'; providerMessageId: string }
  | { status: 'rejected'; policy: RejectionPolicy; code: string; message: string; retryAfterMs?: number }
  /** The request left and no answer came (time-out, reset, crash): it may have been delivered. Never silently sent again. */
  | { status: 'unknown'; reason: string }

export type SendOptions = { /** Echoed in status webhooks where the supplier can (512 characters at most). */ callbackData: string; signal: AbortSignal }

export type FetchedMedia = { bytes: Uint8Array; mimeType: string }

/** The only I/O of a channel. It never throws for a supplier's answer: that is an outcome. */
export type ChannelClient = {
  send(number: NumberConfig, request: WireRequest, options: SendOptions): Promise<SendOutcome>
  /** Shows "typing…" to the contact; failures are swallowed: it is a courtesy. */
  typing(number: NumberConfig, to: RenderContext['to'], inReplyTo: string, signal: AbortSignal): Promise<void>
  /** Throws AppError `upstream_failed` (try later), `upstream_rejected` or `not_found` (for ever). */
  fetchMedia(number: NumberConfig, media: MediaRef, maxBytes: number, signal: AbortSignal): Promise<FetchedMedia>
  /** Asks the supplier whether the credentials work; throws AppError `invalid_credentials` naming the field. */
  check(number: NumberConfig, signal: AbortSignal): Promise<void>
}

/** What a client needs from the process. `request` is for web chat, whose supplier is ourselves. */
export type ChannelClientDeps = {
  /** Base address of the supplier, e.g. `https://graph.facebook.com`; the sandbox in tests. */
  baseUrl: string
  timeoutMs: number
  /** Web chat only: hands a message to the visitor's live sockets of all processes. */
  deliverLocal?: (numberId: string, visitorId: string, payload: Record<string, unknown>) => Promise<void>
}

/** One channel: a folder of its own with the same files. Adding one is a folder and a line in the list. */
export type Channel = {
  id: MessageChannelId
  can: Capabilities
  /** Secrets of a number (access token, app secret, verify token): stored encrypted. */
  credentials: ZodType<Record<string, unknown>>
  settings: ZodType<Record<string, unknown>>
  /** Webhook handshake: the text to answer with, or null to refuse. */
  challenge(query: RawWebhook['query'], number: NumberConfig): string | null
  /** Constant time over the raw bytes; false when anything is missing. */
  verify(raw: RawWebhook, number: NumberConfig): boolean
  /** Pure. Every level of a batched payload is looped; what is not for us is an empty list; throws AppError `invalid_request` for a body that is not the supplier's. */
  normalise(body: unknown, nowMs: number): InboundEvent[]
  /** Pure. Splits, degrades and escapes by `can`, and says what it degraded. */
  render(content: OutboundContent, context: RenderContext): Rendered
  client(deps: ChannelClientDeps): ChannelClient
}
