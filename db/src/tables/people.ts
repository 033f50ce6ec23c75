import { sql } from 'drizzle-orm'
import { jsonb, pgTable, text, timestamp, uuid } from 'drizzle-orm/pg-core'

// The people outside: columns as the migrations made them, as in schema.ts.

export const contacts = pgTable('contacts', {
  id: uuid('id').primaryKey(),
  tenantId: uuid('tenant_id').notNull(),
  name: text('name'),
  fields: jsonb('fields').notNull().default(sql`'{}'::jsonb`),
  optedOutAt: timestamp('opted_out_at', { withTimezone: true }),
  createdAt: timestamp('created_at', { withTimezone: true }).notNull().defaultNow(),
  mergedInto: uuid('merged_into'),
})

export const contactMerges = pgTable('contact_merges', {
  id: uuid('id').primaryKey(),
  tenantId: uuid('tenant_id').notNull(),
  fromId: uuid('from_id').notNull(),
  intoId: uuid('into_id').notNull(),
  moved: jsonb('moved').notNull(),
  mergedBy: text('merged_by').notNull(),
  createdAt: timestamp('created_at', { withTimezone: true }).notNull().defaultNow(),
  undoneAt: timestamp('undone_at', { withTimezone: true }),
})

export const contactIdentities = pgTable('contact_identities', {
  id: uuid('id').primaryKey(),
  tenantId: uuid('tenant_id').notNull(),
  contactId: uuid('contact_id').notNull(),
  kind: text('kind').notNull(),
  scope: text('scope').notNull().default(sql`''::text`),
  value: text('value').notNull(),
  source: text('source').notNull(),
  endedAt: timestamp('ended_at', { withTimezone: true }),
  createdAt: timestamp('created_at', { withTimezone: true }).notNull().defaultNow(),
})
