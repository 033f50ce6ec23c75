import type { Channel, MessageChannelId } from '@trunkline/core'
import { instagram } from './instagram/index.ts'
import { webchat } from './webchat/index.ts'
import { whatsapp } from './whatsapp/index.ts'

/** All channels. Adding one is a folder and a line here. */
export const channels: Record<MessageChannelId, Channel> = { whatsapp, instagram, webchat }

export { instagram, webchat, whatsapp }
export { EVENTS_MAX } from './events.ts'
export { createGraphAgent } from './graph.ts'
export { toPlain, toWhatsApp } from './markdown.ts'
export { clip, measure, shorten, splitText, type TextUnit } from './text.ts'
export { isOriginAllowed, Settings as WebchatSettings, WidgetMessage, WidgetTyping } from './webchat/wire.ts'
export { SendRequest as WhatsAppSendRequest } from './whatsapp/wire.ts'
export { SendRequest as InstagramSendRequest, SenderAction as InstagramSenderAction } from './instagram/wire.ts'
/** Telephony suppliers: not message channels, so not in the list above. */
export * from './carriers/index.ts'
/** A wire, not a channel: OpenAI's Realtime protocol, for the voice app's sockets. */
export * as realtime from './realtime/index.ts'
