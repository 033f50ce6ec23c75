import type { Tx } from '@trunkline/db'
import { describe, expect, it } from 'vitest'
import { createTill } from './till.ts'

/** A database whose transactions last until they are let go; `most` of them were open at once. */
function slowDb() {
  let open = 0
  const seen = { most: 0, ended: [] as string[] }
  const waiting: (() => void)[] = []
  return {
    seen,
    letGo: () => waiting.shift()?.(),
    system: async <R>(_: string, work: (tx: Tx) => Promise<R>): Promise<R> => {
      seen.most = Math.max(seen.most, ++open)
      await new Promise<void>((resolve) => waiting.push(resolve))
      open--
      return work({} as Tx)
    },
  }
}
const turn = () => new Promise((resolve) => setImmediate(resolve))

describe('the till', () => {
  it('serves one of a tenant at a time, in order, also after one that failed', async () => {
    const db = slowDb()
    const till = createTill(db)
    const all = ['a', 'b', 'c'].map((name) => till('one', async () => {
      db.seen.ended.push(name)
      if (name === 'a') throw new Error('no')
      return name
    }))
    for (let count = 0; count < 3; count++) {
      await turn()
      db.letGo()
    }
    expect(await Promise.allSettled(all)).toMatchObject([{ status: 'rejected' }, { value: 'b' }, { value: 'c' }])
    expect(db.seen).toEqual({ most: 1, ended: ['a', 'b', 'c'] })
  })

  it('lets tenants go beside each other', async () => {
    const db = slowDb()
    const till = createTill(db)
    const all = ['one', 'one', 'two'].map((tenant) => till(tenant, async () => tenant))
    await turn()
    expect(db.seen.most).toBe(2)
    for (let count = 0; count < 3; count++) {
      db.letGo()
      await turn()
    }
    expect(await Promise.all(all)).toEqual(['one', 'one', 'two'])
  })
})
