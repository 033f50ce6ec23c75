import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { newId, silentLogger } from '@trunkline/core'
import { createFolderStore, holdObject, type MediaStore } from '@trunkline/db'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { tidyUp } from '../../apps/worker/src/maintenance.ts'
import type { Business, Json, OurNumber } from './business.ts'
import { openTown, type Town } from './town.ts'
import { OPEN_CHAT, openVisitor, type Visitor } from './visitor.ts'

let town: Town
let business: Business
let store: MediaStore
beforeAll(async () => {
  town = await openTown()
  business = await town.business()
  store = createFolderStore(town.mediaDir)
})
afterAll(() => town?.close())

let number: OurNumber
let visitor: Visitor
beforeEach(async () => {
  number = await business.number({ type: 'webchat', number: OPEN_CHAT })
  visitor = await openVisitor(town.apiUrl, number)
})

type File = { id: string; message_id: string | null; storage_key: string }
let pictures = 0
/** The bytes of a picture; each is another one. */
const picture = () => Uint8Array.from(Buffer.concat([Buffer.from('iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJ', 'base64'), Buffer.from(`picture ${++pictures}`)]))
async function upload(bytes = picture(), by = visitor): Promise<string> {
  const answer = await by.upload(bytes, 'bicycle.png')
  expect(answer).toMatchObject({ status: 201, body: { mime_type: 'image/png' } })
  return answer.body.media_id
}
const fileOf = async (id: string) => (await town.rows<File>('SELECT id, message_id, storage_key FROM media WHERE id = $1', [id]))[0]
const isStored = (key: string) => existsSync(join(town.mediaDir, key))
/** The clock is moved instead of waited for. */
const age = (hours: number, ...ids: string[]) => town.rows('UPDATE media SET created_at = created_at - make_interval(hours => $2) WHERE id = ANY ($1::uuid[])', [ids, hours])
const tidy = () => tidyUp({ db: town.db, log: silentLogger, store })

describe('an upload of a visitor', () => {
  it('becomes the message’s when it is sent, before its turn: a stopped number’s customer loses no file', async () => {
    await business.ok('POST', `/v1/phone-numbers/${number.id}/stop`)
    const id = await upload()
    const said = await visitor.say('c-1', { media_id: id, caption: 'My bicycle' })
    expect(said.status).toBe(202)
    expect((await fileOf(id))!.message_id).toBe(said.body.message_id)
    await age(25, id)
    await tidy()
    await business.ok('POST', `/v1/phone-numbers/${number.id}/resume`)
    await town.until('SELECT 1 FROM turns WHERE number_id = $1 AND state = $2', [number.id, 'retired'], (rows) => rows.length === 1)
    expect(await business.ok('GET', `/v1/media?message_id=${said.body.message_id}`)).toMatchObject({ data: [{ id, state: 'stored', filename: 'bicycle.png' }] })
    expect(await business.ok('GET', `/v1/messages/${said.body.message_id}`)).toMatchObject({ content: { kind: 'image', media: { media_id: id } } })
    expect((await visitor.messages())[0].content).toMatchObject({ kind: 'image' })
  })

  it('is linked by its turn when the process died after it had accepted the message', async () => {
    const id = await upload()
    // What the process did before it died: the message is in the line, the file is nobody's yet.
    await town.rows(`CREATE OR REPLACE FUNCTION test_no_link() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
      IF session_user = 'trunkline_app' AND NEW.number_id = '${number.id}' THEN NEW.message_id = NULL; END IF; RETURN NEW; END $$`)
    await town.rows('CREATE OR REPLACE TRIGGER test_no_link BEFORE UPDATE ON media FOR EACH ROW EXECUTE FUNCTION test_no_link()')
    const said = await visitor.say('c-1', { media_id: id })
    const [file] = await town.until<File>('SELECT message_id FROM media WHERE id = $1', [id], ([row]) => row!.message_id !== null)
    await town.rows('DROP TRIGGER test_no_link ON media')
    expect(file!.message_id).toBe(said.body.message_id)
  })

  it('stays with the first message when it is sent twice', async () => {
    const id = await upload()
    const first = await visitor.say('c-1', { media_id: id })
    expect((await visitor.say('c-2', { media_id: id })).status).toBe(202)
    await town.until('SELECT 1 FROM messages WHERE number_id = $1 AND direction = $2', [number.id, 'inbound'], (rows) => rows.length === 2)
    expect((await fileOf(id))!.message_id).toBe(first.body.message_id)
  })

  it('is nobody else’s to send, and links nothing of theirs', async () => {
    const id = await upload()
    const other = await openVisitor(town.apiUrl, number)
    expect(await other.say('c-1', { media_id: id })).toMatchObject({ status: 404, body: { error: { param: 'body.media_id' } } })
    expect((await fileOf(id))!.message_id).toBeNull()
  })
})

describe('an upload that was never sent', () => {
  it('is deleted after a day, row and bytes; a younger one stays', async () => {
    const [old, young] = [await upload(), await upload()]
    const [gone, stays] = [await fileOf(old), await fileOf(young)]
    await age(25, old)
    await tidy()
    expect(await fileOf(old)).toBeUndefined()
    expect(isStored(gone!.storage_key)).toBe(false)
    expect(await fileOf(young)).toEqual(stays)
    expect(isStored(stays!.storage_key)).toBe(true)
  })

  it('cannot be sent any more in its last hour: what is accepted is never deleted', async () => {
    const id = await upload()
    await age(23, id)
    expect(await visitor.say('c-1', { media_id: id })).toMatchObject({ status: 404, body: { error: { param: 'body.media_id' } } })
  })

  it('leaves the bytes to a message that has the same ones', async () => {
    const bytes = picture()
    const [sent, unsent] = [await upload(bytes), await upload(bytes)]
    const { storage_key: key } = (await fileOf(sent))!
    expect((await fileOf(unsent))!.storage_key).toBe(key)
    await visitor.say('c-1', { media_id: sent })
    await age(25, sent, unsent)
    await tidy()
    expect([(await fileOf(sent))?.id, await fileOf(unsent), isStored(key)]).toEqual([sent, undefined, true])
    const content = await fetch(`${town.apiUrl}/v1/media/${sent}/content`, { headers: { authorization: `Bearer ${business.key}` } })
    expect(new Uint8Array(await content.arrayBuffer())).toEqual(bytes)
  })

  it('is not confused with a file that the business uploaded to send it again and again', async () => {
    const form = new FormData()
    form.append('file', new Blob([picture()], { type: 'image/png' }), 'menu.png')
    const made: Json = await (await fetch(`${town.apiUrl}/v1/phone-numbers/${number.id}/media`, { method: 'POST', headers: { authorization: `Bearer ${business.key}` }, body: form })).json()
    await age(1_000, made.id)
    await tidy()
    expect(await fileOf(made.id)).toMatchObject({ id: made.id })
  })
})

describe('the same bytes uploaded while they are being deleted', () => {
  const insertRow = (id: string, key: string) => `INSERT INTO media (id, tenant_id, number_id, source, state, storage_key) VALUES ('${id}', '${business.tenantId}', '${number.id}', '{}', 'stored', '${key}')`

  it('deleting waits for whoever is writing a row, and then leaves the bytes', async () => {
    const orphan = await upload()
    const { storage_key: key } = (await fileOf(orphan))!
    await age(25, orphan)
    const row = newId()
    let tidying: Promise<void> | undefined
    await town.db.tenant(business.tenantId, async (tx) => {
      await holdObject(tx, store, key)
      tidying = tidy()
      await waiting()
      await tx.query(insertRow(row, key))
    })
    await tidying
    expect([await fileOf(orphan), (await fileOf(row))?.id, isStored(key)]).toEqual([undefined, row, true])
  })

  it('a row is not written for bytes that are gone', async () => {
    const { key } = await store.put(business.tenantId, Readable.from([picture()]), { maxBytes: 1_000 })
    await store.delete(key)
    await expect(town.db.tenant(business.tenantId, (tx) => holdObject(tx, store, key))).rejects.toMatchObject({ code: 'unavailable' })
  })

  /** Resolves once somebody waits for a lock of an object. */
  async function waiting(): Promise<void> {
    for (;;) {
      const [row] = await town.rows<{ count: number }>("SELECT count(*)::int FROM pg_locks WHERE locktype = 'advisory' AND NOT granted AND database = (SELECT oid FROM pg_database WHERE datname = current_database())")
      if (row!.count > 0) return
    }
  }
})
