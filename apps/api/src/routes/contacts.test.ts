import { newId } from '@trunkline/core'
import { calls } from '@trunkline/db'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { openOffice, type Json, type Office, type Tenant } from '../../../../tests/harness/office.ts'

let office: Office
let ours: Tenant
let theirs: Tenant
let number: { id: string; agentId: string; promptId: string }

beforeAll(async () => {
  office = await openOffice()
  ;[ours, theirs] = [await office.tenant(), await office.tenant()]
  number = await office.number(ours)
})
afterAll(() => office.close())

const get = (url: string, key = ours.key) => office.call('GET', url, { key })
const patch = (id: string, body: Json, key = ours.key) => office.call('PATCH', `/v1/contacts/${id}`, { key, body })

describe('contacts', () => {
  it('are found by an identity and by a part of the name, where % and _ are letters', async () => {
    const { contactId } = await office.conversation(ours, number)
    const phone = (await get(`/v1/contacts/${contactId}`)).body.identities[0].value as string
    expect((await get(`/v1/contacts?identity=${encodeURIComponent(phone)}`)).body.data.map((row: Json) => row.id)).toEqual([contactId])
    await patch(contactId, { name: 'Grace 100%_sure Hopper' })
    expect((await get(`/v1/contacts?name=${encodeURIComponent('100%_SURE')}`)).body.data.map((row: Json) => row.id)).toEqual([contactId])
    expect((await get(`/v1/contacts?name=${encodeURIComponent('1%e')}`)).body.data).toEqual([])
  })

  it('keep fields of the tenant as they were given, and the time of the first opt-out', async () => {
    const { contactId } = await office.conversation(ours, number)
    const fields = { crmId: 4711, some_thing: { nestedKey: true } }
    const first = await patch(contactId, { fields, opted_out: true })
    expect(first.body).toMatchObject({ name: 'Ada', fields })
    expect((await patch(contactId, { opted_out: true })).body.opted_out_at).toBe(first.body.opted_out_at)
    expect((await get('/v1/contacts?opted_out=true')).body.data.map((row: Json) => row.id)).toEqual([contactId])
    expect((await patch(contactId, { opted_out: false, name: null })).body).toMatchObject({ opted_out_at: null, name: null, fields })
  })

  it('leave no personal data in the audit log', async () => {
    const { contactId } = await office.conversation(ours, number)
    await patch(contactId, { name: 'Very Private', fields: { illness: 'flu' } })
    const { rows } = await office.db.tenant(ours.tenantId, (tx) => tx.query<{ changes: Json }>('SELECT changes FROM audit_entries WHERE target_id = $1', [contactId]))
    expect(rows).toEqual([{ changes: { changed: ['name', 'fields'] } }])
  })

  it('refuse what is too large or unknown, naming it', async () => {
    const { contactId } = await office.conversation(ours, number)
    expect((await patch(contactId, { fields: { text: 'x'.repeat(20_000) } })).body.error.param).toBe('body.fields')
    expect((await patch(contactId, { email: 'a@example.com' })).body.error.param).toBe('body.email')
    expect((await patch(contactId, { name: ' ' })).body.error.param).toBe('body.name')
  })

  it('do not exist for another tenant', async () => {
    const { contactId } = await office.conversation(ours, number)
    expect((await get(`/v1/contacts/${contactId}`, theirs.key)).status).toBe(404)
    expect((await patch(contactId, { name: 'x' }, theirs.key)).status).toBe(404)
    expect((await get('/v1/contacts', theirs.key)).body.data).toEqual([])
  })
})

describe('contacts that are one person', () => {
  const merge = (into: string, from: string, key = ours.key) => office.call('POST', `/v1/contacts/${into}/merges`, { key, body: { contact_id: from } })
  const undo = (into: string, id: string, key = ours.key) => office.call('POST', `/v1/contacts/${into}/merges/${id}/undo`, { key })
  const rows = async <Row extends object>(sql: string, values: unknown[]) => (await office.db.tenant(ours.tenantId, (tx) => tx.query<Row & Record<string, unknown>>(sql, values))).rows
  const state = (contactId: string) => rows('SELECT id, contact_id, status FROM conversations WHERE contact_id = $1 ORDER BY id', [contactId])

  it('become one, with all identities and conversations, and two again exactly as they were', async () => {
    const elsewhere = await office.number(ours)
    const [kept, other] = [await office.conversation(ours, number), await office.conversation(ours, elsewhere)]
    const before = [await state(kept.contactId), await state(other.contactId), (await get(`/v1/contacts/${other.contactId}`)).body.identities]
    const { status, body } = await merge(kept.contactId, other.contactId)
    expect([status, body.moved]).toEqual([201, { identities: 1, conversations: 1, leads: 0, calls: 0, closed: 0 }])
    expect((await get(`/v1/contacts/${kept.contactId}`)).body.identities).toHaveLength(2)
    expect((await get(`/v1/conversations/${other.id}`)).body.contact_id).toBe(kept.contactId)
    expect((await get(`/v1/contacts/${other.contactId}`)).body).toMatchObject({ merged_into: kept.contactId, identities: [] })
    expect((await get('/v1/contacts?limit=100')).body.data.map((row: Json) => row.id)).not.toContain(other.contactId)

    expect((await undo(kept.contactId, body.id)).body.undone_at).not.toBeNull()
    expect([await state(kept.contactId), await state(other.contactId), (await get(`/v1/contacts/${other.contactId}`)).body.identities]).toEqual(before)
    expect((await undo(kept.contactId, body.id)).body.error.code).toBe('invalid_state')
  })

  it('keep their telephone calls, and give them back', async () => {
    const line = await office.number(ours, 'voice')
    const called = async (from: string) => {
      const wish = { callId: newId(), tenantId: ours.tenantId, numberId: line.id, direction: 'inbound', carrier: 'twilio', carrierCallId: newId(), from, to: '+4722334455', contact: { identity: { kind: 'phone', value: from } }, holdMicros: 0n, holdUntil: new Date(Date.now() + 60_000), limits: { number: 10, tenant: 10 } } as const
      return (await office.db.system('test', (tx) => calls.open(tx, wish))).call
    }
    const [kept, moved] = [await called('+4799100001'), await called('+4799100002')]
    const callsOf = async (contactId: string | null) => (await get(`/v1/calls?contact_id=${contactId}`)).body.data.map((call: Json) => call.id)
    const { body } = await merge(kept.contactId!, moved.contactId!)
    expect(body.moved).toMatchObject({ conversations: 1, calls: 1 })
    expect(await callsOf(kept.contactId)).toEqual([moved.id, kept.id])
    expect((await get(`/v1/calls/${moved.id}`)).body.contact_id).toBe(kept.contactId)
    await undo(kept.contactId!, body.id)
    expect([await callsOf(kept.contactId), await callsOf(moved.contactId)]).toEqual([[kept.id], [moved.id]])
  })

  it('keep one open conversation on a number', async () => {
    const [kept, other] = [await office.conversation(ours, number), await office.conversation(ours, number)]
    expect((await merge(kept.contactId, other.contactId)).body.moved).toMatchObject({ conversations: 1, closed: 1 })
    expect(new Set((await state(kept.contactId)).map((row) => row['status']))).toEqual(new Set(['closed', 'open']))
  })

  it('give back what a moved identity began since, and keep the rest', async () => {
    const elsewhere = await office.number(ours)
    const [kept, other] = [await office.conversation(ours, number), await office.conversation(ours, elsewhere)]
    const { body } = await merge(kept.contactId, other.contactId)
    await rows(
      "INSERT INTO conversations (id, tenant_id, project_id, number_id, contact_id, reply_to, status) SELECT gen_random_uuid(), tenant_id, project_id, number_id, contact_id, reply_to, 'closed' FROM conversations WHERE id = ANY ($1::uuid[])",
      [[kept.id, other.id]],
    )
    await undo(kept.contactId, body.id)
    expect([await state(kept.contactId), await state(other.contactId)].map((list) => list.length)).toEqual([2, 2])
  })

  it('are opted out when one of them was', async () => {
    const [kept, other] = [await office.conversation(ours, number), await office.conversation(ours, number)]
    await patch(other.contactId, { opted_out: true })
    const { body } = await merge(kept.contactId, other.contactId)
    expect((await get(`/v1/contacts/${kept.contactId}`)).body.opted_out_at).not.toBeNull()
    await undo(kept.contactId, body.id)
    expect((await get(`/v1/contacts/${kept.contactId}`)).body.opted_out_at).toBeNull()
  })

  it('are merged by one of two who try at once, in opposite directions', async () => {
    const [one, two] = [await office.conversation(ours, number), await office.conversation(ours, number)]
    const answers = await Promise.all([merge(one.contactId, two.contactId), merge(two.contactId, one.contactId)])
    expect(answers.map((answer) => answer.status).toSorted((a, b) => a - b)).toEqual([201, 409])
  })

  it('are refused when they are the same, unknown, merged away or of another tenant', async () => {
    const [one, two, three] = [await office.conversation(ours, number), await office.conversation(ours, number), await office.conversation(ours, number)]
    expect((await merge(one.contactId, one.contactId)).body.error).toMatchObject({ code: 'invalid_request', param: 'body.contact_id' })
    expect((await merge(one.contactId, number.id)).body.error).toMatchObject({ code: 'not_found', param: 'body.contact_id' })
    await merge(one.contactId, two.contactId)
    expect((await merge(three.contactId, two.contactId)).body.error).toMatchObject({ code: 'invalid_state', details: { merged_into: one.contactId } })
    const foreign = await office.conversation(theirs, await office.number(theirs))
    expect((await merge(one.contactId, foreign.contactId)).body.error.code).toBe('not_found')
    expect((await merge(foreign.contactId, one.contactId)).status).toBe(404)
  })
})
