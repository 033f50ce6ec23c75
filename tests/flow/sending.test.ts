import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { applyReceipts, ledger, recordSends, resendUnsent, settleReconciled } from '@trunkline/db'
import type { Business, Json, OurNumber } from './business.ts'
import { register } from './business.ts'
import { newCustomer, post, whatsappBody, whatsappValue } from './post.ts'
import { openTown, type Town } from './town.ts'

let town: Town
let business: Business
beforeAll(async () => {
  town = await openTown({ settings: { SEND_TIMEOUT_MS: '1000' } })
  business = await town.business()
})
afterAll(() => town?.close())

type Row = Record<string, Json>
const SPENT = "SELECT coalesce(sum(e.amount_micros), 0)::text AS spent, count(*)::int FROM entries e JOIN transfers t ON t.id = e.transfer_id WHERE t.turn_id = $1 AND e.account = 'spent'"
const attempts = (number: OurNumber) => town.sandbox.journal.query({ target: 'whatsapp.send', number: number.address })
const outbound = (number: OurNumber, check: (row: Row) => boolean) => town.until<Row>("SELECT * FROM messages WHERE number_id = $1 AND direction = 'outbound'", [number.id], (rows) => rows.length > 0 && rows.every(check))
const turn = (number: OurNumber, check: (row: Row) => boolean) => town.until<Row>('SELECT * FROM turns WHERE number_id = $1', [number.id], (rows) => rows.length === 1 && check(rows[0]!)).then((rows) => rows[0]!)
const say = async (number: OurNumber, text: string, customer = newCustomer()) => {
  expect((await post(number, whatsappBody(number, customer, [text]))).status).toBe(200)
  return customer
}
const status = (number: OurNumber, id: string, state: string, extra: Row = {}) => post(number, whatsappValue(number, { statuses: [{ id, status: state, timestamp: String(Math.floor(Date.now() / 1_000)), recipient_id: '4915', ...extra }] }))

describe('an answer that got lost', () => {
  it('accepted, then silence: unknown, found again by its callback data, charged once, never sent again', async () => {
    const number = await business.number({ sandbox: { statuses: { sequence: ['read'], delayMs: 1_800 } } })
    town.sandbox.faults.add({ target: 'whatsapp.send', match: { phone_number_id: number.address }, times: 1, action: { acceptThenHang: true } })
    await say(number, 'Hello')
    const unknown = await turn(number, (row) => row['state'] === 'retired')
    expect(unknown).toMatchObject({ outcome: 'unknown', reason: 'outcome_unknown' })
    expect((await outbound(number, (row) => row['status'] === 'unknown'))).toHaveLength(1)
    expect(await town.rows('SELECT state FROM holds WHERE turn_id = $1', [unknown['id']])).toEqual([{ state: 'held' }])

    const found = await outbound(number, (row) => row['status'] === 'read')
    expect(found[0]!['provider_message_id']).toBe(attempts(number)[0]!.id)
    const settled = await turn(number, (row) => row['outcome'] === 'sent')
    expect(await town.rows('SELECT state FROM holds WHERE turn_id = $1', [settled['id']])).toEqual([{ state: 'settled' }])
    expect(await town.rows(SPENT, [settled['id']])).toEqual([{ spent: settled['cost_micros'], count: 1 }])
    expect(attempts(number)).toHaveLength(1)
  })

  it('a receipt that comes while the answer is still awaited settles the turn; bug: it stayed unknown and was never charged', async () => {
    const number = await business.number()
    town.sandbox.faults.add({ target: 'whatsapp.send', match: { phone_number_id: number.address }, times: 1, action: { acceptThenHang: true } })
    await say(number, 'Hello')
    const sent = await turn(number, (row) => row['state'] === 'retired')
    expect(sent).toMatchObject({ outcome: 'sent', reason: null })
    expect(await town.rows('SELECT state FROM holds WHERE turn_id = $1', [sent['id']])).toEqual([{ state: 'settled' }])
    expect(await town.rows(SPENT, [sent['id']])).toEqual([{ spent: sent['cost_micros'], count: 1 }])
    expect(attempts(number)).toHaveLength(1)
  })

  it.each([
    ['accepted', { state: 'accepted', providerMessageId: 'wamid.late' }, 'sent', 'settled', 'sent'],
    ['never sent', { state: 'pending', retryAt: new Date() }, 'failed', 'voided', 'failed'],
  ] as const)('what a frozen worker knows when it wakes (%s) settles the turn that its successor called unknown', async (_what, word, outcome, hold, message) => {
    const number = await business.number({ sandbox: { statuses: false } })
    town.sandbox.faults.add({ target: 'whatsapp.send', match: { phone_number_id: number.address }, times: 1, action: { acceptThenReset: true } })
    await say(number, 'Hello')
    const unknown = await turn(number, (row) => row['outcome'] === 'unknown')
    const [part] = await town.rows<{ id: string }>('SELECT id FROM outbox WHERE turn_id = $1', [unknown['id']])
    await town.db.system('queue', async (tx) => settleReconciled(tx, await recordSends(tx, [{ outboxId: part!.id, ...word }])))
    expect(await turn(number, () => true)).toMatchObject({ outcome })
    expect(await town.rows('SELECT state FROM holds WHERE turn_id = $1', [unknown['id']])).toEqual([{ state: hold }])
    expect((await outbound(number, () => true))[0]).toMatchObject({ status: message })
    expect(await town.rows("SELECT 1 FROM outbox WHERE turn_id = $1 AND state IN ('pending', 'sending')", [unknown['id']])).toEqual([])
  })

  it.each([['once', false], ['not when a person has taken the conversation over', true]] as const)('what has become known never to have left goes out again by itself, paid for once: %s', async (_what, takenOver) => {
    const number = await business.number({ sandbox: { statuses: false } })
    town.sandbox.faults.add({ target: 'whatsapp.send', match: { phone_number_id: number.address }, times: 1, action: { acceptThenReset: true } })
    await say(number, 'Hello')
    const unknown = await turn(number, (row) => row['outcome'] === 'unknown')
    const [part] = await town.rows<{ id: string; message_id: string }>('SELECT id, message_id FROM outbox WHERE turn_id = $1', [unknown['id']])
    const [known] = await town.db.system('queue', async (tx) => {
      const told = await recordSends(tx, [{ outboxId: part!.id, state: 'pending', retryAt: new Date() }])
      await settleReconciled(tx, told)
      return told
    })
    expect(known!.resend).toBe(part!.message_id)
    if (takenOver) await business.ok('PATCH', `/v1/conversations/${unknown['conversation_id']}`, { handler: 'human' })
    const again = await Promise.all([1, 2].map(() => town.db.system('queue', (tx) => resendUnsent(tx, known!.resend!))))
    expect(again.filter(Boolean)).toHaveLength(takenOver ? 0 : 1)
    const [message] = await outbound(number, (row) => row['status'] === (takenOver ? 'failed' : 'sent'))
    expect(attempts(number)).toHaveLength(takenOver ? 1 : 2)
    if (!takenOver) expect((await business.ok('GET', `/v1/messages/${message!['id']}`)).retries).toMatchObject([{ by: 'system', was: 'failed' }])
  })

  it('accepted, then silence for ever: stays unknown, can be sent again by hand only with a word', async () => {
    const number = await business.number({ sandbox: { statuses: false } })
    town.sandbox.faults.add({ target: 'whatsapp.send', match: { phone_number_id: number.address }, times: 1, action: { acceptThenReset: true } })
    await say(number, 'Hello')
    const [message] = await outbound(number, (row) => row['status'] === 'unknown')
    expect((await business.call('POST', `/v1/messages/${message!['id']}/retry`, {}, { idempotencyKey: 'without' })).status).toBe(409)
    expect(attempts(number)).toHaveLength(1)
    expect((await business.call('POST', `/v1/messages/${message!['id']}/retry`, { confirm: true }, { idempotencyKey: 'with' })).status).toBe(202)
    await outbound(number, (row) => row['status'] === 'sent')
    expect(attempts(number)).toHaveLength(2)
  })

  it('Instagram: accepted, then a cut connection: the echo tells, nothing is sent twice', async () => {
    const number = await business.number({ type: 'instagram' })
    town.sandbox.faults.add({ target: 'instagram.send', match: { phone_number_id: number.address }, times: 1, action: { acceptThenReset: true } })
    town.sandbox.faults.add({ target: 'instagram.echo', match: { phone_number_id: number.address }, times: 1, action: { delayMs: 800 } })
    await town.sandbox.instagram.customerWrites(newCustomer(), { ig_id: number.address, text: 'Hi' })
    await turn(number, (row) => row['outcome'] === 'unknown')
    await turn(number, (row) => row['outcome'] === 'sent')
    await outbound(number, (row) => row['status'] === 'sent' || row['status'] === 'read')
    expect(town.sandbox.journal.query({ target: 'instagram.send', number: number.address })).toHaveLength(1)
    expect(await town.rows('SELECT handler FROM conversations WHERE number_id = $1', [number.id])).toEqual([{ handler: 'agent' }])
  })
})

describe('receipts', () => {
  it('read before delivered before sent: the status only rises, all three are in the history', async () => {
    const number = await business.number({ sandbox: { statuses: { sequence: ['read', 'delivered', 'sent'] } } })
    await say(number, 'Hello')
    await town.until('SELECT 1 FROM effects WHERE number_id = $1 AND outcome = $2', [number.id, 'applied'], (rows) => rows.length === 3)
    const [message] = await outbound(number, (row) => row['status'] === 'read')
    const detail = await business.ok('GET', `/v1/messages/${message!['id']}`)
    expect(detail.receipts.map((receipt: Row) => receipt['status'])).toEqual(['read', 'delivered', 'sent'])
  })

  it('failed, then delivered after all: delivered, and the failure stays in the history', async () => {
    const number = await business.number({ sandbox: { statuses: false } })
    await say(number, 'Hello')
    const [sent] = await outbound(number, (row) => row['status'] === 'sent')
    const id = String(sent!['provider_message_id'])
    await status(number, id, 'failed', { errors: [{ code: 131026, title: 'Message undeliverable' }] })
    expect((await outbound(number, (row) => row['status'] === 'failed'))[0]).toMatchObject({ reason: '131026' })
    await status(number, id, 'delivered')
    expect((await outbound(number, (row) => row['status'] === 'delivered'))[0]).toMatchObject({ reason: null })
    await status(number, id, 'sent')
    await town.until('SELECT 1 FROM effects WHERE number_id = $1 AND outcome = $2', [number.id, 'applied'], (rows) => rows.length === 3)
    const detail = await business.ok('GET', `/v1/messages/${sent!['id']}`)
    expect(detail).toMatchObject({ status: 'delivered', receipts: [{ status: 'failed', error: { code: '131026' } }, { status: 'delivered' }, { status: 'sent' }] })
  })

  it('watermarks of both kinds ("delivered up to", "read up to") are applied; bug: the second kind on a connection was refused for ever', async () => {
    const number = await business.number({ type: 'instagram', sandbox: { echoes: false, seen: false } })
    const customer = newCustomer()
    await town.sandbox.instagram.customerWrites(customer, { ig_id: number.address, text: 'Hi' })
    await outbound(number, (row) => row['status'] === 'sent')
    const receipt = (state: 'delivered' | 'read') => ({ kind: 'receipt', to: number.address, atMs: Date.now(), status: state, contact: { kind: 'igsid', value: customer }, watermarkMs: Date.now() + 1 }) as const
    const told = (['delivered', 'read'] as const).map((state, id) => ({ id, tenantId: business.tenantId, numberId: number.id, address: number.address, event: receipt(state) }))
    // One transaction, so one connection.
    const { outcomes } = await town.db.system('queue', (tx) => applyReceipts(tx, told))
    expect([...outcomes.values()]).toEqual(['applied', 'applied'])
    expect((await outbound(number, () => true))[0]).toMatchObject({ status: 'read' })
  })

  it('the same receipt many times is one receipt', async () => {
    const number = await business.number({ sandbox: { statuses: { sequence: ['sent', 'delivered'], copies: 5 } } })
    await say(number, 'Hello')
    await outbound(number, (row) => row['status'] === 'delivered')
    expect(await town.rows('SELECT kind, outcome FROM effects WHERE number_id = $1', [number.id])).toEqual([{ kind: 'receipt', outcome: 'applied' }, { kind: 'receipt', outcome: 'applied' }])
  })
})

describe('a refusal', () => {
  it('that is final fails visibly, gives the credit back, and a retry clicked twice makes one new attempt that really sends', async () => {
    const number = await business.number()
    town.sandbox.faults.add({ target: 'whatsapp.send', match: { phone_number_id: number.address }, times: 1, action: { errorCode: 131026 } })
    await say(number, 'Hello')
    const failed = await turn(number, (row) => row['state'] === 'retired')
    expect(failed).toMatchObject({ outcome: 'failed', reason: 'send_failed' })
    expect(await town.rows('SELECT state FROM holds WHERE turn_id = $1', [failed['id']])).toEqual([{ state: 'voided' }])
    const [message] = await outbound(number, (row) => row['status'] === 'failed')
    expect(message!['reason']).toBe('final:131026')

    const answers = await Promise.all(['anna', 'bert'].map((who) => business.call('POST', `/v1/messages/${message!['id']}/retry`, {}, { idempotencyKey: who })))
    expect(answers.map((answer) => answer.status).toSorted((a, b) => a - b)).toEqual([202, 409])
    await outbound(number, (row) => row['status'] === 'read')
    expect(attempts(number).map((entry) => entry.outcome)).toEqual(['fault', 'accepted'])
    const detail = await business.ok('GET', `/v1/messages/${message!['id']}`)
    expect(detail.retries).toMatchObject([{ was: 'failed', reason: 'final:131026' }])
    expect((await town.db.system('ledger', (tx) => ledger.verifyLedger(tx, business.tenantId))).differences).toEqual([])
  })

  it.each([[190, 'reconnect'], [368, 'stop_number']])('%i stops the number (%s) with a critical notice; a person lets it go on', async (errorCode, reason) => {
    const number = await business.number()
    town.sandbox.faults.add({ target: 'whatsapp.send', match: { phone_number_id: number.address }, times: 1, action: { errorCode } })
    await say(number, 'Hello')
    await town.until('SELECT 1 FROM phone_numbers WHERE id = $1 AND status = $2', [number.id, 'stopped'], (rows) => rows.length === 1)
    expect(await business.ok('GET', `/v1/phone-numbers/${number.id}`)).toMatchObject({ status: 'stopped', stop_reason: reason })
    const notices = await business.ok('GET', `/v1/phone-numbers/${number.id}/notices`)
    expect(notices.data).toMatchObject([{ topic: 'number_stopped', severity: 'critical', data: { reason } }])

    const customer = await say(number, 'Anybody there?')
    await town.until('SELECT 1 FROM turns WHERE number_id = $1 AND reason = $2', [number.id, 'number_stopped'], (rows) => rows.length === 1)
    expect(attempts(number)).toHaveLength(1)
    await business.ok('POST', `/v1/phone-numbers/${number.id}/resume`)
    await say(number, 'Hello again', customer)
    await town.sandbox.waitFor((entry) => entry.target === 'whatsapp.send' && entry.number === number.address && entry.outcome === 'accepted')
  })

  it('outside the window: parked with its reason; a person is told, and a template goes out', async () => {
    const number = await business.number()
    town.sandbox.faults.add({ target: 'whatsapp.send', match: { phone_number_id: number.address }, times: 1, action: { errorCode: 131047 } })
    const customer = await say(number, 'Hello')
    const parked = await turn(number, (row) => row['state'] === 'retired')
    expect(parked).toMatchObject({ outcome: 'parked', reason: 'window_closed' })
    const [message] = await outbound(number, (row) => row['status'] === 'parked')
    expect(message!['reason']).toBe('window_closed:131047')

    await town.rows("UPDATE conversations SET last_inbound_at = last_inbound_at - interval '25 hours' WHERE number_id = $1", [number.id])
    const write = (content: Row, key: string) => business.call('POST', `/v1/conversations/${message!['conversation_id']}/messages`, { content }, { idempotencyKey: key })
    const refused = await write({ kind: 'text', text: 'Hello?' }, 'text')
    expect(refused).toMatchObject({ status: 409, body: { error: { details: { reason: 'window_closed', allowed_kinds: ['template'] } } } })
    expect((await write({ kind: 'template', name: 'appointment_reminder', language: 'en', parameters: ['Monday'] }, 'template')).status).toBe(202)
    const sent = await town.sandbox.waitFor((entry) => entry.target === 'whatsapp.send' && entry.to === customer && entry.outcome === 'accepted')
    expect(sent.body).toMatchObject({ to: customer, type: 'template', template: { name: 'appointment_reminder', language: { code: 'en' } } })
  })

  it('that WhatsApp tells only later by webhook (131047 after acceptance) is a failure with its code', async () => {
    const number = await business.number()
    register(town.sandbox, 'whatsapp', number.address, { window_ms: 1 })
    await say(number, 'Hello')
    expect((await outbound(number, (row) => row['status'] === 'failed'))[0]).toMatchObject({ reason: '131047' })
  })
})
