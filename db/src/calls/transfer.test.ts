import { newId, type Id } from '@trunkline/core'
import { beforeAll, describe, expect, it } from 'vitest'
import * as ledger from '../ledger/index.ts'
import { makeNumbers, queuePlace } from '../queue/testing.ts'
import { claim, end, endParted, get, giveUpTransfer, open, part, release, stuck, transferring, unwish, wish, type Call } from './index.ts'

const place = queuePlace()
const LEASE_MS = 15_000
const CARRYING = () => 0n
let numberId: Id
let carrierCalls = 0

beforeAll(async () => {
  const [number] = await makeNumbers(place, 1)
  numberId = number!.id
  const promptId = newId()
  await place.db.system('test', async (tx) => {
    await ledger.openAccounts(tx, place.tenantId)
    await tx.query("UPDATE phone_numbers SET channel = 'voice' WHERE id = $1", [numberId])
    await tx.query("INSERT INTO prompts (id, tenant_id, project_id, name) VALUES ($1, $2, $3, 'p')", [promptId, place.tenantId, place.projectId])
    await tx.query("INSERT INTO agents (id, tenant_id, project_id, name, number_id, prompt_id) VALUES ($1, $2, $3, 'a', $4, $5)", [newId(), place.tenantId, place.projectId, numberId, promptId])
  })
})

const system = <T>(work: Parameters<typeof place.db.system<T>>[1]) => place.db.system<T>('calls', work)
const read = (id: Id) => system((tx) => get(tx, id))
const ago = (id: Id, seconds: number) => place.db.system('test', (tx) => tx.query('UPDATE calls SET transfer_at = now() - make_interval(secs => $2) WHERE id = $1', [id, seconds]))
const over = (id: Id) => system((tx) => end(tx, { callId: id, epoch: 'any', status: 'completed', reason: 'caller_hung_up', at: new Date(), carrying: CARRYING }))
const kindOf = async (id: Id) => (await system((tx) => stuck(tx, 1_000))).find(({ callId }) => callId === id)?.kind

/** A call that talks, and is to be put through. */
async function asked({ released = false }: { released?: boolean } = {}): Promise<Call> {
  const { call } = await system((tx) => open(tx, {
    callId: newId(), tenantId: place.tenantId, numberId, direction: 'inbound', carrier: 'twilio', carrierCallId: `CA-transfer-${++carrierCalls}`, from: '+4915112345', to: '+4930123',
    contact: { identity: { kind: 'phone', value: '+4915112345' } }, holdMicros: 0n, holdUntil: new Date(Date.now() + 3_600_000), limits: { number: 1_000, tenant: 1_000 },
  }))
  const { epoch } = (await system((tx) => claim(tx, call.id, 'a', LEASE_MS)))!
  await system((tx) => wish(tx, call.id, 'transfer'))
  if (released) expect(await system((tx) => release(tx, { callId: call.id, epoch }))).toBe(true)
  return read(call.id)
}

describe('a call that is put through', () => {
  it('comes further and never back, whatever order the news has', async () => {
    const { id, transfer } = await asked()
    expect(transfer).toBe('asked')
    const steps = ['ringing', 'accepted', 'ringing', 'answered', 'ringing', 'answered'] as const
    const changed: boolean[] = []
    for (const step of steps) changed.push(await system((tx) => transferring(tx, id, step)))
    expect([changed, (await read(id)).transfer]).toEqual([[true, false, false, true, false, false], 'answered'])
    await system((tx) => unwish(tx, id))
    expect(await read(id)).toMatchObject({ wish: null, transfer: null })
    expect(await system((tx) => transferring(tx, id, 'ringing')), 'nobody wants it any more').toBe(false)
    await over(id)
  })

  it('is doubtful when nobody has heard of it for a while, and given up once, by one', async () => {
    const { id } = await asked()
    expect(await kindOf(id)).toBeUndefined()
    await ago(id, 30)
    expect(await kindOf(id)).toBe('doubtful')
    const given = await Promise.all([1, 2, 3].map(() => system((tx) => giveUpTransfer(tx, id))))
    expect(given.filter(Boolean)).toHaveLength(1)
    expect(await read(id)).toMatchObject({ wish: 'return', transfer: null })
    await over(id)
  })

  it('is in no doubt when the carrier took it, or the other phone rings', async () => {
    for (const state of ['accepted', 'ringing', 'answered'] as const) {
      const { id } = await asked()
      await system((tx) => transferring(tx, id, state))
      await ago(id, 3_600)
      expect([await kindOf(id), await system((tx) => giveUpTransfer(tx, id))], state).toEqual([undefined, false])
      await over(id)
    }
  })

  it('is stranded when it is to come back and nobody has its sound, and hopeless after a minute of that', async () => {
    const { id } = await asked({ released: true })
    await system((tx) => giveUpTransfer(tx, id))
    expect(await kindOf(id)).toBeUndefined()
    await ago(id, 15)
    expect(await kindOf(id)).toBe('stranded')
    await ago(id, 70)
    expect(await kindOf(id)).toBe('hopeless')
    await system((tx) => claim(tx, id, 'b', LEASE_MS))
    expect(await kindOf(id)).toBeUndefined()
    await over(id)
  })
})

describe('a call whose carrier says that it is over', () => {
  const parting = new Date(Date.now() + 3_600_000)
  it.each([['ringing', 'caller_hung_up'], ['answered', 'transferred']] as const)('while the other phone is %s ends as %s, at the time it parted', async (state, reason) => {
    const { id } = await asked({ released: true })
    if (state === 'ringing') await system((tx) => transferring(tx, id, 'ringing'))
    expect(await system((tx) => part(tx, id, { detail: 'completed', at: parting }))).toBe(true)
    expect(await system((tx) => part(tx, id, { detail: 'completed', at: new Date(parting.getTime() + 60_000) })), 'told again').toBe(true)
    if (state === 'answered') await system((tx) => transferring(tx, id, 'answered'))
    const call = await read(id)
    const ends = await Promise.all([1, 2].map(() => system((tx) => endParted(tx, call, CARRYING))))
    expect(ends.map(({ outcome }) => outcome).toSorted()).toEqual(['ended', 'was_over'])
    expect(await read(id)).toMatchObject({ status: 'completed', endReason: reason, endDetail: 'completed', endedAt: parting })
  })

  it('does not part while a process has it, or once somebody has taken it', async () => {
    const owned = await asked()
    const taken = await asked({ released: true })
    await system((tx) => transferring(tx, taken.id, 'answered'))
    for (const { id } of [owned, taken]) {
      expect(await system((tx) => part(tx, id, { detail: 'completed', at: parting }))).toBe(false)
      await over(id)
    }
  })
})
