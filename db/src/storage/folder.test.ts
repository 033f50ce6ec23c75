import { AppError, newId } from '@trunkline/core'
import { createHash } from 'node:crypto'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createFolderStore, type MediaStore } from './index.ts'

let root: string
let store: MediaStore
const tenant = newId()
const bytes = Buffer.from('a picture, more or less')
const put = (content: Buffer, maxBytes = 1_000, tenantId = tenant) => store.put(tenantId, Readable.from([content]), { maxBytes })

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'media-'))
  store = createFolderStore(root)
})
afterAll(() => rm(root, { recursive: true }))

describe('media store on a folder', () => {
  it('gives back what was put, by its digest', async () => {
    const object = await put(bytes)
    expect(object).toEqual({ key: expect.stringContaining(tenant), sizeBytes: bytes.length, sha256: createHash('sha256').update(bytes).digest('hex') })
    expect(await buffer(await store.get(object.key))).toEqual(bytes)
    expect(await store.head(object.key)).toEqual({ sizeBytes: bytes.length })
    expect(await buffer(await store.get(object.key, { start: 2, end: 8 }))).toEqual(bytes.subarray(2, 9))
  })

  it('keeps the same bytes of one tenant once and of two tenants twice', async () => {
    const [first, again, other] = [await put(bytes), await put(bytes), await put(bytes, 1_000, newId())]
    expect(again.key).toBe(first.key)
    expect(other.key).not.toBe(first.key)
  })

  it('refuses what is too large and keeps nothing of it', async () => {
    await expect(put(bytes, bytes.length - 1)).rejects.toMatchObject({ code: 'payload_too_large' })
    expect(await readdir(join(root, 'incoming'))).toEqual([])
  })

  it('keeps nothing of a source that breaks off', async () => {
    const broken = Readable.from(
      (async function* () {
        yield bytes
        throw new Error('connection reset')
      })(),
    )
    await expect(store.put(tenant, broken, { maxBytes: 1_000 })).rejects.toThrow('connection reset')
    expect(await readdir(join(root, 'incoming'))).toEqual([])
  })

  it.each(['../etc/passwd', `${tenant}/../../x`, '', `${tenant}/ab/${'a'.repeat(63)}`, `/${tenant}/aa/${'a'.repeat(64)}`])('opens no other path: %s', async (key) => {
    await expect(store.get(key)).rejects.toBeInstanceOf(AppError)
    await expect(store.head(key)).rejects.toBeInstanceOf(AppError)
    await expect(store.delete(key)).rejects.toBeInstanceOf(AppError)
  })

  it('refuses a tenant that is not an id', async () => {
    await expect(put(bytes, 1_000, '../x')).rejects.toThrow()
  })

  it('forgets what was deleted, and deleting it again is fine', async () => {
    const { key } = await put(Buffer.from('short-lived'))
    await store.delete(key)
    await store.delete(key)
    expect(await store.head(key)).toBeNull()
    await expect(store.get(key)).rejects.toMatchObject({ code: 'not_found' })
  })
})
