import type { Db } from '@trunkline/db'
import type { Sent } from './town.ts'

export type Judgement = { accepted: number; answered: number; lost: number; doubled: number; outOfOrder: number; sent: number; turns: number }
export type OutboxFact = { id: string; numberId: string; firstSeq: number }

/** The supplier's journal against what was acknowledged: what is not in the journal was not said to anybody. */
export async function judge(db: Db, acknowledged: number, sends: readonly Sent[]): Promise<Judgement> {
  const { rows } = await db.system('test', (tx) =>
    tx.query<{ id: string; number_id: string; first_seq: string; messages: number }>('SELECT o.id, o.number_id, t.first_seq, cardinality(t.seqs) AS messages FROM outbox o JOIN turns t ON t.id = o.turn_id'))
  const facts = new Map(rows.map((row) => [row.id, { id: row.id, numberId: row.number_id, firstSeq: Number(row.first_seq) }]))
  const said = new Set(sends.map((sent) => sent.callback_data))
  const turns = new Map(rows.flatMap((row) => (said.has(row.id) ? [[`${row.number_id} ${row.first_seq}`, row.messages] as const] : [])))
  const answered = [...turns.values()].reduce((sum, messages) => sum + messages, 0)
  return { accepted: acknowledged, answered, lost: Math.max(0, acknowledged - answered), doubled: sends.length - said.size, outOfOrder: countDisorder(sends, facts), sent: sends.length, turns: turns.size }
}

/** Sends that left a number after the answer to a later message. */
export function countDisorder(sends: readonly Sent[], facts: ReadonlyMap<string, OutboxFact>): number {
  const last = new Map<string, number>()
  let wrong = 0
  for (const sent of sends) {
    const fact = facts.get(sent.callback_data)
    if (!fact) continue
    if (fact.firstSeq < (last.get(fact.numberId) ?? 0)) wrong += 1
    else last.set(fact.numberId, fact.firstSeq)
  }
  return wrong
}
