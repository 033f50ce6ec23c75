import { AppError, type OutboundContent, type RenderContext } from '@trunkline/core'
import type { Json } from '../json.ts'
import { leadAndBody, Rendering, textParts } from '../rendering.ts'
import { LIMITS } from './wire.ts'

/** A sheet of Cloud API requests to one person; the first one quotes. */
export class Sheet extends Rendering {
  readonly #base: Json
  #quote: Json

  constructor(context: RenderContext) {
    super()
    this.#base = { messaging_product: 'whatsapp', recipient_type: 'individual', ...address(context.to) }
    this.#quote = context.replyTo ? { context: { message_id: context.replyTo } } : {}
  }

  send(kind: OutboundContent['kind'], payload: Json, text: string): void {
    this.add(kind, { ...this.#base, ...this.#quote, ...payload }, text)
    this.#quote = {}
  }

  text(text: string): void {
    const parts = textParts(text, LIMITS.text, 'characters')
    if (parts.length > 1) this.degrade('text', `${parts.length} texts`, `longer than ${LIMITS.text} characters`)
    if (parts.length === 0) this.degrade('text', 'nothing', 'there is nothing to see in it')
    for (const part of parts) this.send('text', { type: 'text', text: { body: part, ...(/https?:\/\//.test(part) && { preview_url: true }) } }, part)
  }

  /** The text that stands above buttons; what does not fit goes ahead. */
  body(text: string, max: number): string {
    const { lead, body } = leadAndBody(text, { body: max, text: LIMITS.text, unit: 'characters' })
    if (lead.length > 0) this.degrade('text', 'text ahead of the buttons', `longer than ${max} characters`)
    for (const part of lead) this.send('text', { type: 'text', text: { body: part } }, part)
    return body
  }

  interactive(kind: OutboundContent['kind'], interactive: Json, text: string): void {
    this.send(kind, { type: 'interactive', interactive }, text)
  }
}

/** A phone goes into `to`, a business-scoped user id into `recipient` (business-scoped-user-ids, 28 May 2026). */
function address(to: RenderContext['to']): Json {
  if (to.kind === 'phone' && /^\+?\d{5,20}$/.test(to.value)) return { to: to.value.replace('+', '') }
  if (to.kind === 'wa_user_id' && /^[A-Z]{2}\.[A-Za-z0-9.]{1,132}$/.test(to.value)) return { recipient: to.value }
  throw new AppError('invalid_request', { message: 'WhatsApp reaches a phone number or a WhatsApp user id.', param: 'to' })
}
