import pg from 'pg'

/** What a test may look at. Reads as the superuser: row level security does not hide anything. */
export type Watch = {
  rows<Row extends pg.QueryResultRow>(sql: string, params?: unknown[]): Promise<Row[]>
  /** Looks now and after every commit that changed something, until `check` is true; then the rows. Rejects with what it saw last. */
  until<Row extends pg.QueryResultRow>(sql: string, params: unknown[], check: (rows: Row[]) => boolean, timeoutMs?: number): Promise<Row[]>
  close(): Promise<void>
}

const TABLES = [
  'messages', 'outbox', 'turns', 'effects', 'media', 'leads', 'lead_extractions', 'conversations', 'phone_numbers', 'number_notices', 'contacts', 'contact_identities', 'message_reactions', 'message_revisions',
  'transfers', 'lanes', 'calls', 'call_events',
] as const
const WAIT_MS = 15_000

/** Commits tell themselves by NOTIFY, so that a test waits for the change and not for the clock. Triggers of this database only. */
export async function watchDatabase(url: string): Promise<Watch> {
  const pool = new pg.Pool({ connectionString: url, max: 3 })
  pool.on('error', () => {})
  const ear = new pg.Client({ connectionString: url })
  ear.on('error', () => {})
  await ear.connect()
  await pool.query("CREATE OR REPLACE FUNCTION test_tell() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_notify('changed', ''); RETURN NULL; END $$")
  for (const table of TABLES) await pool.query(`CREATE OR REPLACE TRIGGER test_tell AFTER INSERT OR UPDATE ON ${table} FOR EACH STATEMENT EXECUTE FUNCTION test_tell()`)
  await ear.query('LISTEN changed')
  const listeners = new Set<() => void>()
  ear.on('notification', () => listeners.forEach((listener) => listener()))

  const rows = async <Row extends pg.QueryResultRow>(sql: string, params: unknown[] = []) => (await pool.query<Row>(sql, params)).rows

  return {
    rows,
    until<Row extends pg.QueryResultRow>(sql: string, params: unknown[], check: (rows: Row[]) => boolean, timeoutMs = WAIT_MS) {
      return new Promise<Row[]>((resolve, reject) => {
        let last: Row[] = []
        let looking = false
        let again = true
        const end = (settle: () => void) => {
          clearTimeout(timer)
          listeners.delete(look)
          settle()
        }
        const look = () => {
          again = true
          if (!looking) void lookOn()
        }
        const lookOn = async () => {
          looking = true
          while (again && listeners.has(look)) {
            again = false
            last = await rows<Row>(sql, params)
            if (check(last)) end(() => resolve(last))
          }
          looking = false
        }
        const timer = setTimeout(() => end(() => reject(new Error(`not within ${timeoutMs} ms; last seen: ${JSON.stringify(last, (_key, value: unknown) => (typeof value === 'bigint' ? String(value) : value)).slice(0, 2_000)}`))), timeoutMs)
        listeners.add(look)
        lookOn().catch((error: unknown) => end(() => reject(error instanceof Error ? error : new Error(String(error)))))
      })
    },
    async close() {
      await ear.end().catch(() => {})
      await pool.end()
    },
  }
}
