import { contacts } from '@trunkline/db'
import { z } from 'zod'
import { audit } from '../audit.ts'
import type { ApiApp, ApiDeps } from '../deps.ts'
import { decodeIdCursor, fromWire, IdParams, OpaqueJson, pageOf, PageQuery } from '../wire.ts'
import { contactSummary, ContactSummary, contactView, ContactView } from './contact-view.ts'
import { wirePage } from './wire-schema.ts'

const FIELDS_BYTES_MAX = 16_384

const ListQuery = PageQuery.extend({
  identity: z.string().min(1).max(255).optional().meta({ description: 'Exact value: a phone number, a user id, an address' }),
  name: z.string().min(1).max(255).optional().meta({ description: 'Part of the name' }),
  opted_out: z.stringbool().optional(),
})
const UpdateContact = z
  .strictObject({
    name: z.string().trim().min(1).max(255).nullable().optional(),
    fields: OpaqueJson.refine((fields) => Buffer.byteLength(JSON.stringify(fields)) <= FIELDS_BYTES_MAX, `At most ${FIELDS_BYTES_MAX} bytes of JSON`).optional().meta({ description: 'Your own; replaces all fields' }),
    opted_out: z.boolean().optional().meta({ description: 'True: nothing is sent to this person any more' }),
  })
  .meta({ examples: [{ name: 'Ada Lovelace', fields: { crm_id: '4711' } }] })

const tags = ['contacts']
const read = { access: { scope: 'contacts:read' } } as const
const write = { access: { scope: 'contacts:write' } } as const

/** `/v1/contacts`: the people outside. They belong to the tenant: one person may write to numbers of several projects. */
export function registerContacts(app: ApiApp, { db }: ApiDeps): void {
  app.get('/v1/contacts', { config: read, schema: { tags, summary: 'List contacts', querystring: ListQuery, response: { 200: pageOf(ContactSummary) } } }, async ({ auth, query }) => {
    const { limit, cursor, ...filter } = query
    return wirePage(await db.tenant(auth.tenantId, (tx) => contacts.list(tx, fromWire(filter), { limit, before: decodeIdCursor(cursor) })), contactSummary)
  })

  app.get('/v1/contacts/:id', { config: read, schema: { tags, summary: 'Read a contact with its identities', params: IdParams, response: { 200: ContactView } } }, async ({ auth, params }) =>
    db.tenant(auth.tenantId, async (tx) => contactView(await contacts.get(tx, params.id), await contacts.identities(tx, params.id))),
  )

  app.patch('/v1/contacts/:id', { config: write, schema: { tags, summary: 'Change a contact', params: IdParams, body: UpdateContact, response: { 200: ContactView } } }, async (request) => {
    const { auth, params, body } = request
    return db.tenant(auth.tenantId, async (tx) => {
      const contact = await contacts.update(tx, params.id, fromWire(body))
      // Which fields changed, not to what: the audit log is kept longer than personal data may be.
      await audit(tx, request, { action: 'contact.updated', target: { kind: 'contact', id: params.id }, changes: { changed: Object.keys(body) } })
      return contactView(contact, await contacts.identities(tx, params.id))
    })
  })
}
