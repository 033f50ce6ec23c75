import { newId } from '@trunkline/core'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { freshDatabase, TEST_SECRET, type FreshDatabase } from '../../tests/harness/database.ts'
import { connectDb, type Db } from './index.ts'

let database: FreshDatabase
let db: Db
const [ours, theirs] = [newId(), newId()]

beforeAll(async () => {
  database = await freshDatabase()
  db = connectDb({ url: database.url, secret: TEST_SECRET })
  await db.system('test', (tx) => tx.query('INSERT INTO tenants (id, name) VALUES ($1, $2), ($3, $4)', [ours, 'Ours', theirs, 'Theirs']))
})
afterAll(async () => {
  await db.close()
  await database.drop()
})

/** Table names with row level security facts, as the owner sees them. */
async function asOwner<Row extends pg.QueryResultRow>(sql: string): Promise<Row[]> {
  const client = new pg.Client({ connectionString: database.url })
  await client.connect()
  return client.query<Row>(sql).then(async (result) => {
    await client.end()
    return result.rows
  })
}

describe('tenancy', () => {
  it('shows a tenant its own rows only', async () => {
    const seen = await db.tenant(ours, (tx) => tx.query<{ id: string }>('SELECT id FROM tenants'))
    expect(seen.rows).toEqual([{ id: ours }])
  })

  it('refuses to write a row of another tenant, or to move one there', async () => {
    const insert = db.tenant(ours, (tx) => tx.query("INSERT INTO projects (id, tenant_id, name, environment) VALUES ($1, $2, 'x', 'production')", [newId(), theirs]))
    await expect(insert).rejects.toThrow(/row-level security/)
    const projectId = newId()
    await db.tenant(ours, (tx) => tx.query("INSERT INTO projects (id, tenant_id, name, environment) VALUES ($1, $2, 'x', 'production')", [projectId, ours]))
    await expect(db.tenant(ours, (tx) => tx.query('UPDATE projects SET tenant_id = $1', [theirs]))).rejects.toThrow(/row-level security/)
  })

  it('forgets the tenant when the transaction ends, and fails instead of showing nothing', async () => {
    await db.tenant(ours, (tx) => tx.query('SELECT 1'))
    const url = new URL(database.url)
    url.username = 'trunkline_app'
    const { createHmac } = await import('node:crypto')
    url.password = createHmac('sha256', TEST_SECRET).update('postgres role trunkline_app').digest('hex')
    const client = new pg.Client({ connectionString: url.href })
    await client.connect()
    await client.query(`BEGIN; SET LOCAL app.tenant = '${ours}'; COMMIT`)
    await expect(client.query('SELECT id FROM tenants')).rejects.toThrow()
    await client.end()
  })

  it('refuses a tenant id that is not a UUID before it reaches SQL', async () => {
    await expect(db.tenant("x'; DROP TABLE tenants; --", async () => 1)).rejects.toThrow()
  })

  it('connects with roles that own nothing and bypass nothing', async () => {
    const roles = await asOwner<{ rolname: string }>("SELECT rolname FROM pg_roles WHERE rolname IN ('trunkline_app', 'trunkline_system') AND (rolsuper OR rolbypassrls OR rolcreatedb OR rolcreaterole)")
    expect(roles).toEqual([])
    const owned = await asOwner("SELECT relname FROM pg_class WHERE pg_get_userbyid(relowner) IN ('trunkline_app', 'trunkline_system')")
    expect(owned).toEqual([])
  })

  it('secures every table that has a tenant_id, with USING and WITH CHECK for both roles', async () => {
    const open = await asOwner(`
      SELECT c.relname FROM pg_class c
      WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
        AND EXISTS (SELECT 1 FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname = 'tenant_id' AND NOT a.attisdropped)
        AND c.relname <> 'email_tokens'
        AND (NOT c.relrowsecurity OR NOT c.relforcerowsecurity
          OR (SELECT count(*) FROM pg_policy p WHERE p.polrelid = c.oid AND p.polqual IS NOT NULL AND p.polwithcheck IS NOT NULL) < 2)`)
    expect(open).toEqual([])
  })

  it('gives the tenant role no right on tables without a policy', async () => {
    const granted = await asOwner(`
      SELECT c.relname FROM pg_class c
      WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relrowsecurity
        AND has_table_privilege('trunkline_app', c.oid, 'SELECT, INSERT, UPDATE, DELETE')`)
    expect(granted).toEqual([])
  })

  it('keeps audit entries and ledger entries append-only', async () => {
    const triggers = await asOwner<{ relname: string }>("SELECT DISTINCT c.relname FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid WHERE t.tgfoid = 'trunkline_append_only'::regproc AND NOT c.relispartition ORDER BY 1")
    expect(triggers.map((row) => row.relname)).toEqual(['audit_entries', 'entries', 'prompt_versions', 'transfers'])
  })
})
