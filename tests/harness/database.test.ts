import pg from 'pg'
import { describe, expect, it } from 'vitest'
import { emptyDatabase } from './database.ts'

async function query<Row extends pg.QueryResultRow>(url: string, text: string): Promise<Row[]> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  try {
    return (await client.query<Row>(text)).rows
  } finally {
    await client.end()
  }
}

describe('a database of a test', () => {
  it('shares nothing with another one, and is gone after drop()', async () => {
    const [one, two] = await Promise.all([emptyDatabase(), emptyDatabase()])
    await query(one.url, 'CREATE TABLE only_here (id int)')
    const tables = await query(two.url, `SELECT 1 FROM information_schema.tables WHERE table_name = 'only_here'`)
    expect(tables).toEqual([])
    await Promise.all([one.drop(), two.drop()])
    await expect(query(one.url, 'SELECT 1')).rejects.toThrow(/does not exist/)
  })

  it('is dropped even while somebody is still connected', async () => {
    const database = await emptyDatabase()
    const client = new pg.Client({ connectionString: database.url })
    client.on('error', () => {}) // The server ends this session; that is the point.
    await client.connect()
    await database.drop()
    await expect(query(database.url, 'SELECT 1')).rejects.toThrow(/does not exist/)
  })
})
