import { type InboundEvent } from '@trunkline/core'
import { describe, expect, it } from 'vitest'
import { openJson } from '../seal.ts'
import { createAcceptor } from './accept.ts'
import { createEffectsPump, type EffectHandler, type QueuedEffect } from './effects.ts'
import { deps, keyring, makeNumbers, queuePlace } from './testing.ts'

const place = queuePlace()
const receipt = (id: string, status: 'delivered' | 'read' = 'read'): InboundEvent => ({ kind: 'receipt', to: 'x', atMs: 1, providerMessageId: id, status })
const idOf = (row: QueuedEffect) => (openJson(keyring, row.payloadSealed, row.tenantId) as { providerMessageId: string }).providerMessageId
const outcomesOf = async (numberId: string) => {
  const { rows } = await place.db.system('test', (tx) => tx.query<{ provider_message_id: string; outcome: string | null; open: boolean }>('SELECT provider_message_id, outcome, applied_at IS NULL AS open FROM effects WHERE number_id = $1 ORDER BY id', [numberId]))
  return rows.map((row) => `${row.provider_message_id} ${row.outcome}${row.open ? ' open' : ''}`)
}
const pumpWith = (apply: EffectHandler['apply'], options = {}) => createEffectsPump({ ...place, ...deps, handler: { apply }, ...options })

describe('the effects pump', () => {
  it('is woken by an accept and applies each effect once, also with two pumps', async () => {
    const [number] = await makeNumbers(place, 1)
    const applied: string[] = []
    const { promise: all, resolve } = Promise.withResolvers<void>()
    const apply: EffectHandler['apply'] = async (_tx, rows) => {
      applied.push(...rows.map(idOf))
      if (applied.length >= 50) resolve()
      return new Map(rows.map((row) => [row.id, 'applied' as const]))
    }
    // Polling is too slow to help here.
    const pumps = [pumpWith(apply, { batchSize: 7, pollMs: 60_000 }), pumpWith(apply, { batchSize: 7, pollMs: 60_000 })]
    for (const pump of pumps) await pump.start()
    const acceptor = createAcceptor({ ...place, ...deps })
    await Promise.all(Array.from({ length: 50 }, (_, index) => acceptor.accept(number!, [receipt(`once-${index}`)])))
    await all
    await Promise.all(pumps.map((pump) => pump.stop()))
    expect([...applied].sort()).toEqual(Array.from({ length: 50 }, (_, index) => `once-${index}`).sort())
    expect((await outcomesOf(number!.id)).every((line) => line.endsWith(' applied'))).toBe(true)
  })

  it('gives up the one effect that always fails and applies the others of its batch', async () => {
    const [number] = await makeNumbers(place, 1)
    await createAcceptor({ ...place, ...deps }).accept(number!, ['good-1', 'bad', 'good-2'].map((id) => receipt(id)))
    const pump = pumpWith(async (_tx, rows) => {
      if (rows.some((row) => idOf(row) === 'bad')) throw new Error('cannot be applied')
      return new Map(rows.map((row) => [row.id, 'applied' as const]))
    })
    for (let attempt = 0; attempt < 5; attempt++) await pump.pump()
    expect(await outcomesOf(number!.id)).toEqual(['good-1 applied', 'bad failed', 'good-2 applied'])
    expect(pump.stats()).toMatchObject({ failed: 1 })
  })

  it('keeps open what waits for its message and ignores it in the end', async () => {
    const [number] = await makeNumbers(place, 1)
    await createAcceptor({ ...place, ...deps }).accept(number!, [receipt('early')])
    const waiting: EffectHandler['apply'] = async (_tx, rows) => new Map(rows.map((row) => [row.id, 'waiting' as const]))
    await pumpWith(waiting).pump()
    expect(await outcomesOf(number!.id)).toEqual(['early waiting open'])
    const { promise, resolve } = Promise.withResolvers<void>()
    const later = pumpWith(async (tx, rows) => {
      resolve()
      return waiting(tx, rows)
    }, { pollMs: 1, waitingForMs: -1 })
    await later.start()
    await promise
    await later.stop()
    await expect.poll(() => outcomesOf(number!.id)).toEqual(['early ignored'])
  })
})
