import { sql } from 'drizzle-orm'
import { bigint, customType, integer, jsonb, pgTable, text, timestamp, uuid } from 'drizzle-orm/pg-core'

const bytea = customType<{ data: Buffer }>({ dataType: () => 'bytea' })

export const calls = pgTable('calls', {
  id: uuid('id').primaryKey(),
  tenantId: uuid('tenant_id').notNull(),
  projectId: uuid('project_id').notNull(),
  numberId: uuid('number_id').notNull(),
  agentId: uuid('agent_id'),
  promptId: uuid('prompt_id'),
  promptVersion: integer('prompt_version'),
  contactId: uuid('contact_id'),
  conversationId: uuid('conversation_id'),
  direction: text('direction').notNull(),
  carrier: text('carrier').notNull(),
  carrierCallId: text('carrier_call_id'),
  fromAddress: text('from_address').notNull(),
  toAddress: text('to_address').notNull(),
  status: text('status').notNull(),
  endReason: text('end_reason'),
  endDetail: text('end_detail'),
  wish: text('wish'),
  metadata: jsonb('metadata').notNull().default(sql`'{}'::jsonb`),
  options: jsonb('options').notNull().default(sql`'{}'::jsonb`),
  placedBy: text('placed_by').notNull().default(sql`'carrier'::text`),
  holdIds: uuid('hold_ids').array().notNull().default(sql`'{}'::uuid[]`),
  costCarrierMicros: bigint('cost_carrier_micros', { mode: 'bigint' }).notNull().default(sql`0`),
  costSttMicros: bigint('cost_stt_micros', { mode: 'bigint' }).notNull().default(sql`0`),
  costTtsMicros: bigint('cost_tts_micros', { mode: 'bigint' }).notNull().default(sql`0`),
  costModelMicros: bigint('cost_model_micros', { mode: 'bigint' }).notNull().default(sql`0`),
  recordingState: text('recording_state').notNull().default(sql`'none'::text`),
  recordingKey: text('recording_key'),
  recordingMs: integer('recording_ms'),
  recordingBytes: bigint('recording_bytes', { mode: 'number' }),
  summarySealed: bytea('summary_sealed'),
  epoch: integer('epoch').notNull().default(sql`0`),
  leaseOwner: text('lease_owner'),
  leaseUntil: timestamp('lease_until', { withTimezone: true }),
  createdAt: timestamp('created_at', { withTimezone: true }).notNull().defaultNow(),
  answeredAt: timestamp('answered_at', { withTimezone: true }),
  endedAt: timestamp('ended_at', { withTimezone: true }),
})

export const callEvents = pgTable('call_events', {
  id: bigint('id', { mode: 'number' }).primaryKey().generatedAlwaysAsIdentity(),
  tenantId: uuid('tenant_id').notNull(),
  callId: uuid('call_id').notNull(),
  kind: text('kind').notNull(),
  atMs: integer('at_ms'),
  data: jsonb('data').notNull().default(sql`'{}'::jsonb`),
  createdAt: timestamp('created_at', { withTimezone: true }).notNull().defaultNow(),
})
