import { createHmac } from 'node:crypto'
import { fileURLToPath } from 'node:url'
import { AppError, Id } from '@trunkline/core'
import { drizzle } from 'drizzle-orm/node-postgres'
import { migrate as runMigrations } from 'drizzle-orm/node-postgres/migrator'
import pg from 'pg'
import type { Note } from './events/notes.ts'
import { onlyStatement, transactor, type Tx } from './transaction.ts'

export type { Tx } from './transaction.ts'

/** Why code may look across tenants. Closed, so that a reader can find every place. */
export type SystemReason = 'auth' | 'sign-up' | 'routing' | 'queue' | 'schedule' | 'maintenance' | 'ledger' | 'calls' | 'platform-admin' | 'test'

/** The only two ways to a connection. */
export type Db = {
  /** A transaction that sees and writes this tenant's rows and no others (row level security). */
  tenant<T>(tenantId: Id, work: (tx: Tx) => Promise<T>): Promise<T>
  /** A transaction across tenants, for the machinery itself. Rows carry their tenant_id explicitly. */
  system<T>(reason: SystemReason, work: (tx: Tx) => Promise<T>): Promise<T>
  /** As `system`, for one statement: PostgreSQL makes a transaction of it by itself, without BEGIN and COMMIT. */
  single<T>(reason: SystemReason, work: (one: Pick<Tx, 'query'>) => Promise<T>): Promise<T>
  /** Throws AppError `unavailable` when Postgres does not answer in time. */
  ping(): Promise<void>
  close(): Promise<void>
}

export type DbOptions = {
  /** Owner's URL; the two roles' URLs are derived from it. */
  url: string
  /** Derives the roles' passwords (the same for `migrate`). */
  secret: string
  maxConnections?: number
  statementTimeoutMs?: number
  /** Called once per system transaction; feeds a metric by reason. */
  onSystem?: (reason: SystemReason) => void
  /** Called after a commit with what the transaction has said by `happened`: give it to the event bus. Must not throw. */
  onCommitted?: (notes: readonly Note[]) => void
}

const ROLES = ['trunkline_app', 'trunkline_system'] as const
type Role = (typeof ROLES)[number]

const rolePassword = (secret: string, role: Role) => createHmac('sha256', secret).update(`postgres role ${role}`).digest('hex')

function roleUrl(ownerUrl: string, secret: string, role: Role): string {
  const url = new URL(ownerUrl)
  url.username = role
  url.password = rolePassword(secret, role)
  return url.toString()
}

/** Creates or updates the schema and the two roles. Safe to run from several processes at once: an advisory lock lets one in. */
export async function migrate(ownerUrl: string, secret: string): Promise<void> {
  const client = new pg.Client({ connectionString: ownerUrl })
  await client.connect()
  try {
    await client.query("SELECT pg_advisory_lock(hashtext('trunkline migrations'))")
    await runMigrations(drizzle(client), { migrationsFolder: fileURLToPath(new URL('./migrations', import.meta.url)) })
    for (const role of ROLES) await setRolePassword(client, role, rolePassword(secret, role))
  } finally {
    await client.end()
  }
}

/** Roles belong to the whole server: migrations of several databases may meet here ("tuple concurrently updated"). */
async function setRolePassword(client: pg.Client, role: Role, password: string): Promise<void> {
  const statement = `ALTER ROLE ${role} PASSWORD '${password}'`
  for (let attempt = 0; ; attempt++) {
    try {
      await client.query(statement)
      return
    } catch (error) {
      if (attempt === 5 || !(error instanceof Error) || !error.message.includes('concurrently updated')) throw error
    }
  }
}

export function connectDb(options: DbOptions): Db {
  const pools = { app: createPool(options, 'trunkline_app'), system: createPool(options, 'trunkline_system') }
  const inTransaction = transactor(options.onCommitted)

  return {
    async tenant(tenantId, work) {
      // Parsed, because it goes into the statement's text: SET takes no parameters and one round trip is worth it.
      const id = Id.parse(tenantId)
      return inTransaction(pools.app, `BEGIN; SET LOCAL app.tenant = '${id}'`, work)
    },
    async system(reason, work) {
      options.onSystem?.(reason)
      return inTransaction(pools.system, 'BEGIN', work)
    },
    async single(reason, work) {
      options.onSystem?.(reason)
      return work(onlyStatement(pools.system))
    },
    async ping() {
      await pools.app.query('SELECT 1').catch((cause: unknown) => {
        throw new AppError('unavailable', { message: 'Postgres does not answer.', cause })
      })
    },
    async close() {
      await Promise.all([pools.app.end(), pools.system.end()])
    },
  }
}

function createPool(options: DbOptions, role: Role): pg.Pool {
  const statementTimeoutMs = options.statementTimeoutMs ?? 15_000
  const pool = new pg.Pool({
    connectionString: roleUrl(options.url, options.secret, role),
    max: options.maxConnections ?? 10,
    connectionTimeoutMillis: 5_000,
    statement_timeout: statementTimeoutMs,
    // Our own clock beside the server's: a network that swallows answers must not hold a request for ever.
    query_timeout: statementTimeoutMs + 2_000,
    idle_in_transaction_session_timeout: 30_000,
    application_name: role,
    keepAlive: true,
    // What is asked without waiting is sent without waiting: see transaction.ts. https://node-postgres.com/features/pipelining
    pipeline: true,
  })
  // An idle connection that breaks (server restart) is replaced by the pool; without a listener it would end the process.
  pool.on('error', () => {})
  // The same for one that is in use: the pool takes its listener off meanwhile, and the query that runs (or comes next) reports the failure.
  pool.on('connect', (client) => client.on('error', () => {}))
  return pool
}
