import { setTimeout as delay } from 'node:timers/promises'
import type { LoadJob, LoadResult } from '../load/generator.ts'
import { WEBHOOK_BYTES } from '../load/bodies.ts'
import type { Actor } from './actor.ts'
import { CREDENTIALS, type BenchNumber } from './numbers.ts'
import type { Server, Stack } from './stack.ts'

/** Makes the sandbox know the numbers. It tells no receipts: they are a load of their own. */
export async function tellSandbox(sandbox: Server, numbers: readonly BenchNumber[]): Promise<void> {
  for (const { address } of numbers) {
    const body = JSON.stringify({ phone_number_id: address, ...CREDENTIALS, statuses: false })
    const response = await fetch(`${sandbox.url}/sandbox/whatsapp/numbers`, { method: 'POST', headers: { 'content-type': 'application/json' }, body })
    if (!response.ok) throw new Error(`the sandbox refused number ${address}: ${response.status}`)
  }
}

export type Talk = { numbers: readonly BenchNumber[]; customersPerNumber: number; messages: number; perSecond: number; run: string; from?: number }

/** A supplier sends a refused webhook again; here it is left out, and more than this share of them is no measurement. */
const REFUSED_MAX = 0.05

/** Customers write, one webhook a message, at an even pace. `ok` of them are in the inbox. Throws when too many were refused. */
export async function customersWrite(generator: Actor, api: Server, talk: Talk): Promise<LoadResult> {
  const load = await generator.ask<LoadResult>({
    url: api.url,
    targets: talk.numbers.map(({ id, address }) => ({ id, address })),
    secret: CREDENTIALS.app_secret,
    shape: { perBody: 1, bodyBytes: WEBHOOK_BYTES, customersPerNumber: talk.customersPerNumber, run: talk.run },
    from: talk.from ?? 0,
    durationMs: (talk.messages / talk.perSecond) * 1_000,
    connections: 64,
    mode: { kind: 'open', perSecond: talk.perSecond },
  } satisfies LoadJob)
  if (load.ok < load.sent * (1 - REFUSED_MAX)) throw new Error(`webhooks were refused: ${JSON.stringify(load.statuses)}`)
  return load
}

const LOOK_EVERY_MS = 100

/** Resolves when no message waits any more. `look` is called meanwhile. */
export async function untilDrained({ db }: Stack, timeoutMs: number, look: () => void = () => {}): Promise<void> {
  const deadlineMs = Date.now() + timeoutMs
  for (;;) {
    look()
    const { rows } = await db.system('test', (tx) => tx.query<{ waiting: string }>('SELECT coalesce(sum(next_seq - 1 - cursor_seq - cardinality(ahead)), 0) AS waiting FROM lanes'))
    if (rows[0]!.waiting === '0') return
    if (Date.now() > deadlineMs) throw new Error(`${rows[0]!.waiting} messages still wait after ${timeoutMs} ms`)
    await delay(LOOK_EVERY_MS)
  }
}

export type Outcomes = { turns: number; sent: number; messages: number; lastRetiredAtMs: number }

/** What became of everything that was written. */
export async function outcomes({ db }: Stack, sinceMs = 0): Promise<Outcomes> {
  const { rows } = await db.system('test', (tx) =>
    tx.query<{ turns: string; sent: string; messages: string; last: Date | null }>(
      `SELECT count(*) AS turns, count(*) FILTER (WHERE outcome = 'sent') AS sent, coalesce(sum(cardinality(seqs)), 0) AS messages, max(retired_at) AS last FROM turns WHERE created_at >= $1`,
      [new Date(sinceMs)],
    ))
  const row = rows[0]!
  return { turns: Number(row.turns), sent: Number(row.sent), messages: Number(row.messages), lastRetiredAtMs: row.last?.getTime() ?? 0 }
}
