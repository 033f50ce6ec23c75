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
