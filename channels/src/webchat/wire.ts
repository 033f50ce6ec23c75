import { z } from 'zod'

/** Our own wire: what the widget says through the app's socket or REST handler, what it is told, and the settings of a chat. */

export const LIMITS = { text: 65_536, preChatFields: 10, originsMax: 100 } as const

/** The visitor's session is a token of the app; the channel itself keeps no secret. */
export const Credentials = z.object({})

/** `https://shop.example.com`, `https://*.example.com` (one or more labels), or a local `http://localhost:3000` while building. */
const ORIGIN = /^(?:https:\/\/(?:\*\.)?(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z][a-z0-9-]{0,61}[a-z0-9](?::\d{1,5})?|http:\/\/(?:localhost|127\.0\.0\.1)(?::\d{1,5})?)$/
const Origin = z.string().max(300).regex(ORIGIN, 'Expected an origin such as https://shop.example.com or https://*.example.com')

const FieldName = z.string().regex(/^[a-z][a-z0-9_]{0,39}$/, 'Expected lower-case letters, digits and _')
const PreChatField = z.object({
  name: FieldName,
  label: z.string().min(1).max(80),
  type: z.enum(['text', 'email', 'phone']),
  required: z.boolean().default(false),
})

export const Settings = z.object({
  /** Pages that may open this chat. Empty: none. */
  allowed_origins: z.array(Origin).max(LIMITS.originsMax).default([]),
  /** Lets clients without a page (apps, servers) in, which send no `Origin`. */
  allow_missing_origin: z.boolean().default(false),
  title: z.string().min(1).max(60).default('Chat with us'),
  greeting: z.string().max(500).default('Hello! How can we help?'),
  accent_colour: z.string().regex(/^#[0-9a-f]{6}$/i, 'Expected a colour such as #1a73e8').default('#1a73e8'),
  launcher_position: z.enum(['bottom_right', 'bottom_left']).default('bottom_right'),
  pre_chat_fields: z.array(PreChatField).max(LIMITS.preChatFields).default([]),
})
export type Settings = z.infer<typeof Settings>

/** Ids travel in URLs, logs and message ids. */
const Token = z.string().regex(/^[\w-]{1,128}$/, 'Expected 1 to 128 letters, digits, _ or -')
/** Text that Postgres can store. */
const text = (max: number) => z.string().max(max).refine((value) => value.isWellFormed() && !value.includes('\u0000'), 'Expected well-formed text without U+0000')
const shown = (max: number) => text(max).refine((value) => value.trim().length > 0, 'Expected visible text')

/** Ids that others gave: anything visible that can be stored. */
const Reference = shown(512).regex(/^[^\u0000-\u001f\u007f]+$/, 'Expected no control characters')

const base = {
  /** Our number's id: the session token says which chat it is, the app adds it. */
  number_id: Token,
  visitor_id: Token,
  at_ms: z.number().int().min(0).max(8.64e15).optional(),
}

const Choice = z.strictObject({ id: shown(256), title: shown(255) })
const Media = z.strictObject({
  /** Row of the media table: the app stored the upload before. */
  media_id: z.uuid(),
  mime_type: text(255).optional(),
  filename: text(1024).optional(),
  size_bytes: z.number().int().nonnegative().optional(),
  caption: text(4096).optional(),
})

export const VisitorMessage = z
  .strictObject({
    ...base,
    type: z.literal('message'),
    /** Chosen by the widget, kept while it retries: the same id is the same message. */
    client_message_id: Token,
    text: shown(LIMITS.text).optional(),
    choice: Choice.optional(),
    media: Media.optional(),
    /** Short for `media` with nothing else known. */
    media_id: z.uuid().optional(),
    reply_to: Reference.optional(),
    page_url: z.url({ protocol: /^https?$/ }).max(4096).refine((value) => value.isWellFormed(), 'Expected well-formed text').optional(),
    page_title: text(512).optional(),
    name: text(512).optional(),
    /** What the visitor filled in before the chat. Claims, not proofs: they never become identities. */
    pre_chat: z.record(FieldName, text(512)).refine((fields) => Object.keys(fields).length <= LIMITS.preChatFields, `At most ${LIMITS.preChatFields} fields`).optional(),
  })
  .refine((message) => [message.text, message.choice, message.media ?? message.media_id].filter((part) => part !== undefined).length === 1, { message: 'Expected exactly one of text, choice and media', path: ['text'] })

/** The visitor saw everything up to a time, or one message. */
export const VisitorReceipt = z.strictObject({ ...base, type: z.enum(['delivered', 'read']), message_id: Reference.optional(), up_to_ms: z.number().int().min(0).max(8.64e15).optional() }).refine((receipt) => receipt.message_id !== undefined || receipt.up_to_ms !== undefined, { message: 'Expected message_id or up_to_ms', path: ['message_id'] })

export const VisitorReaction = z.strictObject({ ...base, type: z.literal('reaction'), message_id: Reference, client_message_id: Token, emoji: text(64).min(1).nullable() })

/** Without a `type` a body is a message. */
export const VisitorEvent = z.discriminatedUnion('type', [VisitorMessage, VisitorReceipt, VisitorReaction])
export type VisitorEvent = z.infer<typeof VisitorEvent>

/** What a widget is told. `id` stays the same when it is told again: it shows a message once. */
export const WidgetMessage = z.strictObject({
  type: z.literal('message'),
  id: z.string().min(1).max(600),
  content: z.looseObject({ kind: z.string() }),
  reply_to: z.string().optional(),
})
export const WidgetTyping = z.strictObject({ type: z.literal('typing'), in_reply_to: z.string() })
/** A rendered request before the client gives it an id. */
export const SendRequest = z.strictObject({ visitor_id: z.string().min(1), content: z.looseObject({ kind: z.string() }), reply_to: z.string().optional() })

/** Is a page's `Origin` header on the list? Exact, or one level or more below a `*.` entry. Never by prefix: `https://example.com.evil.test` is not `https://example.com`. */
export function isOriginAllowed(origin: string | undefined, allowed: readonly string[]): boolean {
  if (!origin || origin.length > 300) return false
  const given = origin.toLowerCase()
  return allowed.some((entry) => {
    const [scheme, host] = entry.toLowerCase().split('://')
    if (!scheme || !host) return false
    return host.startsWith('*.') ? given.startsWith(`${scheme}://`) && given.endsWith(host.slice(1)) && isHost(given.slice(scheme.length + 3)) : given === entry.toLowerCase()
  })
}

/** Labels and an optional port only, and something before the first dot. */
const isHost = (host: string): boolean => /^[a-z0-9-]+(?:\.[a-z0-9-]+)*(?::\d{1,5})?$/.test(host)
