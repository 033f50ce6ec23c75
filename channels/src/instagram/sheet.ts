import { AppError, type OutboundContent, type RenderContext } from '@trunkline/core'
import type { Json } from '../json.ts'
import { leadAndBody, Rendering, textParts } from '../rendering.ts'
import { LIMITS } from './wire.ts'

/** A sheet of Send API requests to one person; the first one quotes. */
export class Sheet extends Rendering {
  readonly #base: Json
  #quote: Json

  constructor(context: RenderContext) {
    super()
    if (context.to.kind !== 'igsid' || !/^[\w.-]{1,255}$/.test(context.to.value)) {
      throw new AppError('invalid_request', { message: 'Instagram reaches an Instagram-scoped id.', param: 'to' })
    }
    this.#base = { recipient: { id: context.to.value }, messaging_type: 'RESPONSE' }
    // Beside `message`, as in the Send API of Messenger (send-messages, "reply_to"); Instagram has it since December 2025.
    this.#quote = context.replyTo ? { reply_to: { mid: context.replyTo } } : {}
  }

  send(kind: OutboundContent['kind'], message: Json, text: string): void {
    this.add(kind, { ...this.#base, ...this.#quote, message }, text)
    this.#quote = {}
  }

  text(text: string): void {
    const parts = textParts(text, LIMITS.textBytes, 'utf8_bytes')
    if (parts.length > 1) this.degrade('text', `${parts.length} texts`, `longer than ${LIMITS.textBytes} bytes`)
    if (parts.length === 0) this.degrade('text', 'nothing', 'there is nothing to see in it')
    for (const part of parts) this.send('text', { text: part }, part)
  }

  /** The text that stands above buttons; what does not fit goes ahead. */
  body(text: string, max: number): string {
    const { lead, body } = leadAndBody(text, { body: max, text: LIMITS.textBytes, unit: 'utf8_bytes' })
    if (lead.length > 0) this.degrade('text', 'text ahead of the buttons', `longer than ${max} bytes`)
    for (const part of lead) this.send('text', { text: part }, part)
    return body
  }

  template(kind: OutboundContent['kind'], payload: Json, text: string): void {
    this.send(kind, { attachment: { type: 'template', payload } }, text)
  }
}
