import { createHmac } from 'node:crypto'

export type Target = { id: string; address: string }
export type BodyShape = {
  /** Messages in one body. */
  perBody: number
  /** Of a body with one message; Meta's text message is about this long. */
  bodyBytes: number
  customersPerNumber: number
  /** Goes into every id and keeps runs apart. */
  run: string
}
export const WEBHOOK_BYTES = 615

/**
 * Signed WhatsApp webhooks, the n-th one of a run: numbers in turn, then their customers in turn, so that a conversation is
 * written to as seldom as can be. Ids are `wamid.<run>.<n>` and never repeat.
 */
export function webhookMaker(targets: readonly Target[], secret: string, shape: BodyShape, host: string): (n: number) => string {
  const timestamp = String(Math.floor(Date.now() / 1_000))
  return (n) => {
    const target = targets[n % targets.length]!
    const round = Math.floor(n / targets.length)
    const body = bodyOf(target, n, round, shape, timestamp)
    const signature = createHmac('sha256', secret).update(body).digest('hex')
    return `POST /webhooks/whatsapp/${target.id} HTTP/1.1\r\nhost: ${host}\r\ncontent-type: application/json\r\nx-hub-signature-256: sha256=${signature}\r\ncontent-length: ${body.length}\r\n\r\n${body}`
  }
}

function bodyOf(target: Target, n: number, round: number, shape: BodyShape, timestamp: string): string {
  const messages = Array.from({ length: shape.perBody }, (_, index) => {
    const nth = n * shape.perBody + index
    const customer = (round * shape.perBody + index) % shape.customersPerNumber
    const from = `49${target.address.slice(-7)}${String(customer).padStart(5, '0')}`
    return { from, id: `wamid.${shape.run}.${nth}` }
  })
  const body = (fill: string) =>
    JSON.stringify({
      object: 'whatsapp_business_account',
      entry: [{
        id: '109900000000001',
        changes: [{
          field: 'messages',
          value: {
            messaging_product: 'whatsapp',
            metadata: { display_phone_number: '15005550999', phone_number_id: target.address },
            contacts: [{ profile: { name: 'Ada Lovelace' }, wa_id: messages[0]!.from }],
            messages: messages.map(({ from, id }) => ({ from, id, timestamp, type: 'text', text: { body: `When do you open, and can I bring my bike today?${fill}` } })),
          },
        }],
      }],
    })
  const bare = body('')
  return shape.perBody > 1 ? bare : body(' '.repeat(Math.max(0, shape.bodyBytes - bare.length - 1)) + '.')
}
