import { sealJson, type Keyring } from '@trunkline/db'
import pg from 'pg'
import type { BenchNumber } from '../stage/numbers.ts'

const TURNS_PER_CONVERSATION = 5
const MESSAGES_PER_TURN = 2

/**
 * What earlier traffic would have left: conversations of five turns each with their contacts, messages, inbox, outbox, holds and
 * transfers, all of it ended. Written by the owner, without foreign-key checks, in a few statements; then vacuumed and checkpointed, so
 * that nothing of it is left to do when the measurement begins. Ledger entries and usage rows are left out: a turn only ever appends there.
 */
export async function writeHistory(databaseUrl: string, keyring: Keyring, numbers: readonly BenchNumber[], messages: number): Promise<void> {
  const client = new pg.Client({ connectionString: databaseUrl })
  await client.connect()
  try {
    await client.query("SET session_replication_role = 'replica'; SET synchronous_commit = off")
    const tenants = Map.groupBy(numbers, (number) => number.tenantId)
    for (const [tenantId, lines] of tenants) await writeTenant(client, keyring, tenantId, lines, messages / tenants.size)
    await client.query('VACUUM (ANALYZE)')
    await client.query('CHECKPOINT')
  } finally {
    await client.end()
  }
}

async function writeTenant(client: pg.Client, keyring: Keyring, tenantId: string, lines: BenchNumber[], messages: number): Promise<void> {
  const conversations = Math.round(messages / TURNS_PER_CONVERSATION / MESSAGES_PER_TURN)
  await client.query('DROP TABLE IF EXISTS line, talk, exchange; CREATE TEMP TABLE line (place int, number_id uuid, agent_id uuid, prompt_id uuid, project_id uuid)')
  await client.query('INSERT INTO line SELECT place - 1, number_id, agent_id, prompt_id, project_id FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::uuid[]) WITH ORDINALITY AS l (number_id, agent_id, prompt_id, project_id, place)', [
    lines.map(({ id }) => id), lines.map(({ agentId }) => agentId), lines.map(({ promptId }) => promptId), lines.map(({ projectId }) => projectId),
  ])
  const hex = (value: unknown) => `'\\x${sealJson(keyring, value, tenantId).toString('hex')}'::bytea`
  const words = hex({ kind: 'text', text: 'When do you open, and can I bring my bike today? It makes a noise whenever I turn left.' })
  for (const statement of statements(`'${tenantId}'::uuid`, words, conversations, lines.length)) await client.query(statement)
}

function statements(tenant: string, words: string, conversations: number, lines: number): string[] {
  const at = "now() - interval '1 hour'"
  return [
    `CREATE TEMP TABLE talk AS SELECT n, line.*, uuidv7(interval '-1 hour') AS conversation_id, uuidv7(interval '-1 hour') AS contact_id FROM generate_series(0, ${conversations - 1}) n JOIN line ON line.place = n % ${lines}`,
    `CREATE TEMP TABLE exchange AS SELECT talk.*, k, (n / ${lines}) * ${TURNS_PER_CONVERSATION} + k AS seq, uuidv7(interval '-1 hour') AS turn_id, uuidv7(interval '-1 hour') AS inbound_id, uuidv7(interval '-1 hour') AS outbound_id, uuidv7(interval '-1 hour') AS outbox_id, uuidv7(interval '-1 hour') AS hold_id
     FROM talk, generate_series(1, ${TURNS_PER_CONVERSATION}) k`,
    `INSERT INTO contacts (id, tenant_id, name, created_at) SELECT contact_id, ${tenant}, 'Ada Lovelace', ${at} FROM talk`,
    `INSERT INTO contact_identities (id, tenant_id, contact_id, kind, value, source) SELECT uuidv7(), ${tenant}, contact_id, 'phone', '88' || lpad(n::text, 11, '0'), 'webhook' FROM talk`,
    `INSERT INTO conversations (id, tenant_id, project_id, number_id, agent_id, contact_id, reply_to, last_seq, last_message_at, last_inbound_at, extracted_seq)
     SELECT conversation_id, ${tenant}, project_id, number_id, agent_id, contact_id, jsonb_build_object('kind', 'phone', 'value', '88' || lpad(n::text, 11, '0')), ${TURNS_PER_CONVERSATION * MESSAGES_PER_TURN}, ${at}, ${at}, ${TURNS_PER_CONVERSATION * MESSAGES_PER_TURN} FROM talk`,
    `INSERT INTO turns (id, tenant_id, number_id, conversation_id, agent_id, prompt_id, prompt_version, first_seq, seqs, state, outcome, attempts, hold_id, vendor, model, cost_micros, created_at, answered_at, retired_at)
     SELECT turn_id, ${tenant}, number_id, conversation_id, agent_id, prompt_id, 1, seq, ARRAY[seq]::bigint[], 'retired', 'sent', 1, hold_id, 'openai', 'gpt-5-mini', 100, ${at}, ${at}, ${at} FROM exchange`,
    `INSERT INTO messages (id, tenant_id, conversation_id, number_id, turn_id, agent_id, prompt_id, prompt_version, seq, direction, author, kind, content_sealed, provider_message_id, status, provider_at, created_at)
     SELECT inbound_id, ${tenant}, conversation_id, number_id, turn_id, agent_id, prompt_id, 1, k * 2 - 1, 'inbound', 'customer', 'text', ${words}, 'wamid.old.in.' || n || '.' || k, 'answered', ${at}, ${at} FROM exchange
     UNION ALL SELECT outbound_id, ${tenant}, conversation_id, number_id, turn_id, agent_id, prompt_id, 1, k * 2, 'outbound', 'agent', 'text', ${words}, 'wamid.old.out.' || n || '.' || k, 'sent', NULL, ${at} FROM exchange`,
    `INSERT INTO inbox (number_id, seq, tenant_id, message_id, provider_message_id, conversation_key, payload_sealed, received_at)
     SELECT number_id, seq, ${tenant}, inbound_id, 'wamid.old.in.' || n || '.' || k, 'phone:88' || n, ${words}, ${at} FROM exchange`,
    `INSERT INTO outbox (id, tenant_id, number_id, conversation_id, turn_id, message_id, state, attempt, epoch, request_sealed, provider_message_id, created_at, sending_at, settled_at)
     SELECT outbox_id, ${tenant}, number_id, conversation_id, turn_id, outbound_id, 'accepted', 1, 0, ${words}, 'wamid.old.out.' || n || '.' || k, ${at}, ${at}, ${at} FROM exchange`,
    `INSERT INTO holds (id, tenant_id, amount_micros, state, turn_id, expires_at, closed_at) SELECT hold_id, ${tenant}, 100, 'settled', turn_id, now(), now() FROM exchange`,
    `INSERT INTO transfers (id, tenant_id, kind, idempotency_key, hold_id, turn_id, amount_micros)
     SELECT uuidv7(), ${tenant}, kind, kind || ':' || turn_id, hold_id, turn_id, 100 FROM exchange, unnest(ARRAY['hold', 'settle']) AS kind`,
    'UPDATE lanes l SET next_seq = e.last + 1, cursor_seq = e.last FROM (SELECT number_id, max(seq) AS last FROM exchange GROUP BY 1) e WHERE l.number_id = e.number_id',
  ]
}

/** Rows that a turn looks things up among. */
export async function storedMessages(databaseUrl: string): Promise<number> {
  const client = new pg.Client({ connectionString: databaseUrl })
  await client.connect()
  try {
    const { rows } = await client.query<{ count: string }>('SELECT count(*) FROM messages')
    return Number(rows[0]!.count)
  } finally {
    await client.end()
  }
}
