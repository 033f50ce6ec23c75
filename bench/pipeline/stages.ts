import type { Table } from '../bench.ts'
import type { Db } from '@trunkline/db'

// Every step of a turn leaves its time in a row; all of them are PostgreSQL's clock, at the beginning of the step's transaction.
const STAGES = `
  WITH turn AS (
    SELECT t.*, i.received_at, o.sending_at, o.settled_at, u.latency_ms
    FROM turns t
    JOIN inbox i ON i.number_id = t.number_id AND i.seq = t.first_seq
    JOIN outbox o ON o.turn_id = t.id
    JOIN usage_records u ON u.turn_id = t.id
    WHERE i.received_at BETWEEN $1 AND $2 AND t.state = 'retired'
  ), stage AS (
    SELECT extract(epoch FROM created_at - received_at) * 1000 AS wait, latency_ms AS model,
      extract(epoch FROM answered_at - created_at) * 1000 - latency_ms AS around_model,
      extract(epoch FROM sending_at - answered_at) * 1000 AS begin, extract(epoch FROM settled_at - sending_at) * 1000 AS send,
      extract(epoch FROM settled_at - received_at) * 1000 AS whole FROM turn
  )
  SELECT name, percentile_cont(0.5) WITHIN GROUP (ORDER BY ms) AS p50, percentile_cont(0.9) WITHIN GROUP (ORDER BY ms) AS p90, percentile_cont(0.99) WITHIN GROUP (ORDER BY ms) AS p99
  FROM stage CROSS JOIN LATERAL (VALUES (1, 'wait', wait), (2, 'around_model', around_model), (3, 'model', model), (4, 'begin', begin), (5, 'send', send), (6, 'whole', whole)) AS s (place, name, ms)
  GROUP BY place, name ORDER BY place`

const MEANING: Record<string, string> = {
  wait: 'wait: committed by the webhook -> turn opened (1 s of it gathers what belongs together)',
  around_model: 'open and answer: commit of the opened turn, history, commit of the answer',
  model: 'model: the call as the vendor room measured it (the sandbox takes 300 ms)',
  begin: 'begin: answered -> its turn in the number\'s line -> "sending" committed',
  send: 'send: HTTP call to the supplier -> outcome, retirement and charge committed',
  whole: 'whole: committed by the webhook -> ended',
}

export type Span = { from: Date; to: Date }

export async function stageTable(db: Db, { from, to }: Span, acceptMs: { p50: number; p90: number; p99: number }): Promise<{ table: Table; whole: { p50: number; p99: number } }> {
  const { rows } = await db.system('test', (tx) => tx.query<{ name: string; p50: number; p90: number; p99: number }>(STAGES, [from, to]))
  const accept = ['accept: the webhook, from when it should have left to its 200', acceptMs.p50, acceptMs.p90, acceptMs.p99]
  const whole = rows.find((row) => row.name === 'whole') ?? { p50: Number.NaN, p99: Number.NaN }
  return {
    table: { title: 'Where a message spends its time, ms', head: ['stage', 'p50', 'p90', 'p99'], rows: [accept, ...rows.map((row) => [MEANING[row.name]!, row.p50, row.p90, row.p99])] },
    whole,
  }
}
