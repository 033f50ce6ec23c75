import { createHash, randomBytes } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import pg from 'pg'
import { inject } from 'vitest'

const DB_SOURCES = fileURLToPath(new URL('../../db/src', import.meta.url))
const DRAFT_LOCK = 7_270_001

/** The secret every test migrates and connects with: the roles' passwords belong to the whole server. */
export const TEST_SECRET = 'test-secret-test-secret-test-secret-00'

export interface FreshDatabase {
  /** Owner's (superuser's) URL. */
  url: string
  /** What the database was migrated with: connectDb({ url, secret }). */
  secret: string
  drop(): Promise<void>
}

/**
 * A new database with all migrations applied, in about 50 ms: a copy of a template that is migrated once and kept until
 * the sources of db/ change. Take one per test file (beforeAll) and drop it in afterAll; one that was forgotten goes at
 * the start of the next run.
 */
export async function freshDatabase(): Promise<FreshDatabase> {
  const adminUrl = inject('postgresUrl')
  const template = await migratedTemplate(adminUrl)
  const name = `test_${randomBytes(8).toString('hex')}`
  await asAdmin(adminUrl, (admin) => admin.query(`CREATE DATABASE ${name} TEMPLATE ${template}`))
  return { url: withDatabase(adminUrl, name), secret: TEST_SECRET, drop: () => dropDatabase(adminUrl, name) }
}

/** A new database with nothing in it, for tests of the migrations themselves. */
export async function emptyDatabase(): Promise<FreshDatabase> {
  const adminUrl = inject('postgresUrl')
  const name = `test_${randomBytes(8).toString('hex')}`
  await asAdmin(adminUrl, (admin) => admin.query(`CREATE DATABASE ${name} TEMPLATE template0`))
  return { url: withDatabase(adminUrl, name), secret: TEST_SECRET, drop: () => dropDatabase(adminUrl, name) }
}

/** Removes what earlier runs left. Only databases whose names this harness gives. */
export async function dropLeftovers(adminUrl: string): Promise<void> {
  const current = templateName()
  await asAdmin(adminUrl, async (admin) => {
    const { rows } = await admin.query<{ datname: string }>(
      `SELECT datname FROM pg_database WHERE datname ~ '^(test|draft|template)_[0-9a-f]{16}$' AND datname <> $1`,
      [current],
    )
    for (const { datname } of rows) await admin.query(`DROP DATABASE IF EXISTS ${datname} WITH (FORCE)`)
  })
}

async function migratedTemplate(adminUrl: string): Promise<string> {
  const name = templateName()
  await asAdmin(adminUrl, async (admin) => {
    // One test file makes it, those that start at the same time wait here. The lock ends with the connection.
    await admin.query('SELECT pg_advisory_lock($1)', [DRAFT_LOCK])
    const { rowCount } = await admin.query('SELECT 1 FROM pg_database WHERE datname = $1', [name])
    if (rowCount === 0) await makeTemplate(admin, adminUrl, name)
  })
  return name
}

/** Migrates under another name and renames at the end: a template of that name is always whole. */
async function makeTemplate(admin: pg.Client, adminUrl: string, name: string): Promise<void> {
  const { migrate } = await import('@trunkline/db')
  const draft = `draft_${randomBytes(8).toString('hex')}`
  await admin.query(`CREATE DATABASE ${draft} TEMPLATE template0`)
  try {
    await migrate(withDatabase(adminUrl, draft), TEST_SECRET)
    await admin.query(`ALTER DATABASE ${draft} RENAME TO ${name}`)
  } catch (error) {
    await admin.query(`DROP DATABASE IF EXISTS ${draft} WITH (FORCE)`)
    throw error
  }
}

/** Changes with any source of db/, so that a stale template is never used. Tests there do not count. */
function templateName(): string {
  const hash = createHash('sha256')
  for (const entry of readdirSync(DB_SOURCES, { recursive: true, withFileTypes: true }).toSorted(byPath)) {
    if (!entry.isFile() || entry.name.endsWith('.test.ts')) continue
    hash.update(entry.name).update(readFileSync(join(entry.parentPath, entry.name)))
  }
  return `template_${hash.digest('hex').slice(0, 16)}`
}

function byPath(a: { parentPath: string; name: string }, b: { parentPath: string; name: string }): number {
  return join(a.parentPath, a.name) < join(b.parentPath, b.name) ? -1 : 1
}

async function dropDatabase(adminUrl: string, name: string): Promise<void> {
  await asAdmin(adminUrl, (admin) => admin.query(`DROP DATABASE IF EXISTS ${name} WITH (FORCE)`))
}

async function asAdmin<T>(adminUrl: string, work: (admin: pg.Client) => Promise<T>): Promise<T> {
  const admin = new pg.Client({ connectionString: adminUrl })
  await admin.connect()
  try {
    return await work(admin)
  } finally {
    await admin.end()
  }
}

function withDatabase(url: string, name: string): string {
  const changed = new URL(url)
  changed.pathname = `/${name}`
  return changed.href
}
