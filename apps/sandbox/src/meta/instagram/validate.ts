import type { GraphRefusal } from '../errors.ts'
import { knownRefusal } from '../errors.ts'
import type { Loose } from '../whatsapp/shape.ts'
import { isObject } from '../whatsapp/shape.ts'
import { plain } from '../../plain.ts'

// Limits: developers.facebook.com/docs/instagram-platform/instagram-api-with-instagram-login/messaging-api and the
// Messenger Platform's Send API, quick replies and template references (2026).

const bad = (words: string): GraphRefusal => knownRefusal(100, { message: `(#100) ${words}` })

const SENDER_ACTIONS = new Set(['typing_on', 'typing_off', 'mark_seen', 'react', 'unreact'])
const ATTACHMENTS = new Set(['image', 'audio', 'video', 'file', 'template', 'MEDIA_SHARE', 'like_heart', 'sticker'])

/** What Graph would say about the body of `POST /{ig_id}/messages`; null when it is sound. */
export function validateInstagram(body: unknown): GraphRefusal | null {
  if (!isObject(body)) return bad('The body must be a JSON object.')
  const recipient = body.recipient as Loose | undefined
  if (!isObject(recipient) || (typeof recipient.id !== 'string' && typeof recipient.comment_id !== 'string')) return bad('The parameter recipient is required.')
  if (body.sender_action !== undefined) return actionRefusal(body)
  return tagRefusal(body) ?? messageRefusal(body.message)
}

function actionRefusal(body: Loose): GraphRefusal | null {
  if (body.message !== undefined) return bad('Only one of message, sender_action can be specified.')
  if (!SENDER_ACTIONS.has(body.sender_action as string)) return bad(`Param sender_action must be one of {${[...SENDER_ACTIONS].join(', ')}}`)
  if (body.sender_action !== 'react') return null
  const { message_id } = (body.payload ?? {}) as Loose
  return typeof message_id === 'string' ? null : bad('Param payload[message_id] is required.')
}

function tagRefusal({ messaging_type, tag }: Loose): GraphRefusal | null {
  if (messaging_type !== undefined && !['RESPONSE', 'UPDATE', 'MESSAGE_TAG'].includes(messaging_type as string)) return bad('Param messaging_type must be one of {RESPONSE, UPDATE, MESSAGE_TAG}')
  if (messaging_type === 'MESSAGE_TAG' && tag === undefined) return bad('Param tag is required when messaging_type is MESSAGE_TAG.')
  return tag === undefined || tag === 'HUMAN_AGENT' ? null : bad('Param tag must be one of {HUMAN_AGENT}')
}

function messageRefusal(message: unknown): GraphRefusal | null {
  if (!isObject(message)) return bad('The parameter message is required.')
  const { text, attachment, attachments } = message
  if (text === undefined && attachment === undefined && attachments === undefined) return bad('Message cannot be empty, must provide valid attachment or text.')
  if (text !== undefined && attachment !== undefined) return bad('Only one of text, attachment can be specified.')
  if (text !== undefined) {
    if (typeof text !== 'string' || text === '') return bad('Param message[text] must be a non-empty UTF-8 encoded string.')
    if (Buffer.byteLength(text) > 1000) return bad('Length of param message[text] must be less than or equal to 1000')
  }
  return quickReplyRefusal(message) ?? (attachment === undefined ? null : attachmentRefusal(attachment))
}

function quickReplyRefusal({ quick_replies: replies }: Loose): GraphRefusal | null {
  if (replies === undefined) return null
  if (!Array.isArray(replies) || replies.length === 0 || replies.length > 13) return bad('Param message[quick_replies] must have between 1 and 13 elements.')
  for (const [index, reply] of (replies as Loose[]).entries()) {
    const at = `message[quick_replies][${index}]`
    if (!['text', 'user_phone_number', 'user_email'].includes(reply?.content_type as string)) return bad(`Param ${at}[content_type] must be one of {text, user_phone_number, user_email}`)
    if (reply.content_type !== 'text') continue
    if (typeof reply.title !== 'string' || reply.title === '' || reply.title.length > 20) return bad(`Param ${at}[title] must be 1 to 20 characters long.`)
    if (typeof reply.payload !== 'string' || reply.payload.length > 1000) return bad(`Param ${at}[payload] must be at most 1000 characters long.`)
  }
  return null
}

function attachmentRefusal(attachment: unknown): GraphRefusal | null {
  if (!isObject(attachment) || !ATTACHMENTS.has(attachment.type as string)) return bad(`Param message[attachment][type] must be one of {${[...ATTACHMENTS].join(', ')}}`)
  const { type, payload } = attachment
  if (type === 'like_heart') return null
  if (!isObject(payload)) return bad('Param message[attachment][payload] is required.')
  if (type === 'template') return templateRefusal(payload)
  if (type === 'MEDIA_SHARE') return typeof payload.id === 'string' ? null : bad('Param message[attachment][payload][id] is required.')
  const hasUrl = typeof payload.url === 'string' && /^https?:\/\/\S+$/.test(payload.url)
  return hasUrl || typeof payload.attachment_id === 'string' ? null : bad('Param message[attachment][payload][url] should represent a valid URL')
}

function templateRefusal(payload: Loose): GraphRefusal | null {
  const at = 'message[attachment][payload]'
  if (payload.template_type === 'button') {
    if (typeof payload.text !== 'string' || payload.text === '' || payload.text.length > 640) return bad(`Param ${at}[text] must be 1 to 640 characters long.`)
    return buttonsRefusal(payload.buttons, `${at}[buttons]`, 1)
  }
  if (payload.template_type !== 'generic') return payload.template_type === 'product' ? null : bad(`Param ${at}[template_type] must be one of {generic, button, product}`)
  const { elements } = payload
  if (!Array.isArray(elements) || elements.length === 0 || elements.length > 10) return bad(`Param ${at}[elements] must have between 1 and 10 elements.`)
  for (const [index, element] of (elements as Loose[]).entries()) {
    const refusal = elementRefusal(element, `${at}[elements][${index}]`)
    if (refusal) return refusal
  }
  return null
}

function elementRefusal(element: Loose, at: string): GraphRefusal | null {
  if (typeof element?.title !== 'string' || element.title === '' || element.title.length > 80) return bad(`Param ${at}[title] must be 1 to 80 characters long.`)
  if (element.subtitle !== undefined && plain(element.subtitle).length > 80) return bad(`Param ${at}[subtitle] must be at most 80 characters long.`)
  return element.buttons === undefined ? null : buttonsRefusal(element.buttons, `${at}[buttons]`, 0)
}

function buttonsRefusal(buttons: unknown, at: string, min: number): GraphRefusal | null {
  if (!Array.isArray(buttons) || buttons.length < min || buttons.length > 3) return bad(`Param ${at} must have between ${min} and 3 elements.`)
  for (const [index, button] of (buttons as Loose[]).entries()) {
    if (button?.type !== 'web_url' && button?.type !== 'postback') return bad(`Param ${at}[${index}][type] must be one of {web_url, postback}`)
    if (typeof button.title !== 'string' || button.title === '' || button.title.length > 20) return bad(`Param ${at}[${index}][title] must be 1 to 20 characters long.`)
    const value = button.type === 'web_url' ? button.url : button.payload
    if (typeof value !== 'string' || value === '') return bad(`Param ${at}[${index}][${button.type === 'web_url' ? 'url' : 'payload'}] is required.`)
  }
  return null
}
