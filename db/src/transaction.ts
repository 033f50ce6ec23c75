import { drizzle, type NodePgDatabase } from 'drizzle-orm/node-postgres'
import type pg from 'pg'
import { isDatabaseAway } from './away.ts'
import { notesOf, type Note } from './events/notes.ts'

/** One connection inside one transaction. `query` and `send` for hand-written SQL on hot paths, `orm` for everything else. */
export type Tx = {
  orm: NodePgDatabase
  /** A `name` makes it a prepared statement of the connection. */
  query<Row extends pg.QueryResultRow>(text: string, values?: unknown[], name?: string): Promise<pg.QueryResult<Row>>
  /** A write whose answer nobody needs: it is on its way and not waited for. When it fails the transaction does, with its error. */
  send(text: string, values?: unknown[], name?: string): void
  /** Sends COMMIT right behind what has been asked, before the answers are here: one round trip less. The last that is asked of a transaction. */
  commit(): void
}

export type InTransaction = <T>(pool: pg.Pool, begin: string, work: (tx: Tx) => Promise<T>) => Promise<T>

/** Lets one statement through, and no second: it would be in another transaction. */
export function onlyStatement(pool: pg.Pool): Pick<Tx, 'query'> {
  let isAsked = false
  return {
    query(text, values, name) {
      if (isAsked) throw new Error('A second statement needs a transaction.')
      isAsked = true
      return pool.query(statementOf(text, values, name))
    },
  }
}

/** Of every statement behind a failed one: it says nothing about why. https://www.postgresql.org/docs/current/errcodes-appendix.html */
const IN_FAILED_TRANSACTION = '25P02'

/** Runs work between BEGIN and COMMIT on a connection of the pool; rolls back and throws what went wrong first. */
export const transactor = (onCommitted?: (notes: readonly Note[]) => void): InTransaction => async (pool, begin, work) => {
  const client = await pool.connect()
  const transaction = openTransaction(client, begin)
  let broken: Error | undefined
  let result: Awaited<ReturnType<typeof work>>
  try {
    result = await work(transaction.tx)
    await transaction.commit()
  } catch (caught) {
    const error = transaction.causeOf(caught)
    // A connection that does not answer is not asked to roll back: the server does that when it is gone.
    if (isDatabaseAway(error)) broken = error as Error
    else await transaction.rollBack().catch((failure: Error) => {
      broken = failure
    })
    throw error
  } finally {
    client.release(broken)
  }
  const notes = notesOf(transaction.tx)
  if (notes.length > 0) onCommitted?.(notes)
  return result
}

type Transaction = {
  tx: Tx
  /** Resolves when it is committed, and throws when it was rolled back instead. */
  commit(): Promise<void>
  rollBack(): Promise<unknown>
  /** What failed first, for an error that only says that something had. */
  causeOf(error: unknown): unknown
}

/**
 * Every wait for an answer costs both processes a sleep and a wake-up, which is dearer than most of our statements. So BEGIN goes out with
 * the first statement and COMMIT may with the last; PostgreSQL works through them in their order and does nothing more once one has failed.
 */
function openTransaction(client: pg.PoolClient, begin: string): Transaction {
  let firstFailure: unknown
  let committing: Promise<pg.QueryResult> | undefined
  let orm: NodePgDatabase | undefined
  // Whoever waits for a failed one is told by it; that nobody does is no reason to end the process.
  const noted = <Answer>(asked: Promise<Answer>): Promise<Answer> => {
    asked.catch((error: unknown) => (firstFailure ??= error))
    return asked
  }
  const begun = noted(client.query(begin))
  const ask: Tx['query'] = (text, values, name) => {
    if (committing) throw new Error('COMMIT has been sent: nothing more can be asked of this transaction.')
    return noted(client.query(statementOf(text, values, name)))
  }
  const sendCommit = () => (committing ??= noted(client.query('COMMIT')))
  return {
    tx: {
      get orm() {
        return (orm ??= drizzle(client))
      },
      query: ask,
      send: (text, values, name) => void ask(text, values, name).catch(() => {}),
      commit: () => void sendCommit(),
    },
    async commit() {
      const [{ command }] = await Promise.all([sendCommit(), begun])
      // The answer to a COMMIT of what had failed: https://www.postgresql.org/docs/current/sql-commit.html
      if (command === 'ROLLBACK') throw firstFailure ?? new Error('The transaction was rolled back.')
    },
    rollBack: () => committing ?? client.query('ROLLBACK'),
    causeOf: (error) => (isAftermath(error) ? (firstFailure ?? error) : error),
  }
}

const isAftermath = (error: unknown): boolean =>
  error instanceof Error && (('code' in error && error.code === IN_FAILED_TRANSACTION) || (error.cause !== undefined && isAftermath(error.cause)))

const statementOf = (text: string, values?: unknown[], name?: string): pg.QueryConfig => (name === undefined ? { text, values } : { text, values, name })
