import { newId, type Id, type Identity } from '@trunkline/core'
import { beforeEach, describe, expect, it, vi } from 'vitest'
import * as calls from '../calls/index.ts'
import { keyring, laneOf, makeNumbers, queuePlace } from '../queue/testing.ts'
import * as merges from '../repos/contact-merges.ts'
import { sealJson } from '../seal.ts'
import type { Tx } from '../tenancy.ts'
import { applyIdentityChange } from './effects.ts'
import { openTurns, type OpenTurn } from './open.ts'

// A turn, or a call, that opens in the very moment in which two contacts become one, or two again. Two connections, stopped where it hurts.

const place = queuePlace()
let numberId: Id
let phones = 0
const newPhone = (): Identity => ({ kind: 'phone', value: `+4930${String(++phones).padStart(7, '0')}` })

beforeEach(async () => {
  numberId = (await makeNumbers(place, 1))[0]!.id
})

const system = <T>(work: (tx: Tx) => Promise<T>) => place.db.system('test', work)
const rows = async <Row extends object>(sql: string, values: unknown[] = []) => (await system((tx) => tx.query<Row & Record<string, unknown>>(sql, values))).rows

async function turnOf(identities: Identity[]): Promise<OpenTurn> {
  const { tenantId, projectId } = place
  const seq = Math.floor(performance.now() * 1_000)
  return {
    turnId: newId(), tenantId, projectId, numberId, address: 'address', epoch: (await laneOf(place.db, numberId)).epoch, firstSeq: seq, seqs: [seq], agentId: null, promptId: null, promptVersion: null, sender: { identities },
    items: [{ messageId: newId(), seq, providerMessageId: newId(), kind: 'text', contentSealed: sealJson(keyring, { kind: 'text', text: 'hello' }, tenantId), providerAtMs: 1, receivedAtMs: 1 }],
    holdMicros: 0n, leadIdleMs: 60_000,
  }
}

/** The contact who wrote, or why it could not be begun. */
async function write(identities: Identity[], within: (tx: Tx) => Tx = (tx) => tx): Promise<string> {
  const turn = await turnOf(identities)
  const result = (await system((tx) => openTurns(within(tx), [turn]))).get(turn.turnId)!
  if (typeof result === 'string') return result
  await rows("UPDATE turns SET state = 'retired' WHERE id = $1", [turn.turnId])
  return result.contactId
}
const merge = (fromId: Id, intoId: Id, within: (tx: Tx) => Tx = (tx) => tx) => place.db.tenant(place.tenantId, (tx) => merges.merge(within(tx), { fromId, intoId, actor: 'test' }))
const undo = (intoId: Id, id: Id) => place.db.tenant(place.tenantId, (tx) => merges.undo(tx, intoId, id))

/** The same transaction, stopped after the first statement of this name was answered. */
const stoppedAfter = (name: string, meanwhile: (tx: Tx) => Promise<unknown>) => stopping((_, given) => given === name, meanwhile)
const stoppedAfterText = (fits: RegExp, meanwhile: (tx: Tx) => Promise<unknown>) => stopping((text) => fits.test(text), meanwhile)

function stopping(isHere: (text: string, name: string | undefined) => boolean, meanwhile: (tx: Tx) => Promise<unknown>): (tx: Tx) => Tx {
  let stopped = false
  return (tx) => ({
    get orm() {
      return tx.orm
    },
    send: tx.send,
    commit: tx.commit,
    async query(text, values, given) {
      const answer = await tx.query<never>(text, values, given)
      if (!stopped && isHere(text, given)) {
        stopped = true
        await meanwhile(tx)
      }
      return answer
    },
  })
}
const backendOf = async (tx: Tx) => (await tx.query<{ pid: number }>('SELECT pg_backend_pid() AS pid')).rows[0]!.pid
/** Resolves when that connection waits for another's lock. */
const waits = (pid: number) => vi.waitFor(async () => expect(await rows('SELECT 1 WHERE cardinality(pg_blocking_pids($1)) > 0', [pid])).toHaveLength(1), { timeout: 10_000, interval: 5 })

/** Whatever belongs to a contact that was merged away. */
const orphans = () =>
  rows(`SELECT c.id FROM contacts c WHERE c.merged_into IS NOT NULL AND (
    EXISTS (SELECT 1 FROM conversations x WHERE x.contact_id = c.id) OR EXISTS (SELECT 1 FROM contact_identities x WHERE x.contact_id = c.id) OR EXISTS (SELECT 1 FROM calls x WHERE x.contact_id = c.id))`)
const closeAll = () => rows("UPDATE conversations SET status = 'closed' WHERE number_id = $1", [numberId])

/** Two people who have written, and whose conversations are over: the next word begins one. */
async function two(): Promise<{ phone: Identity; from: Id; into: Id }> {
  const phone = newPhone()
  const [from, into] = [await write([phone]), await write([newPhone()])]
  await closeAll()
  return { phone, from, into }
}

describe('a turn that opens while its contact is merged away', () => {
  it('is not begun on the emptied contact when the merge commits after it was found; bug: it was', async () => {
    const { phone, from, into } = await two()
    expect(await write([phone], stoppedAfter('contacts_find', () => merge(from, into)))).toBe('rebound')
    expect(await orphans()).toEqual([])
    expect(await write([phone])).toBe(into)
  })

  it('waits for a merge that has begun, and is then the other contact’s', async () => {
    const { phone, from, into } = await two()
    const pid = Promise.withResolvers<number>()
    const turn = Promise.withResolvers<string>()
    await system(async (tx) => {
      await merges.merge(tx, { fromId: from, intoId: into, actor: 'test' })
      void write([phone], (own) => (void backendOf(own).then(pid.resolve), own)).then(turn.resolve, turn.reject)
      await waits(await pid.promise)
    })
    expect(await turn.promise).toBe('rebound')
    expect(await orphans()).toEqual([])
    expect(await write([phone])).toBe(into)
  })

  it('is waited for by a merge that comes later, which takes the new conversation along', async () => {
    const { phone, from, into } = await two()
    const pid = Promise.withResolvers<number>()
    let merging: Promise<unknown> | undefined
    const wrote = await write([phone], stoppedAfter('turns_begin_conversation', async () => {
      merging = merge(from, into, (tx) => (void backendOf(tx).then(pid.resolve), tx))
      await waits(await pid.promise)
    }))
    await merging
    expect(wrote).toBe(from)
    expect(await orphans()).toEqual([])
    expect(await rows("SELECT contact_id FROM conversations WHERE number_id = $1 AND status = 'open'", [numberId])).toEqual([{ contact_id: into }])
  })

  it('finds the open conversation that was moved', async () => {
    const phone = newPhone()
    const [from, into] = [await write([phone]), await write([newPhone()])]
    await rows("UPDATE conversations SET status = 'closed' WHERE contact_id = $1", [into])
    expect(await write([phone], stoppedAfter('contacts_find', () => merge(from, into)))).toBe('rebound')
    expect(await write([phone])).toBe(into)
    expect(await rows('SELECT last_seq::int AS messages FROM conversations WHERE contact_id = $1 AND status = $2', [into, 'open'])).toEqual([{ messages: 2 }])
    expect(await orphans()).toEqual([])
  })

  it('gives no new identity to the emptied contact', async () => {
    const { phone, from, into } = await two()
    const user: Identity = { kind: 'wa_user_id', value: newId() }
    expect(await write([user, phone], stoppedAfter('contacts_find', () => merge(from, into)))).toBe('rebound')
    expect(await orphans()).toEqual([])
    expect(await write([user, phone])).toBe(into)
    expect(await rows('SELECT contact_id FROM contact_identities WHERE value = $1', [user.value])).toEqual([{ contact_id: into }])
  })

  it('is the giving contact’s again when the merge is undone in that moment', async () => {
    const { phone, from, into } = await two()
    const { id } = await merge(from, into)
    expect(await write([phone], stoppedAfter('contacts_find', () => undo(into, id)))).toBe('rebound')
    expect(await write([phone])).toBe(from)
  })

  it('is nobody’s business when another turn of the same batch is not: that one is begun', async () => {
    const { phone, from, into } = await two()
    const [moved, stays] = [await turnOf([phone]), await turnOf([newPhone()])]
    const results = await system((tx) => openTurns(stoppedAfter('contacts_find', () => merge(from, into))(tx), [moved, stays]))
    expect(results.get(moved.turnId)).toBe('rebound')
    expect(results.get(stays.turnId)).toMatchObject({ credit: 'held' })
    expect(await rows('SELECT id FROM turns WHERE id = ANY ($1::uuid[])', [[moved.turnId, stays.turnId]])).toEqual([{ id: stays.turnId }])
  })
})

describe('a call that comes while its contact is merged away', () => {
  const ring = (phone: Identity, within: (tx: Tx) => Tx) => {
    const { tenantId } = place
    const wish = { callId: newId(), tenantId, numberId, direction: 'inbound', carrier: 'twilio', carrierCallId: newId(), from: phone.value, to: '+4930123', contact: { identity: phone }, holdMicros: 0n, holdUntil: new Date(Date.now() + 60_000), limits: { number: 10, tenant: 1_000 } } as const
    return system((tx) => calls.open(within(tx), wish))
  }

  it('is the other contact’s, with its conversation', async () => {
    const { phone, from, into } = await two()
    const promptId = newId()
    await system(async (tx) => {
      await tx.query("INSERT INTO prompts (id, tenant_id, project_id, name) VALUES ($1, $2, $3, 'p')", [promptId, place.tenantId, place.projectId])
      await tx.query("INSERT INTO agents (id, tenant_id, project_id, name, number_id, prompt_id) VALUES ($1, $2, $3, 'a', $4, $5)", [newId(), place.tenantId, place.projectId, numberId, promptId])
    })
    const { call } = await ring(phone, stoppedAfter('contacts_find', () => merge(from, into)))
    expect(call).toMatchObject({ status: 'initiated', contactId: into })
    expect(await rows('SELECT contact_id FROM conversations WHERE id = $1', [call.conversationId])).toEqual([{ contact_id: into }])
    expect(await orphans()).toEqual([])
  })
})

describe('a supplier that tells of a new id of somebody who is being merged', () => {
  it('waits for the merge, and the other contact has it; bug: each waited for the other, and Postgres ended one', async () => {
    const { phone, from, into } = await two()
    const current = newPhone()
    const effect = { id: 1, tenantId: place.tenantId, numberId, address: 'address', event: { kind: 'identity_change', to: 'address', atMs: 1, eventId: 'change', previous: phone, current } } as const
    const pid = Promise.withResolvers<number>()
    let changing: Promise<string> | undefined
    await place.db.tenant(place.tenantId, (tx) =>
      merges.merge(stoppedAfterText(/FOR UPDATE/, async () => {
        changing = system(async (own) => {
          pid.resolve(await backendOf(own))
          return applyIdentityChange(own, effect)
        })
        await waits(await pid.promise)
      })(tx), { fromId: from, intoId: into, actor: 'test' }))
    expect(await changing).toBe('applied')
    expect(await rows('SELECT value FROM contact_identities WHERE contact_id = $1 AND value = ANY ($2) AND ended_at IS NULL', [into, [phone.value, current.value]])).toEqual([{ value: current.value }])
    expect(await orphans()).toEqual([])
  })
})
