import { Id } from '@trunkline/core'
import type { contacts } from '@trunkline/db'
import { z } from 'zod'
import { OpaqueJson, Time, toWire } from '../wire.ts'

const IdentityView = z
  .object({ id: Id, kind: z.string(), scope: z.string().meta({ description: 'Our address where the supplier scopes the identity to it' }), value: z.string(), source: z.string(), ended_at: Time.nullable(), created_at: Time })
  .meta({ id: 'ContactIdentity' })
export const ContactSummary = z
  .object({ id: Id, name: z.string().nullable(), fields: OpaqueJson, opted_out_at: Time.nullable(), created_at: Time, merged_into: Id.nullable().meta({ description: 'The contact that has taken everything over' }) })
  .meta({ id: 'ContactSummary' })
export const ContactView = ContactSummary.extend({ identities: z.array(IdentityView) }).meta({ id: 'Contact' })

export const contactSummary = ({ tenantId: _tenant, ...row }: contacts.Contact) => toWire(row)
export const contactView = (contact: contacts.Contact, identities: contacts.ContactIdentity[]) => ({ ...contactSummary(contact), identities: identities.map(({ contactId: _contact, ...row }) => toWire(row)) })
