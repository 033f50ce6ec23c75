import { describe, expect, it } from 'vitest'
import type { Tx } from '../tenancy.ts'
import { checkFence, claimLanes, cursorAfter, retireTurns, type LaneCursor } from './lanes.ts'
import { appendMessages, lockLanes, messageRow } from './log-rows.ts'
import { keyring, laneOf, makeNumbers, message, queuePlace } from './testing.ts'

describe('where a lane stands', () => {
  it.each<[LaneCursor, number[], LaneCursor | null]>([
    [{ cursorSeq: 0, ahead: [] }, [1], { cursorSeq: 1, ahead: [] }],
    [{ cursorSeq: 0, ahead: [] }, [2, 4], { cursorSeq: 0, ahead: [2, 4] }],
    [{ cursorSeq: 0, ahead: [2, 4] }, [1], { cursorSeq: 2, ahead: [4] }],
    [{ cursorSeq: 0, ahead: [4, 2] }, [3, 1], { cursorSeq: 4, ahead: [] }],
    [{ cursorSeq: 5, ahead: [] }, [5], null],
    [{ cursorSeq: 5, ahead: [9] }, [9, 6], null],
  ])('%o and %o done: %o', (cursor, seqs, expected) => {
    expect(cursorAfter(cursor, seqs)).toEqual(expected)
  })

  it('is the same in whatever order everything is retired', () => {
    const seqs = Array.from({ length: 40 }, (_, index) => index + 1)
    for (let step = 1; step < 40; step++) {
      if (41 % step === 0) continue
      let cursor: LaneCursor = { cursorSeq: 0, ahead: [] }
      for (const seq of seqs) cursor = cursorAfter(cursor, [((seq * step) % 41) || 41])!
      expect(cursor).toEqual({ cursorSeq: 40, ahead: [] })
    }
  })
})

describe('one lane that everybody wants', () => {
  const place = queuePlace()

  it('is appended to, claimed, held and retired at once, and no transaction waits in a ring', { timeout: 20_000 }, async () => {
    const [number] = await makeNumbers(place, 1)
    const rounds = 150
    const system = <Result>(work: (tx: Tx) => Promise<Result>) => place.db.system('queue', work)
    const loops = (count: number, round: (loop: number, round: number) => Promise<unknown>) =>
      Array.from({ length: count }, async (_, loop) => {
        for (let nth = 0; nth < rounds; nth++) await round(loop, nth)
      })
    const append = async (tx: Tx, text: string) => {
      await lockLanes(tx, [number!.id])
      await appendMessages(tx, keyring, [messageRow(number!, message(text))])
    }
    const retireNext = async (tx: Tx) => {
      const { rows } = await tx.query<{ epoch: string; cursor_seq: string }>('SELECT epoch, cursor_seq FROM lanes WHERE number_id = $1', [number!.id])
      const fenced = { numberId: number!.id, epoch: Number(rows[0]!.epoch) }
      await checkFence(tx, [fenced])
      return (await retireTurns(tx, [{ ...fenced, seqs: [Number(rows[0]!.cursor_seq) + 1] }])).size === 0 ? 1 : 0
    }
    let retired = 0
    await Promise.all([
      ...loops(3, (loop, nth) => system((tx) => append(tx, `m${loop}-${nth}`))),
      ...loops(3, () => system((tx) => checkFence(tx, [{ numberId: number!.id, epoch: 0 }]))),
      ...loops(2, async () => {
        const count = await system(retireNext)
        retired += count
      }),
      ...loops(1, () => system((tx) => claimLanes(tx, [number!.id], 'me', 5))),
    ])
    expect(retired).toBeGreaterThan(0)
    expect(await laneOf(place.db, number!.id)).toMatchObject({ next_seq: rounds * 3 + 1, cursor_seq: retired, ahead: [] })
  })
})
