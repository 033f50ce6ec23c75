import { sql } from 'drizzle-orm'
import { boolean, customType, integer, jsonb, pgTable, text, timestamp, uuid } from 'drizzle-orm/pg-core'

const bytea = customType<{ data: Buffer }>({ dataType: () => 'bytea' })

export const simulations = pgTable('simulations', {
  id: uuid('id').primaryKey(),
  tenantId: uuid('tenant_id').notNull(),
  projectId: uuid('project_id').notNull(),
  numberId: uuid('number_id').notNull(),
  agentId: uuid('agent_id').notNull(),
  spec: jsonb('spec').notNull(),
  status: text('status').notNull().default(sql`'queued'::text`),
  passed: boolean('passed'),
  failure: text('failure'),
  callsTotal: integer('calls_total').notNull(),
  resultsSealed: bytea('results_sealed').array().notNull().default(sql`'{}'::bytea[]`),
  createdBy: text('created_by').notNull(),
  epoch: integer('epoch').notNull().default(sql`0`),
  leaseOwner: text('lease_owner'),
  leaseUntil: timestamp('lease_until', { withTimezone: true }),
  createdAt: timestamp('created_at', { withTimezone: true }).notNull().defaultNow(),
  startedAt: timestamp('started_at', { withTimezone: true }),
  endedAt: timestamp('ended_at', { withTimezone: true }),
})
