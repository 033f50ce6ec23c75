import { AppError, newId, type Id, type Identity, type Sender } from '@trunkline/core'
import { storableJson } from '../storable.ts'
import type { Tx } from '../tenancy.ts'

type Asker = { turnId: Id; tenantId: Id; address: string; sender: Sender }
export type ResolvedContact = { contactId: Id; name: string | null; fields: Record<string, unknown>; optedOut: boolean }
type IdentityRow = { tenant_id: Id; kind: string; scope: string; value: string; contact_id: Id; name: string | null; fields: Record<string, unknown>; opted_out: boolean }

/** A supplier that scopes an identity to our address does not mean the same person elsewhere. */
export const scopeOf = (identity: Identity, address: string): string => (identity.kind === 'igsid' || identity.kind === 'visitor' ? address : '')

const keyOf = (tenantId: Id, kind: string, scope: string, value: string) => `${tenantId} ${kind} ${scope} ${value}`

/**
 * Finds or makes the contact of each sender. An identity that is new is added to the contact whom another of its identities names.
 * What was found is as of now: a merge may commit before the transaction does. Whoever gives the contact something new joins
 * `STILL_THEIRS`.
 */
export async function resolveContacts(tx: Tx, askers: Asker[]): Promise<Map<Id, ResolvedContact>> {
  const known = await findIdentities(tx, askers)
  const resolved = new Map<Id, ResolvedContact>()
  const made: { tenantId: Id; contact: ResolvedContact }[] = []
  const added: NewIdentity[] = []
  for (const asker of askers) {
    const keys = identityKeys(asker)
    const witness = keys.find((key) => known.has(key.text))
    const contact = witness ? known.get(witness.text)! : newContact(asker)
    if (!witness) made.push({ tenantId: asker.tenantId, contact })
    resolved.set(asker.turnId, contact)
    for (const key of keys) {
      if (known.has(key.text)) continue
      added.push({ tenantId: asker.tenantId, contactId: contact.contactId, key, witness: witness ?? null })
      known.set(key.text, contact)
    }
  }
  insertContacts(tx, made)
  insertIdentities(tx, added.filter(({ witness }) => witness === null))
  await addIdentities(tx, added.filter((row): row is Witnessed => row.witness !== null))
  await noteStated(tx, askers, resolved)
  return resolved
}

/** What somebody said in a form fills empty fields only: what a colleague or the agent has noted since stays. */
async function noteStated(tx: Tx, askers: Asker[], resolved: Map<Id, ResolvedContact>): Promise<void> {
  const changed = new Map<Id, ResolvedContact>()
  for (const { turnId, sender } of askers) {
    const contact = resolved.get(turnId)!
    const news = Object.entries(sender.stated ?? {}).filter(([field, value]) => value !== '' && !(field in contact.fields))
    if (news.length === 0) continue
    contact.fields = { ...contact.fields, ...Object.fromEntries(news) }
    changed.set(contact.contactId, contact)
  }
  if (changed.size === 0) return
  await tx.query(
    'UPDATE contacts c SET fields = i.fields || c.fields FROM unnest($1::uuid[], $2::jsonb[]) AS i (id, fields) WHERE c.id = i.id',
    [[...changed.keys()], [...changed.values()].map((contact) => storableJson(contact.fields))],
    'contacts_stated',
  )
}

const newContact = ({ sender }: Asker): ResolvedContact => ({ contactId: newId(), name: sender.name ?? sender.username ?? null, fields: {}, optedOut: false })

type IdentityKey = { kind: string; scope: string; value: string; text: string }
/** `witness`: the identity by which the contact was found; null for a contact of this transaction. */
type NewIdentity = { tenantId: Id; contactId: Id; key: IdentityKey; witness: IdentityKey | null }
type Witnessed = NewIdentity & { witness: IdentityKey }

/**
 * To be joined to rows `i (tenant_id, contact_id, kind, scope, value)`: leaves those whose identity is the contact's when the statement
 * ends, and holds both so until commit. A merge locks the contacts first and then moves the identities: the same order here, so that one
 * waits for the other, and who waited looks again. Locks in the order of contacts, as a merge does: `ORDER BY i.contact_id`, then `HOLD`.
 */
export const STILL_THEIRS = `JOIN contacts p ON p.id = i.contact_id
     JOIN contact_identities w ON w.tenant_id = i.tenant_id AND w.kind = i.kind AND w.scope = i.scope AND w.value = i.value AND w.contact_id = i.contact_id AND w.ended_at IS NULL`
export const HOLD = 'FOR KEY SHARE OF p FOR SHARE OF w'

function identityKeys(asker: Asker): IdentityKey[] {
  return asker.sender.identities.map((identity) => {
    const scope = scopeOf(identity, asker.address)
    return { kind: identity.kind, scope, value: identity.value, text: keyOf(asker.tenantId, identity.kind, scope, identity.value) }
  })
}

async function findIdentities(tx: Tx, askers: Asker[]): Promise<Map<string, ResolvedContact>> {
  const keys = askers.flatMap((asker) => identityKeys(asker).map((key) => ({ ...key, tenantId: asker.tenantId })))
  const { rows } = await tx.query<IdentityRow>(
    `SELECT ci.tenant_id, ci.kind, ci.scope, ci.value, ci.contact_id, c.name, c.fields, c.opted_out_at IS NOT NULL AS opted_out
     FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[]) AS i (tenant_id, kind, scope, value)
     JOIN contact_identities ci ON ci.tenant_id = i.tenant_id AND ci.kind = i.kind AND ci.scope = i.scope AND ci.value = i.value AND ci.ended_at IS NULL
     JOIN contacts c ON c.id = ci.contact_id`,
    [keys.map((key) => key.tenantId), keys.map((key) => key.kind), keys.map((key) => key.scope), keys.map((key) => key.value)],
    'contacts_find',
  )
  return new Map(rows.map((row) => [keyOf(row.tenant_id, row.kind, row.scope, row.value), { contactId: row.contact_id, name: row.name, fields: row.fields, optedOut: row.opted_out }]))
}

function insertContacts(tx: Tx, rows: { tenantId: Id; contact: ResolvedContact }[]): void {
  if (rows.length === 0) return
  tx.send(
    'INSERT INTO contacts (id, tenant_id, name) SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::text[])',
    [rows.map((row) => row.contact.contactId), rows.map((row) => row.tenantId), rows.map((row) => row.contact.name)],
    'contacts_insert',
  )
}

/** A twin that commits first makes this one fail on the unique index; the turn is tried again and finds it. */
function insertIdentities(tx: Tx, rows: NewIdentity[]): void {
  if (rows.length === 0) return
  tx.send(
    `INSERT INTO contact_identities (id, tenant_id, contact_id, kind, scope, value, source)
     SELECT id, tenant_id, contact_id, kind, scope, value, 'message' FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::text[], $5::text[], $6::text[]) AS i (id, tenant_id, contact_id, kind, scope, value)`,
    [rows.map(() => newId()), rows.map((row) => row.tenantId), rows.map((row) => row.contactId), rows.map((row) => row.key.kind), rows.map((row) => row.key.scope), rows.map((row) => row.key.value)],
    'contact_identities_insert',
  )
}

/** Not to a contact that was emptied meanwhile: then nothing is added, and the turn that wanted it begins again. */
async function addIdentities(tx: Tx, rows: Witnessed[]): Promise<void> {
  if (rows.length === 0) return
  await tx.query(
    `INSERT INTO contact_identities (id, tenant_id, contact_id, kind, scope, value, source)
     SELECT i.id, i.tenant_id, i.contact_id, i.new_kind, i.new_scope, i.new_value, 'message'
     FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[]) AS i (id, tenant_id, contact_id, new_kind, new_scope, new_value, kind, scope, value)
     ${STILL_THEIRS} ORDER BY i.contact_id ${HOLD}`,
    [
      rows.map(() => newId()), rows.map((row) => row.tenantId), rows.map((row) => row.contactId), rows.map((row) => row.key.kind), rows.map((row) => row.key.scope), rows.map((row) => row.key.value),
      rows.map((row) => row.witness.kind), rows.map((row) => row.witness.scope), rows.map((row) => row.witness.value),
    ],
    'contact_identities_add',
  )
}

/** A contact is merged by hand, and undone by hand: more often than this in the milliseconds of one change it is not. */
const HOLD_TRIES = 5

/** Whose identity it is, both locked until commit, in the order of `STILL_THEIRS`; null: nobody's. */
export async function holdForChange(tx: Tx, tenantId: Id, identity: Identity, address: string): Promise<Id | null> {
  const key = [tenantId, identity.kind, scopeOf(identity, address), identity.value]
  for (let attempt = 0; attempt < HOLD_TRIES; attempt++) {
    const known = await tx.query<{ contact_id: Id }>('SELECT contact_id FROM contact_identities WHERE tenant_id = $1 AND kind = $2 AND scope = $3 AND value = $4 AND ended_at IS NULL', key, 'identity_find')
    const contactId = known.rows[0]?.contact_id
    if (!contactId) return null
    const held = await tx.query(
      `SELECT 1 FROM (VALUES ($1::uuid, $2::text, $3::text, $4::text, $5::uuid)) AS i (tenant_id, kind, scope, value, contact_id) ${STILL_THEIRS} FOR KEY SHARE OF p FOR NO KEY UPDATE OF w`,
      [...key, contactId],
      'identity_hold',
    )
    if (held.rows.length > 0) return contactId
  }
  throw new AppError('unavailable', { message: 'The contact is being merged.', retryAfterMs: 1_000 })
}
