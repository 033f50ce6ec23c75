import { getTableColumns, is } from 'drizzle-orm'
import { getTableConfig, PgTable } from 'drizzle-orm/pg-core'
import pg from 'pg'
import { expect, it } from 'vitest'
import { freshDatabase } from '../../../tests/harness/database.ts'
import * as tables from './schema.ts'

it('says the same columns as the migrations', async () => {
  const database = await freshDatabase()
  const client = new pg.Client({ connectionString: database.url })
  await client.connect()
  const { rows } = await client.query<{ name: string; columns: string[] }>(`
    SELECT c.relname AS name, array_agg(a.attname || ' ' || format_type(a.atttypid, a.atttypmod) || CASE WHEN a.attnotnull THEN ' not null' ELSE '' END ORDER BY a.attname) AS columns
    FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition GROUP BY 1`)
  await client.end()
  await database.drop()

  const declared = Object.values(tables).filter((table) => is(table, PgTable)).map((table) => ({
    name: getTableConfig(table).name,
    columns: Object.values(getTableColumns(table)).map((column) => `${column.name} ${column.getSQLType()}${column.notNull || column.primary ? ' not null' : ''}`).toSorted(),
  }))
  const byName = (a: { name: string }, b: { name: string }) => a.name.localeCompare(b.name)
  const real = rows.map((row) => ({ name: row.name, columns: row.columns.toSorted() }))
  expect(declared.toSorted(byName)).toEqual(real.toSorted(byName))
})
