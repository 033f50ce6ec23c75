import { newId, PromptContent } from '@trunkline/core'
import { ledger, sealJson, type Db, type Keyring } from '@trunkline/db'

export type BenchNumber = { id: string; tenantId: string; projectId: string; address: string; agentId: string; promptId: string }
export const CREDENTIALS = { access_token: 'sandbox-access-token', app_secret: 'sandbox-app-secret', verify_token: 'sandbox-verify-token' }

const PROMPT = PromptContent.parse({
  instructions: 'You are the receptionist of Harbour Bikes. We open at nine and repair every bicycle. Be short and kind.',
  vendor: 'openai',
  model: 'gpt-5-mini',
  maxOutputTokens: 200,
})
const CREDIT_MICROS = 1_000_000_000_000n

export type NumberWish = {
  tenants: number
  perTenant: number
  settings?: { coalesceMs?: number; windowSize?: number }
  /** Telephone numbers instead of WhatsApp's. */
  telephone?: { settings: Record<string, unknown>; credentials: Record<string, string> }
}

/** Tenants with credit, numbers with a lane, a prompt and an agent: what the API would have written, in a few statements. */
export async function makeNumbers(db: Db, keyring: Keyring, wish: NumberWish): Promise<BenchNumber[]> {
  const numbers: BenchNumber[] = []
  for (let tenant = 0; tenant < wish.tenants; tenant++) numbers.push(...(await makeTenant(db, keyring, tenant, wish)))
  return numbers
}

async function makeTenant(db: Db, keyring: Keyring, place: number, { perTenant, settings = {}, telephone }: NumberWish): Promise<BenchNumber[]> {
  const [tenantId, projectId] = [newId(), newId()]
  const numbers = Array.from({ length: perTenant }, (_, index) => ({ id: newId(), tenantId, projectId, address: telephone ? `+1500${5_000_000 + place * 1_000 + index}` : String(100_000_000_000_000 + place * 100_000 + index), agentId: newId(), promptId: newId() }))
  const sealed = sealJson(keyring, telephone?.credentials ?? CREDENTIALS, tenantId)
  const list = (field: 'id' | 'address' | 'agentId' | 'promptId') => numbers.map((number) => number[field])
  await db.system('test', async (tx) => {
    await tx.query('INSERT INTO tenants (id, name) VALUES ($1, $2)', [tenantId, `Tenant ${place}`])
    await tx.query("INSERT INTO projects (id, tenant_id, name, environment) VALUES ($1, $2, 'Main', 'production')", [projectId, tenantId])
    await tx.query(
      `INSERT INTO phone_numbers (id, tenant_id, project_id, channel, address, name, credentials_sealed, coalesce_ms, window_size, settings)
       SELECT id, $1, $2, $8, address, 'Front desk', $3, $4, $5, $9::jsonb FROM unnest($6::uuid[], $7::text[]) AS n (id, address)`,
      [tenantId, projectId, sealed, settings.coalesceMs ?? 1_000, settings.windowSize ?? 16, list('id'), list('address'), telephone ? 'voice' : 'whatsapp', JSON.stringify(telephone?.settings ?? {})],
    )
    await tx.query('INSERT INTO lanes (number_id, tenant_id) SELECT id, $1 FROM unnest($2::uuid[]) AS n (id)', [tenantId, list('id')])
    await tx.query("INSERT INTO prompts (id, tenant_id, project_id, name) SELECT id, $1, $2, 'Receptionist' FROM unnest($3::uuid[]) AS p (id)", [tenantId, projectId, list('promptId')])
    await tx.query('INSERT INTO prompt_versions (id, tenant_id, prompt_id, version, content) SELECT version_id, $1, prompt_id, 1, $2 FROM unnest($3::uuid[], $4::uuid[]) AS v (version_id, prompt_id)', [tenantId, PROMPT, numbers.map(() => newId()), list('promptId')])
    await tx.query("INSERT INTO agents (id, tenant_id, project_id, name, number_id, prompt_id) SELECT a.id, $1, $2, 'Rosa', a.number_id, a.prompt_id FROM unnest($3::uuid[], $4::uuid[], $5::uuid[]) AS a (id, number_id, prompt_id)", [tenantId, projectId, list('agentId'), list('id'), list('promptId')])
    await ledger.topUp(tx, { tenantId, amountMicros: CREDIT_MICROS, idempotencyKey: 'bench', memo: 'bench', actor: { kind: 'system', id: 'bench' } })
  })
  return numbers
}
