import { createHmac } from 'node:crypto'
import { expect, it } from 'vitest'
import { webhookMaker, WEBHOOK_BYTES } from './bodies.ts'

const targets = [{ id: 'a', address: '100000000000001' }, { id: 'b', address: '100000000000002' }]
const split = (request: string) => {
  const [head, body] = request.split('\r\n\r\n') as [string, string]
  return { head, body, value: JSON.parse(body).entry[0].changes[0].value }
}

it('a webhook of one message has the agreed size, its signature, and an id of its own', () => {
  const make = webhookMaker(targets, 'secret', { perBody: 1, bodyBytes: WEBHOOK_BYTES, customersPerNumber: 3, run: 'r' }, 'h')
  const made = [0, 1, 2, 3].map((n) => split(make(n)))
  for (const { head, body } of made) {
    expect(Buffer.byteLength(body)).toBe(WEBHOOK_BYTES)
    expect(head).toContain(`x-hub-signature-256: sha256=${createHmac('sha256', 'secret').update(body).digest('hex')}`)
  }
  expect(made.map(({ value }) => value.messages[0].id)).toEqual(['wamid.r.0', 'wamid.r.1', 'wamid.r.2', 'wamid.r.3'])
  expect(made.map(({ value }) => value.metadata.phone_number_id)).toEqual(['100000000000001', '100000000000002', '100000000000001', '100000000000002'])
  expect(made[0]!.value.messages[0].from).not.toBe(made[2]!.value.messages[0].from)
  expect(made[0]!.value.messages[0].from).not.toBe(made[1]!.value.messages[0].from)
})

it('a webhook of twenty messages numbers them through', () => {
  const make = webhookMaker(targets, 'secret', { perBody: 20, bodyBytes: 0, customersPerNumber: 50, run: 'r' }, 'h')
  expect(split(make(1)).value.messages.map((message: { id: string }) => message.id)).toEqual(Array.from({ length: 20 }, (_, index) => `wamid.r.${20 + index}`))
})
