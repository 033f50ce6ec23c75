import { Id } from '@trunkline/core'
import { contactMerges, contacts } from '@trunkline/db'
import { z } from 'zod'
import { audit } from '../audit.ts'
import type { ApiApp, ApiDeps } from '../deps.ts'
import { decodeIdCursor, fromWire, IdParams, OpaqueJson, pageOf, PageQuery, Time } from '../wire.ts'
import { actorOf } from './caller.ts'
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

const MergeView = z
  .object({
    id: Id,
    from_id: Id.meta({ description: 'The contact that gave everything away' }),
    into_id: Id,
    moved: z.object({ identities: z.number().int(), conversations: z.number().int(), leads: z.number().int(), calls: z.number().int(), closed: z.number().int() }).meta({ description: 'How many changed their owner; conversations closed because both had one on the same number' }),
    merged_by: z.string(),
    created_at: Time,
    undone_at: Time.nullable(),
  })
  .meta({ id: 'ContactMerge' })
const MergeContact = z.strictObject({ contact_id: Id.meta({ description: 'The contact to take over' }) })
const MergeParams = IdParams.extend({ merge_id: Id })

const mergeView = ({ id, fromId, intoId, moved, mergedBy, createdAt, undoneAt }: contactMerges.ContactMerge): z.infer<typeof MergeView> => ({
  id,
  from_id: fromId,
  into_id: intoId,
  moved: { identities: moved.identityIds.length, conversations: moved.conversationIds.length, leads: moved.leadIds.length, calls: moved.callIds?.length ?? 0, closed: moved.closedIds.length },
  merged_by: mergedBy,
  created_at: createdAt.toISOString(),
  undone_at: undoneAt?.toISOString() ?? null,
})

const tags = ['contacts']
const read = { access: { scope: 'contacts:read' } } as const
const write = { access: { scope: 'contacts:write' } } as const

/** `/v1/contacts`: the people outside. They belong to the tenant: one person may write to numbers of several projects. */
export function registerContacts(app: ApiApp, deps: ApiDeps): void {
  registerPeople(app, deps)
  registerMerges(app, deps)
}

function registerPeople(app: ApiApp, { db }: ApiDeps): void {
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

function registerMerges(app: ApiApp, { db }: ApiDeps): void {
  app.get('/v1/contacts/:id/merges', { config: read, schema: { tags, summary: 'List what was merged into a contact', params: IdParams, querystring: PageQuery, response: { 200: pageOf(MergeView) } } }, async ({ auth, params, query }) =>
    db.tenant(auth.tenantId, async (tx) => {
      await contacts.get(tx, params.id)
      return wirePage(await contactMerges.list(tx, params.id, { limit: query.limit, before: decodeIdCursor(query.cursor) }), mergeView)
    }),
  )

  const description = 'Identities, conversations and leads of the other contact become those of this one. Can be undone.'
  app.post('/v1/contacts/:id/merges', { config: { ...write, idempotent: true }, schema: { tags, summary: 'Merge another contact into this one', description, params: IdParams, body: MergeContact, response: { 201: MergeView } } }, async (request, reply) => {
    const { auth, params, body } = request
    const merged = await db.tenant(auth.tenantId, async (tx) => {
      const made = await contactMerges.merge(tx, { fromId: body.contact_id, intoId: params.id, actor: actorOf(auth) })
      await audit(tx, request, { action: 'contact.merged', target: { kind: 'contact', id: params.id }, changes: { merge_id: made.id, from: body.contact_id } })
      return made
    })
    return reply.code(201).send(mergeView(merged))
  })

  app.post('/v1/contacts/:id/merges/:merge_id/undo', { config: { ...write, idempotent: false }, schema: { tags, summary: 'Take a merge back', params: MergeParams, response: { 200: MergeView } } }, async (request) => {
    const { id, merge_id: mergeId } = request.params
    return db.tenant(request.auth.tenantId, async (tx) => {
      const undone = await contactMerges.undo(tx, id, mergeId)
      await audit(tx, request, { action: 'contact.merge_undone', target: { kind: 'contact', id }, changes: { merge_id: mergeId } })
      return mergeView(undone)
    })
  })
}
