import { newId } from '@trunkline/core'
import { openJson, takeDirectSends } from '@trunkline/db'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { openOffice, type Json, type Office, type Tenant } from '../../../../tests/harness/office.ts'
import { rangeOf } from './file-answer.ts'
import { isFileLink, signedFile } from './media-link.ts'

let office: Office
let ours: Tenant
let theirs: Tenant
let number: { id: string; agentId: string; promptId: string }
const picture = Buffer.from('not really a picture, but bytes are bytes')

beforeAll(async () => {
  office = await openOffice()
  ;[ours, theirs] = [await office.tenant(), await office.tenant()]
  number = await office.number(ours)
})
afterAll(() => office.close())

const get = (url: string, headers: Record<string, string> = {}, key = ours.key) => office.call('GET', url, { key, headers })
const run = (sql: string, values: unknown[]) => office.db.tenant(ours.tenantId, (tx) => tx.query(sql, values))

/** The multipart body a browser's form would send. */
function form(file: Buffer, { type = 'image/png', filename = 'menu.png' } = {}): { body: Buffer; headers: Record<string, string> } {
  const head = `--frontier\r\ncontent-disposition: form-data; name="file"; filename="${filename}"\r\ncontent-type: ${type}\r\n\r\n`
  return { body: Buffer.concat([Buffer.from(head), file, Buffer.from('\r\n--frontier--\r\n')]), headers: { 'content-type': 'multipart/form-data; boundary=frontier' } }
}
const upload = (file = picture, facts: Json = {}, key = ours.key, numberId = number.id) => office.call('POST', `/v1/phone-numbers/${numberId}/media`, { key, ...form(file, facts) })

describe('media: what they are for', () => {
  it('takes a file, gives it back as a download that no browser runs', async () => {
    const { status, body } = await upload(picture, { filename: 'menu – «today».png' })
    expect(status).toBe(201)
    expect(body).toMatchObject({ state: 'stored', mime_type: 'image/png', size_bytes: picture.length, number_id: number.id, filename: 'menu – «today».png' })
    const answer = await get(`/v1/media/${body.id}/content`)
    expect(answer.body).toBe(picture.toString())
    expect(answer.headers).toMatchObject({
      'content-type': 'image/png',
      'content-length': String(picture.length),
      'x-content-type-options': 'nosniff',
      'content-security-policy': "default-src 'none'; sandbox",
      'content-disposition': expect.stringMatching(/^attachment; filename="[^"]*"; filename\*=UTF-8''menu/),
    })
  })

  it('serves one range', async () => {
    const { body } = await upload()
    const part = await get(`/v1/media/${body.id}/content`, { range: 'bytes=4-9' })
    expect([part.status, part.body, part.headers['content-range']]).toEqual([206, picture.subarray(4, 10).toString(), `bytes 4-9/${picture.length}`])
  })

  it('gives what we send an address that the supplier can fetch without a key', async () => {
    const { id } = await office.conversation(ours, number)
    const { body: file } = await upload()
    const sent = await office.call('POST', `/v1/conversations/${id}/messages`, { key: ours.key, body: { content: { kind: 'image', media: { media_id: file.id }, caption: 'Our menu' } } })
    expect(sent.body.content).toEqual({ kind: 'image', media: { media_id: file.id }, caption: 'Our menu' })
    const sends = await office.db.system('queue', (tx) => takeDirectSends(tx, 100))
    const request = openJson(office.keyring, sends.find((send) => send.messageId === sent.body.id)!.requestSealed, ours.tenantId) as Json
    const link = request.request.body.image.link.replace('http://api.test', '')
    expect((await office.call('GET', link)).body).toBe(picture.toString())
  })

  it('fetches a failed download again, with a fresh count', async () => {
    const id = newId()
    await run("INSERT INTO media (id, tenant_id, number_id, source, state, attempts, error) VALUES ($1, $2, $3, '{}', 'failed', 7, 'expired')", [id, ours.tenantId, number.id])
    const answer = await office.call('POST', `/v1/media/${id}/retry`, { key: ours.key })
    expect([answer.status, answer.body.state, answer.body.attempts, answer.body.error]).toEqual([202, 'pending', 0, null])
    expect((await office.call('POST', `/v1/media/${id}/retry`, { key: ours.key })).body.error.code).toBe('invalid_state')
    expect((await get(`/v1/media/${id}/content`)).body.error).toMatchObject({ code: 'invalid_state', details: { state: 'pending' } })
  })

  it('lists by state and message', async () => {
    const { messageId } = await office.conversation(ours, number)
    const id = newId()
    await run("INSERT INTO media (id, tenant_id, number_id, message_id, source) VALUES ($1, $2, $3, $4, '{}')", [id, ours.tenantId, number.id, messageId])
    expect((await get(`/v1/media?message_id=${messageId}`)).body.data.map((file: Json) => file.id)).toEqual([id])
    expect((await get(`/v1/media?message_id=${messageId}&state=stored`)).body.data).toEqual([])
  })
})

describe('media: what is refused', () => {
  it.each([
    ['text/html', 'unsupported_media_type'],
    ['image/svg+xml', 'unsupported_media_type'],
    ['application/x-msdownload', 'unsupported_media_type'],
  ])('files that a channel could not send, or a browser would run: %s', async (type, code) => {
    const before = (await get('/v1/media?limit=100')).body.data.length
    expect((await upload(picture, { type })).body.error.code).toBe(code)
    expect((await get('/v1/media?limit=100')).body.data).toHaveLength(before)
  })

  it('an empty file, a body without a file, and one that is no form', async () => {
    expect((await upload(Buffer.alloc(0))).body.error).toMatchObject({ code: 'invalid_request', param: 'body.file' })
    const bare = { body: Buffer.from('--frontier--\r\n'), headers: { 'content-type': 'multipart/form-data; boundary=frontier' } }
    expect((await office.call('POST', `/v1/phone-numbers/${number.id}/media`, { key: ours.key, ...bare })).body.error.code).toBe('invalid_request')
    expect((await office.call('POST', `/v1/phone-numbers/${number.id}/media`, { key: ours.key, body: {} })).body.error.code).toBe('unsupported_media_type')
  })

  it('a file that is larger than any channel takes, and keeps nothing of it', async () => {
    const before = (await get('/v1/media?limit=100')).body.data.length
    const { status, body } = await upload(Buffer.alloc(100 * 1024 * 1024 + 1))
    expect([status, body.error.code, body.error.details]).toEqual([413, 'payload_too_large', { limit_bytes: 100 * 1024 * 1024 }])
    expect((await get('/v1/media?limit=100')).body.data).toHaveLength(before)
  })

  it('a file name that is a path', async () => {
    expect((await upload(picture, { filename: '../../etc/passwd' })).body.filename).toBe('passwd')
  })

  it('links that were changed, or have expired', async () => {
    const file = { tenantId: ours.tenantId, id: newId() }
    const at = (nowMs: number) => ({ keyring: office.keyring, clock: { nowMs: () => nowMs }, config: { publicUrl: '' } })
    const [, , tenantId, id, expires, signature] = signedFile(at(0), file).split('/') as [string, string, string, string, string, string]
    expect(isFileLink(at(47 * 3_600_000), { tenantId, id, expires, signature })).toBe(true)
    expect(isFileLink(at(49 * 3_600_000), { tenantId, id, expires, signature })).toBe(false)
    expect(isFileLink(at(0), { tenantId: theirs.tenantId, id, expires, signature })).toBe(false)
    expect(isFileLink(at(0), { tenantId, id: newId(), expires, signature })).toBe(false)
    expect(isFileLink(at(0), { tenantId, id, expires: 'zzzzzz', signature })).toBe(false)
  })
})

describe('ranges (RFC 9110 §14)', () => {
  it.each([
    ['bytes=0-0', { start: 0, end: 0 }],
    ['bytes=5-', { start: 5, end: 9 }],
    ['bytes=-3', { start: 7, end: 9 }],
    ['bytes=-30', { start: 0, end: 9 }],
    ['bytes=8-99', { start: 8, end: 9 }],
    ['bytes=10-', null],
    ['bytes=6-5', null],
    ['bytes=-0', null],
    ['bytes=-', null],
    ['bytes=0-1,3-4', null],
    ['items=0-1', null],
    [undefined, null],
  ])('%s of ten bytes', (header, range) => expect(rangeOf(header, 10)).toEqual(range))
})

describe('media: whose they are', () => {
  it('do not exist for another tenant, nor for a key of another project', async () => {
    const { body } = await upload()
    const stranger = await ours.keyWith(['media:read', 'media:write'], await ours.project('staging'))
    for (const key of [theirs.key, stranger]) {
      expect((await get(`/v1/media/${body.id}`, {}, key)).status).toBe(404)
      expect((await get(`/v1/media/${body.id}/content`, {}, key)).status).toBe(404)
      expect((await office.call('POST', `/v1/media/${body.id}/retry`, { key })).status).toBe(404)
      expect((await upload(picture, {}, key)).status).toBe(404)
      expect((await get('/v1/media', {}, key)).body.data).toEqual([])
    }
  })

  it('are not sent from a conversation of another number', async () => {
    const other = await office.number(ours)
    const { id } = await office.conversation(ours, other)
    const { body } = await upload()
    const refused = await office.call('POST', `/v1/conversations/${id}/messages`, { key: ours.key, body: { content: { kind: 'image', media: { media_id: body.id } } } })
    expect(refused.body.error).toMatchObject({ code: 'invalid_request', param: 'body.content.media.media_id' })
  })
})
