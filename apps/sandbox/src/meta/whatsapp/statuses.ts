import type { Fault } from '../../faults/fault.ts'
import type { FaultTable } from '../../faults/table.ts'
import { errorTitle } from '../errors.ts'
import type { StatusScript, WhatsAppNumber } from '../registry.ts'
import type { WebhookSender } from '../webhook-sender.ts'
import { envelope } from './envelope.ts'

export type AcceptedMessage = { id: string; to: string; isUserId: boolean; callbackData?: string; category: string; /** Meta refuses it after acceptance with this code. */ failsWith?: number }

type Script = Exclude<StatusScript, false>

/** Tells what became of a message: sent, delivered, read, one webhook each, as scripted for the number or by a fault. */
export class StatusTeller {
  readonly #sender: WebhookSender
  readonly #faults: FaultTable

  constructor(sender: WebhookSender, faults: FaultTable) {
    this.#sender = sender
    this.#faults = faults
  }

  tell(number: WhatsAppNumber, message: AcceptedMessage): void {
    if (number.statuses === false || number.webhook_url === undefined) return
    const fault = this.#faults.pick('whatsapp.status', { number: number.phone_number_id, to: message.to })
    if (fault?.action.drop) return
    const script = scriptFor(number.statuses, fault, message)
    const told = script.sequence.flatMap((status) => Array.from({ length: script.copies }, () => status))
    void this.#play(number, message, told, script)
  }

  async #play(number: WhatsAppNumber, message: AcceptedMessage, told: string[], script: Script): Promise<void> {
    // Real statuses come after the answer to the send; the pause gives the caller that head start.
    await this.#sender.pause(Math.max(1, script.delayMs))
    for (const [index, status] of told.entries()) {
      if (index > 0 && script.delayMs > 0) await this.#sender.pause(script.delayMs)
      const payload = statusPayload(number, message, status, script.errorCode)
      await this.#sender.deliver({ number: number.phone_number_id, url: number.webhook_url!, secret: number.app_secret }, `status.${status}`, payload)
    }
  }
}

function scriptFor(base: Script, fault: Fault | undefined, message: AcceptedMessage): Script {
  if (message.failsWith !== undefined) return { ...base, sequence: ['failed'], errorCode: message.failsWith }
  if (!fault) return base
  const { action } = fault
  const errorCode = action.errorCode === undefined ? base.errorCode : Number(action.errorCode)
  const sequence = action.statuses ?? (action.errorCode === undefined ? base.sequence : ['failed' as const])
  return { sequence, errorCode, copies: action.copies ?? base.copies, delayMs: action.delayMs ?? base.delayMs }
}

/** One `statuses[]` webhook. Prices per message since 1 July 2025 (`PMP`), service messages too since 1 October 2026. */
function statusPayload(number: WhatsAppNumber, message: AcceptedMessage, status: string, errorCode: number) {
  const told: Record<string, unknown> = { id: message.id, status, timestamp: String(Math.floor(Date.now() / 1000)), recipient_id: message.to }
  if (message.isUserId) {
    delete told.recipient_id
    told.recipient_user_id = message.to
  }
  if (message.callbackData !== undefined) told.biz_opaque_callback_data = message.callbackData
  if (status === 'failed') told.errors = [failure(errorCode)]
  else told.pricing = { billable: true, pricing_model: 'PMP', category: message.category, type: 'regular' }
  return envelope(number, [{ statuses: [told] }])
}

function failure(code: number) {
  const title = errorTitle(code)
  return { code, title, message: title, error_data: { details: title }, href: 'https://developers.facebook.com/documentation/business-messaging/whatsapp/support/error-codes' }
}
