import type { WhatsAppNumber } from '../registry.ts'

/** `{object, entry[].changes[].value}` around the values, one change for each. */
export function envelope(number: WhatsAppNumber, values: Record<string, unknown>[], field = 'messages') {
  const metadata = { display_phone_number: number.display_phone_number, phone_number_id: number.phone_number_id }
  const changes = values.map((value) => ({ value: { messaging_product: 'whatsapp', metadata, ...value }, field }))
  return { object: 'whatsapp_business_account', entry: [{ id: number.waba_id, changes }] }
}
