import { sql } from 'drizzle-orm'
import { bigint, boolean, customType, integer, jsonb, pgTable, text, timestamp, uuid } from 'drizzle-orm/pg-core'

export * from './calls.ts'
export * from './simulations.ts'
export * from './people.ts'

// Columns as the migrations made them (a test compares the two). Keys, policies and checks live in the migrations only.

const bytea = customType<{ data: Buffer }>({ dataType: () => 'bytea' })

export const tenants = pgTable('tenants', {
  id: uuid('id').primaryKey(),
  name: text('name').notNull(),
  status: text('status').notNull().default(sql`'active'::text`),
  settings: jsonb('settings').notNull().default(sql`'{}'::jsonb`),
  createdAt: timestamp('created_at', { withTimezone: true }).notNull().defaultNow(),
  suspendedAt: timestamp('suspended_at', { withTimezone: true }),
})

export const projects = pgTable('projects', {
  id: uuid('id').primaryKey(),
  tenantId: uuid('tenant_id').notNull(),
  name: text('name').notNull(),
  environment: text('environment').notNull(),
  rateLimitPerMinute: integer('rate_limit_per_minute'),
  archivedAt: timestamp('archived_at', { withTimezone: true }),
  createdAt: timestamp('created_at', { withTimezone: true }).notNull().defaultNow(),
})

export const users = pgTable('users', {
  id: uuid('id').primaryKey(),
  email: text('email').notNull(),
  name: text('name').notNull().default(sql`''::text`),
  passwordHash: text('password_hash').notNull(),
  emailVerifiedAt: timestamp('email_verified_at', { withTimezone: true }),
  failedLogins: integer('failed_logins').notNull().default(sql`0`),
  lockedUntil: timestamp('locked_until', { withTimezone: true }),
  platformAdmin: boolean('platform_admin').notNull().default(sql`false`),
  createdAt: timestamp('created_at', { withTimezone: true }).notNull().defaultNow(),
})

export const memberships = pgTable('memberships', {
  tenantId: uuid('tenant_id').notNull(),
  userId: uuid('user_id').notNull(),
  role: text('role').notNull(),
  createdAt: timestamp('created_at', { withTimezone: true }).notNull().defaultNow(),
})

export const emailTokens = pgTable('email_tokens', {
  id: uuid('id').primaryKey(),
  userId: uuid('user_id').notNull(),
  tenantId: uuid('tenant_id'),
  purpose: text('purpose').notNull(),
  role: text('role'),
  tokenHash: bytea('token_hash').notNull(),
  expiresAt: timestamp('expires_at', { withTimezone: true }).notNull(),
  usedAt: timestamp('used_at', { withTimezone: true }),
  createdAt: timestamp('created_at', { withTimezone: true }).notNull().defaultNow(),
})

export const refreshTokens = pgTable('refresh_tokens', {
  id: uuid('id').primaryKey(),
  familyId: uuid('family_id').notNull(),
  userId: uuid('user_id').notNull(),
  tenantId: uuid('tenant_id').notNull(),
  tokenHash: bytea('token_hash').notNull(),
  expiresAt: timestamp('expires_at', { withTimezone: true }).notNull(),
  usedAt: timestamp('used_at', { withTimezone: true }),
  revokedAt: timestamp('revoked_at', { withTimezone: true }),
  createdAt: timestamp('created_at', { withTimezone: true }).notNull().defaultNow(),
})

export const apiKeys = pgTable('api_keys', {
  id: uuid('id').primaryKey(),
  tenantId: uuid('tenant_id').notNull(),
  projectId: uuid('project_id').notNull(),
  name: text('name').notNull(),
  environment: text('environment').notNull(),
  keyId: text('key_id').notNull(),
  secretHash: text('secret_hash').notNull(),
  digest: bytea('digest').notNull(),
  lastFour: text('last_four').notNull(),
  scopes: text('scopes').array().notNull(),
  expiresAt: timestamp('expires_at', { withTimezone: true }),
  revokedAt: timestamp('revoked_at', { withTimezone: true }),
  graceUntil: timestamp('grace_until', { withTimezone: true }),
  rotatedTo: uuid('rotated_to'),
  lastUsedAt: timestamp('last_used_at', { withTimezone: true }),
  createdBy: uuid('created_by'),
  createdAt: timestamp('created_at', { withTimezone: true }).notNull().defaultNow(),
})

export const auditEntries = pgTable('audit_entries', {
  id: uuid('id').primaryKey(),
  tenantId: uuid('tenant_id').notNull(),
  actorKind: text('actor_kind').notNull(),
  actorId: text('actor_id').notNull(),
  action: text('action').notNull(),
  targetKind: text('target_kind').notNull(),
  targetId: text('target_id').notNull(),
  changes: jsonb('changes').notNull().default(sql`'{}'::jsonb`),
  requestId: text('request_id'),
  ip: text('ip'),
  createdAt: timestamp('created_at', { withTimezone: true }).notNull().defaultNow(),
})

export const idempotencyKeys = pgTable('idempotency_keys', {
  tenantId: uuid('tenant_id').notNull(),
  key: text('key').notNull(),
  fingerprint: bytea('fingerprint').notNull(),
  status: integer('status'),
  response: jsonb('response'),
  createdAt: timestamp('created_at', { withTimezone: true }).notNull().defaultNow(),
  completedAt: timestamp('completed_at', { withTimezone: true }),
  keptBytes: integer('kept_bytes').notNull().default(sql`0`),
})

export const phoneNumbers = pgTable('phone_numbers', {
  id: uuid('id').primaryKey(),
  tenantId: uuid('tenant_id').notNull(),
  projectId: uuid('project_id').notNull(),
  channel: text('channel').notNull(),
  address: text('address').notNull(),
  name: text('name').notNull(),
  status: text('status').notNull().default(sql`'active'::text`),
  stopReason: text('stop_reason'),
  credentialsSealed: bytea('credentials_sealed').notNull(),
  settings: jsonb('settings').notNull().default(sql`'{}'::jsonb`),
  orderMode: text('order_mode').notNull().default(sql`'number'::text`),
  windowSize: integer('window_size').notNull().default(sql`16`),
  coalesceMs: integer('coalesce_ms').notNull().default(sql`1000`),
  headDeadlineMs: integer('head_deadline_ms').notNull().default(sql`120000`),
  createdAt: timestamp('created_at', { withTimezone: true }).notNull().defaultNow(),
  deletedAt: timestamp('deleted_at', { withTimezone: true }),
})

export const prompts = pgTable('prompts', {
  id: uuid('id').primaryKey(),
  tenantId: uuid('tenant_id').notNull(),
  projectId: uuid('project_id').notNull(),
  name: text('name').notNull(),
  currentVersion: integer('current_version').notNull().default(sql`1`),
  archivedAt: timestamp('archived_at', { withTimezone: true }),
  createdAt: timestamp('created_at', { withTimezone: true }).notNull().defaultNow(),
  updatedAt: timestamp('updated_at', { withTimezone: true }).notNull().defaultNow(),
})

export const promptVersions = pgTable('prompt_versions', {
  id: uuid('id').primaryKey(),
  tenantId: uuid('tenant_id').notNull(),
  promptId: uuid('prompt_id').notNull(),
  version: integer('version').notNull(),
  content: jsonb('content').notNull(),
  note: text('note').notNull().default(sql`''::text`),
  createdBy: text('created_by').notNull().default(sql`'system'::text`),
  createdAt: timestamp('created_at', { withTimezone: true }).notNull().defaultNow(),
})

export const agents = pgTable('agents', {
  id: uuid('id').primaryKey(),
  tenantId: uuid('tenant_id').notNull(),
  projectId: uuid('project_id').notNull(),
  name: text('name').notNull(),
  numberId: uuid('number_id').notNull(),
  promptId: uuid('prompt_id').notNull(),
  pinnedVersion: integer('pinned_version'),
  endedAt: timestamp('ended_at', { withTimezone: true }),
  createdAt: timestamp('created_at', { withTimezone: true }).notNull().defaultNow(),
})

export const vendorKeys = pgTable('vendor_keys', {
  id: uuid('id').primaryKey(),
  tenantId: uuid('tenant_id').notNull(),
  vendor: text('vendor').notNull(),
  baseUrl: text('base_url'),
  keySealed: bytea('key_sealed').notNull(),
  lastFour: text('last_four').notNull(),
  createdAt: timestamp('created_at', { withTimezone: true }).notNull().defaultNow(),
})

export const toolSecrets = pgTable('tool_secrets', {
  tenantId: uuid('tenant_id').notNull(),
  name: text('name').notNull(),
  valueSealed: bytea('value_sealed').notNull(),
  createdAt: timestamp('created_at', { withTimezone: true }).notNull().defaultNow(),
})

export const conversationArchives = pgTable('conversation_archives', {
  id: uuid('id').primaryKey(),
  tenantId: uuid('tenant_id').notNull(),
  numberId: uuid('number_id').notNull(),
  agentId: uuid('agent_id'),
  promptId: uuid('prompt_id'),
  reason: text('reason').notNull(),
  conversationCount: integer('conversation_count').notNull().default(sql`0`),
  archivedBy: text('archived_by').notNull().default(sql`'system'::text`),
  createdAt: timestamp('created_at', { withTimezone: true }).notNull().defaultNow(),
})

export const conversations = pgTable('conversations', {
  id: uuid('id').primaryKey(),
  tenantId: uuid('tenant_id').notNull(),
  projectId: uuid('project_id').notNull(),
  numberId: uuid('number_id').notNull(),
  agentId: uuid('agent_id'),
  contactId: uuid('contact_id').notNull(),
  status: text('status').notNull().default(sql`'open'::text`),
  archiveId: uuid('archive_id'),
  handler: text('handler').notNull().default(sql`'agent'::text`),
  handlerEpoch: integer('handler_epoch').notNull().default(sql`0`),
  replyTo: jsonb('reply_to').notNull(),
  vendorState: jsonb('vendor_state'),
  summarySealed: bytea('summary_sealed'),
  contextStartSeq: bigint('context_start_seq', { mode: 'number' }).notNull().default(sql`0`),
  lastSeq: bigint('last_seq', { mode: 'number' }).notNull().default(sql`0`),
  lastMessageAt: timestamp('last_message_at', { withTimezone: true }).notNull().defaultNow(),
  lastInboundAt: timestamp('last_inbound_at', { withTimezone: true }),
  extractedSeq: bigint('extracted_seq', { mode: 'number' }).notNull().default(sql`0`),
  firstUnextractedAt: timestamp('first_unextracted_at', { withTimezone: true }),
  extractionDueAt: timestamp('extraction_due_at', { withTimezone: true }),
  extractionFailures: integer('extraction_failures').notNull().default(sql`0`),
  createdAt: timestamp('created_at', { withTimezone: true }).notNull().defaultNow(),
})

export const messages = pgTable('messages', {
  id: uuid('id').primaryKey(),
  tenantId: uuid('tenant_id').notNull(),
  conversationId: uuid('conversation_id').notNull(),
  numberId: uuid('number_id').notNull(),
  turnId: uuid('turn_id'),
  agentId: uuid('agent_id'),
  promptId: uuid('prompt_id'),
  promptVersion: integer('prompt_version'),
  seq: bigint('seq', { mode: 'number' }).notNull(),
  direction: text('direction').notNull(),
  author: text('author').notNull(),
  authorUserId: uuid('author_user_id'),
  kind: text('kind').notNull(),
  contentSealed: bytea('content_sealed').notNull(),
  providerMessageId: text('provider_message_id'),
  replyTo: text('reply_to'),
  status: text('status').notNull(),
  reason: text('reason'),
  details: jsonb('details'),
  providerAt: timestamp('provider_at', { withTimezone: true }),
  createdAt: timestamp('created_at', { withTimezone: true }).notNull().defaultNow(),
  callId: uuid('call_id'),
})

export const messageReactions = pgTable('message_reactions', {
  tenantId: uuid('tenant_id').notNull(),
  messageId: uuid('message_id').notNull(),
  actor: text('actor').notNull(),
  emoji: text('emoji').notNull(),
  at: timestamp('at', { withTimezone: true }).notNull(),
})

export const messageRevisions = pgTable('message_revisions', {
  id: uuid('id').primaryKey(),
  tenantId: uuid('tenant_id').notNull(),
  messageId: uuid('message_id').notNull(),
  change: text('change').notNull(),
  contentSealed: bytea('content_sealed'),
  at: timestamp('at', { withTimezone: true }).notNull(),
})

export const numberNotices = pgTable('number_notices', {
  id: uuid('id').primaryKey(),
  tenantId: uuid('tenant_id').notNull(),
  numberId: uuid('number_id').notNull(),
  topic: text('topic').notNull(),
  severity: text('severity').notNull(),
  data: jsonb('data').notNull().default(sql`'{}'::jsonb`),
  acknowledgedAt: timestamp('acknowledged_at', { withTimezone: true }),
  createdAt: timestamp('created_at', { withTimezone: true }).notNull().defaultNow(),
})

export const media = pgTable('media', {
  id: uuid('id').primaryKey(),
  tenantId: uuid('tenant_id').notNull(),
  numberId: uuid('number_id').notNull(),
  messageId: uuid('message_id'),
  source: jsonb('source').notNull(),
  state: text('state').notNull().default(sql`'pending'::text`),
  attempts: integer('attempts').notNull().default(sql`0`),
  nextAttemptAt: timestamp('next_attempt_at', { withTimezone: true }),
  error: text('error'),
  mimeType: text('mime_type'),
  sizeBytes: bigint('size_bytes', { mode: 'number' }),
  sha256: text('sha256'),
  storageKey: text('storage_key'),
  filename: text('filename'),
  createdAt: timestamp('created_at', { withTimezone: true }).notNull().defaultNow(),
  storedAt: timestamp('stored_at', { withTimezone: true }),
})

export const lanes = pgTable('lanes', {
  numberId: uuid('number_id').primaryKey(),
  tenantId: uuid('tenant_id').notNull(),
  nextSeq: bigint('next_seq', { mode: 'number' }).notNull().default(sql`1`),
  cursorSeq: bigint('cursor_seq', { mode: 'number' }).notNull().default(sql`0`),
  ahead: bigint('ahead', { mode: 'number' }).array().notNull().default(sql`'{}'::bigint[]`),
  epoch: bigint('epoch', { mode: 'number' }).notNull().default(sql`0`),
  owner: text('owner'),
  claimedAt: timestamp('claimed_at', { withTimezone: true }),
})

export const inbox = pgTable('inbox', {
  numberId: uuid('number_id').notNull(),
  seq: bigint('seq', { mode: 'number' }).notNull(),
  tenantId: uuid('tenant_id').notNull(),
  messageId: uuid('message_id').notNull(),
  providerMessageId: text('provider_message_id').notNull(),
  conversationKey: text('conversation_key').notNull(),
  payloadSealed: bytea('payload_sealed').notNull(),
  receivedAt: timestamp('received_at', { withTimezone: true }).notNull().defaultNow(),
})

export const effects = pgTable('effects', {
  id: bigint('id', { mode: 'number' }).primaryKey().generatedAlwaysAsIdentity(),
  tenantId: uuid('tenant_id').notNull(),
  numberId: uuid('number_id').notNull(),
  kind: text('kind').notNull(),
  dedupeKey: text('dedupe_key').notNull(),
  providerMessageId: text('provider_message_id'),
  payloadSealed: bytea('payload_sealed').notNull(),
  receivedAt: timestamp('received_at', { withTimezone: true }).notNull().defaultNow(),
  appliedAt: timestamp('applied_at', { withTimezone: true }),
  outcome: text('outcome'),
})

export const turns = pgTable('turns', {
  id: uuid('id').primaryKey(),
  tenantId: uuid('tenant_id').notNull(),
  numberId: uuid('number_id').notNull(),
  conversationId: uuid('conversation_id').notNull(),
  agentId: uuid('agent_id'),
  promptId: uuid('prompt_id'),
  promptVersion: integer('prompt_version'),
  firstSeq: bigint('first_seq', { mode: 'number' }).notNull(),
  seqs: bigint('seqs', { mode: 'number' }).array().notNull(),
  state: text('state').notNull().default(sql`'open'::text`),
  outcome: text('outcome'),
  reason: text('reason'),
  attempts: integer('attempts').notNull().default(sql`0`),
  handlerEpoch: integer('handler_epoch').notNull().default(sql`0`),
  holdId: uuid('hold_id'),
  vendor: text('vendor'),
  model: text('model'),
  inputTokens: integer('input_tokens'),
  outputTokens: integer('output_tokens'),
  costMicros: bigint('cost_micros', { mode: 'bigint' }),
  details: jsonb('details'),
  createdAt: timestamp('created_at', { withTimezone: true }).notNull().defaultNow(),
  answeredAt: timestamp('answered_at', { withTimezone: true }),
  retiredAt: timestamp('retired_at', { withTimezone: true }),
})

export const outbox = pgTable('outbox', {
  id: uuid('id').primaryKey(),
  tenantId: uuid('tenant_id').notNull(),
  numberId: uuid('number_id').notNull(),
  conversationId: uuid('conversation_id').notNull(),
  turnId: uuid('turn_id'),
  messageId: uuid('message_id').notNull(),
  part: integer('part').notNull().default(sql`0`),
  state: text('state').notNull(),
  attempt: integer('attempt').notNull().default(sql`0`),
  epoch: bigint('epoch', { mode: 'number' }).notNull().default(sql`0`),
  handlerEpoch: integer('handler_epoch').notNull().default(sql`0`),
  requestSealed: bytea('request_sealed').notNull(),
  providerMessageId: text('provider_message_id'),
  policy: text('policy'),
  errorCode: text('error_code'),
  errorMessage: text('error_message'),
  nextAttemptAt: timestamp('next_attempt_at', { withTimezone: true }),
  createdAt: timestamp('created_at', { withTimezone: true }).notNull().defaultNow(),
  sendingAt: timestamp('sending_at', { withTimezone: true }),
  settledAt: timestamp('settled_at', { withTimezone: true }),
})

export const leads = pgTable('leads', {
  id: uuid('id').primaryKey(),
  tenantId: uuid('tenant_id').notNull(),
  projectId: uuid('project_id').notNull(),
  conversationId: uuid('conversation_id').notNull(),
  numberId: uuid('number_id').notNull(),
  contactId: uuid('contact_id').notNull(),
  status: text('status').notNull().default(sql`'new'::text`),
  name: text('name'),
  email: text('email'),
  phone: text('phone'),
  company: text('company'),
  intent: text('intent'),
  urgency: text('urgency'),
  budget: text('budget'),
  fit: text('fit'),
  engagement: text('engagement'),
  demoDatetime: timestamp('demo_datetime', { withTimezone: true }),
  smartNotification: text('smart_notification'),
  evidenceMessageIds: uuid('evidence_message_ids').array().notNull().default(sql`'{}'::uuid[]`),
  extractedSeq: bigint('extracted_seq', { mode: 'number' }).notNull(),
  extractedBy: text('extracted_by').notNull(),
  createdAt: timestamp('created_at', { withTimezone: true }).notNull().defaultNow(),
  updatedAt: timestamp('updated_at', { withTimezone: true }).notNull().defaultNow(),
})

export const leadExtractions = pgTable('lead_extractions', {
  id: uuid('id').primaryKey(),
  tenantId: uuid('tenant_id').notNull(),
  conversationId: uuid('conversation_id').notNull(),
  lastSeq: bigint('last_seq', { mode: 'number' }).notNull(),
  fields: jsonb('fields').notNull(),
  extractedBy: text('extracted_by').notNull(),
  createdAt: timestamp('created_at', { withTimezone: true }).notNull().defaultNow(),
})

export const usageRecords = pgTable('usage_records', {
  id: uuid('id').primaryKey(),
  tenantId: uuid('tenant_id').notNull(),
  projectId: uuid('project_id'),
  conversationId: uuid('conversation_id'),
  turnId: uuid('turn_id'),
  vendor: text('vendor').notNull(),
  model: text('model').notNull(),
  purpose: text('purpose').notNull(),
  inputTokens: integer('input_tokens').notNull(),
  cachedInputTokens: integer('cached_input_tokens').notNull().default(sql`0`),
  outputTokens: integer('output_tokens').notNull(),
  latencyMs: integer('latency_ms').notNull(),
  firstTokenMs: integer('first_token_ms'),
  outcome: text('outcome').notNull(),
  costMicros: bigint('cost_micros', { mode: 'bigint' }).notNull().default(sql`0`),
  requestId: text('request_id'),
  createdAt: timestamp('created_at', { withTimezone: true }).notNull().defaultNow(),
  callId: uuid('call_id'),
  audioMs: bigint('audio_ms', { mode: 'number' }).notNull().default(sql`0`),
  characters: integer('characters').notNull().default(sql`0`),
  ownKey: boolean('own_key').notNull().default(sql`false`),
  causedBy: text('caused_by'),
})

export const accounts = pgTable('accounts', {
  tenantId: uuid('tenant_id').notNull(),
  kind: text('kind').notNull(),
  balanceMicros: bigint('balance_micros', { mode: 'bigint' }).notNull().default(sql`0`),
  updatedAt: timestamp('updated_at', { withTimezone: true }).notNull().defaultNow(),
})

export const holds = pgTable('holds', {
  id: uuid('id').primaryKey(),
  tenantId: uuid('tenant_id').notNull(),
  amountMicros: bigint('amount_micros', { mode: 'bigint' }).notNull(),
  state: text('state').notNull().default(sql`'held'::text`),
  turnId: uuid('turn_id'),
  expiresAt: timestamp('expires_at', { withTimezone: true }).notNull(),
  createdAt: timestamp('created_at', { withTimezone: true }).notNull().defaultNow(),
  closedAt: timestamp('closed_at', { withTimezone: true }),
})

export const transfers = pgTable('transfers', {
  id: uuid('id').primaryKey(),
  tenantId: uuid('tenant_id').notNull(),
  kind: text('kind').notNull(),
  idempotencyKey: text('idempotency_key').notNull(),
  holdId: uuid('hold_id'),
  turnId: uuid('turn_id'),
  messageId: uuid('message_id'),
  amountMicros: bigint('amount_micros', { mode: 'bigint' }).notNull(),
  memo: text('memo').notNull().default(sql`''::text`),
  details: jsonb('details'),
  createdAt: timestamp('created_at', { withTimezone: true }).notNull().defaultNow(),
})

export const entries = pgTable('entries', {
  id: bigint('id', { mode: 'number' }).primaryKey().generatedAlwaysAsIdentity(),
  tenantId: uuid('tenant_id').notNull(),
  transferId: uuid('transfer_id').notNull(),
  account: text('account').notNull(),
  amountMicros: bigint('amount_micros', { mode: 'bigint' }).notNull(),
  createdAt: timestamp('created_at', { withTimezone: true }).notNull().defaultNow(),
})
