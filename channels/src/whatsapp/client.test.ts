import { createServer } from 'node:net'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { NumberConfig, RejectionPolicy } from '@trunkline/core'
import { breakOff, hangUp, json, openStage, plain, silence, type Stage } from '../../testing/platform.ts'
import { client } from './client.ts'
import { whatsapp } from './index.ts'
import { POLICY } from './policy.ts'
import { SendRequest } from './wire.ts'

const number: NumberConfig = {
  numberId: '019aa000-0000-7000-8000-000000000001',
  address: '209900000000001',
  credentials: { access_token: 'EAAtest', app_secret: '0123456789abcdef', verify_token: 'a-verify-token' },
  settings: { graph_version: 'v24.0' },
}
const [request] = whatsapp.render({ kind: 'text', text: 'Hello' }, { to: { kind: 'phone', value: '+15005550123' } }).requests
const options = { callbackData: 'attempt-1', signal: new AbortController().signal }
const accepted = { messaging_product: 'whatsapp', contacts: [{ input: '15005550123', wa_id: '15005550123' }], messages: [{ id: 'wamid.A' }] }
const graphFault = (code: number, extra: object = {}) => ({ error: { message: '(#x) for +15005550123', type: 'OAuthException', code, fbtrace_id: 'F', ...extra } })

let stage: Stage
beforeEach(async () => {
  stage = await openStage()
})
afterEach(() => stage.close())

const make = (timeoutMs = 2_000) => client({ baseUrl: stage.baseUrl, timeoutMs })
const send = (timeoutMs?: number) => make(timeoutMs).send(number, request!, options)

describe('sending', () => {
  it('posts what the platform accepts, with the token and the callback data, and keeps the id', async () => {
    stage.play(json(200, accepted))
    expect(await send()).toEqual({ status: 'accepted', providerMessageId: 'wamid.A' })
    const [seen] = stage.seen
    expect(seen).toMatchObject({ method: 'POST', path: '/v24.0/209900000000001/messages', headers: { authorization: 'Bearer EAAtest', 'content-type': 'application/json' } })
    expect(SendRequest.parse(seen!.body)).toMatchObject({ to: '15005550123', text: { body: 'Hello' }, biz_opaque_callback_data: 'attempt-1' })
  })

  it('reuses its connections', async () => {
    const ports = new Set<number | undefined>()
    stage.play((seen, response, socket) => {
      ports.add(socket.remotePort)
      json(200, accepted)(seen, response, socket)
    })
    const sender = make()
    for (let count = 0; count < 20; count += 1) await sender.send(number, request!, options)
    // A pool may open a second one while the first settles.
    expect(ports.size).toBeLessThanOrEqual(2)
  })

  it.each<[number, number, RejectionPolicy]>([
    [400, 131047, 'window_closed'],
    [400, 131026, 'final'],
    [400, 131049, 'final'],
    [400, 130472, 'final'],
    [400, 131050, 'opt_out'],
    [400, 131056, 'pair_rate'],
    [400, 130429, 'number_rate'],
    [429, 80007, 'number_rate'],
    [400, 4, 'number_rate'],
    [400, 131048, 'number_rate'],
    [500, 131000, 'retry'],
    [500, 131016, 'retry'],
    [500, 2, 'retry'],
    [400, 131052, 'media_fault'],
    [400, 131053, 'media_fault'],
    [400, 131051, 'final'],
    [400, 131008, 'final'],
    [400, 100, 'final'],
    [404, 132001, 'template_fault'],
    [400, 132000, 'template_fault'],
    [400, 132015, 'template_fault'],
    [400, 132999, 'template_fault'],
    [400, 131042, 'stop_number'],
    [403, 131031, 'stop_number'],
    [403, 368, 'stop_number'],
    [500, 131057, 'stop_number'],
    [401, 190, 'reconnect'],
    [401, 0, 'reconnect'],
    [403, 10, 'reconnect'],
    [403, 200, 'reconnect'],
    [403, 299, 'reconnect'],
    [400, 987654, 'final'],
    [500, 987654, 'retry'],
  ])('answers HTTP %i with code %i by the policy %s', async (status, code, policy) => {
    stage.play(json(status, graphFault(code)))
    expect(await send()).toMatchObject({ status: 'rejected', policy, code: String(code) })
  })

  it('treats a phone_number_id that the token cannot see as a broken connection, not as a bad message', async () => {
    stage.play(json(400, graphFault(100, { error_subcode: 33 })))
    expect(await send()).toMatchObject({ policy: 'reconnect', code: '100/33' })
  })

  it('keeps what the platform wrote about a person out of the outcome', async () => {
    stage.play(json(400, graphFault(131026)))
    expect(JSON.stringify(await send())).not.toContain('5005550123')
  })

  it('waits as long as the platform asks, at most an hour', async () => {
    stage.play(json(429, graphFault(130429), { 'retry-after': '7' }))
    expect(await send()).toMatchObject({ retryAfterMs: 7_000 })
    stage.play(json(429, graphFault(130429), { 'retry-after': '999999' }))
    expect(await send()).toMatchObject({ retryAfterMs: 3_600_000 })
  })

  it.each<[number, string, RejectionPolicy]>([
    [401, 'http_401', 'reconnect'],
    [404, 'http_404', 'final'],
    [408, 'http_408', 'retry'],
    [429, 'http_429', 'number_rate'],
    [503, 'http_503', 'retry'],
    [302, 'http_302', 'final'],
  ])('takes a bare HTTP %i for a refusal', async (status, code, policy) => {
    stage.play(plain(status, '<html>'))
    expect(await send()).toMatchObject({ status: 'rejected', code, policy })
  })
})

describe('outcomes that nobody can know', () => {
  it.each([500, 502, 504])('a bare HTTP %i may have been carried out', async (status) => {
    stage.play(plain(status, 'upstream broke'))
    expect(await send()).toEqual({ status: 'unknown', reason: `http_${status} without an error object` })
  })

  it.each<[string, ReturnType<typeof plain>]>([
    ['is not JSON', plain(200, 'OK')],
    ['has no message id', json(200, { messages: [] })],
    ['is empty', plain(200, '')],
    ['is an array', json(200, [])],
    ['has an id of the wrong type', json(200, { messages: [{ id: { a: 1 } }] })],
    ['is far too long', plain(200, `{"messages":[{"id":"wamid.A"}],"x":"${'y'.repeat(400_000)}"}`)],
  ])('a 200 that %s', async (_, answer) => {
    stage.play(answer)
    expect(await send()).toEqual({ status: 'unknown', reason: 'accepted without a message id' })
  })

  it('silence after the request was written', async () => {
    stage.play(silence)
    expect(await send(150)).toMatchObject({ status: 'unknown' })
    expect(stage.seen).toHaveLength(1)
  })

  it('a connection that is dropped instead of an answer, or in the middle of one', async () => {
    stage.play(hangUp)
    expect(await send()).toMatchObject({ status: 'unknown' })
    stage.play(breakOff(200))
    expect(await send()).toMatchObject({ status: 'unknown' })
  })

  it('a caller that gives up while the answer is awaited', async () => {
    const controller = new AbortController()
    stage.play(() => controller.abort())
    expect(await make().send(number, request!, { ...options, signal: controller.signal })).toMatchObject({ status: 'unknown' })
  })
})

describe('requests that certainly never left', () => {
  const notSent = { status: 'rejected', policy: 'retry', code: 'not_sent' }

  it('nobody listens', async () => {
    const { baseUrl } = stage
    await stage.close()
    expect(await client({ baseUrl, timeoutMs: 1_000 }).send(number, request!, options)).toMatchObject(notSent)
    stage = await openStage()
  })

  it('no such host', async () => {
    expect(await client({ baseUrl: 'http://no-such-host.invalid', timeoutMs: 3_000 }).send(number, request!, options)).toMatchObject(notSent)
  })

  it('the caller had given up before', async () => {
    stage.play(json(200, accepted))
    expect(await make().send(number, request!, { ...options, signal: AbortSignal.abort() })).toMatchObject(notSent)
    expect(stage.seen).toHaveLength(0)
  })

  it('TLS fails: the handshake is spoken with a server that does not', async () => {
    const deaf = createServer((socket) => void socket.on('error', () => undefined).resume().end('HTTP/1.1 400 Bad Request\r\n\r\n'))
    await new Promise<void>((resolve) => deaf.listen(0, '127.0.0.1', resolve))
    const { port } = deaf.address() as { port: number }
    expect(await client({ baseUrl: `https://127.0.0.1:${port}`, timeoutMs: 1_000 }).send(number, request!, options)).toMatchObject(notSent)
    await new Promise((resolve) => deaf.close(resolve))
  })
})

describe('typing', () => {
  it('marks the message read and shows that somebody writes', async () => {
    stage.play(json(200, { success: true }))
    await make().typing(number, { kind: 'phone', value: '+15005550123' }, 'wamid.IN', options.signal)
    expect(stage.seen[0]!.body).toEqual({ messaging_product: 'whatsapp', status: 'read', message_id: 'wamid.IN', typing_indicator: { type: 'text' } })
  })

  it('is a courtesy: its failures are swallowed', async () => {
    stage.play(hangUp)
    await make().typing(number, { kind: 'phone', value: '+15005550123' }, 'wamid.IN', options.signal)
    expect(stage.seen).toHaveLength(1)
  })
})

describe('fetching media', () => {
  const bytes = Buffer.from([0xff, 0xd8, 0xff, 0, 1, 2, 3])
  const serve = (address: object, file: ReturnType<typeof plain>) =>
    stage.play((seen, response, socket) => (seen.path.startsWith('/v24.0/') ? json(200, address) : file)(seen, response, socket))
  const fetch = (maxBytes = 1_000) => make().fetchMedia(number, { providerMediaId: '800000000000001' }, maxBytes, options.signal)
  const at = (path: string, extra: object = {}) => ({ url: `${stage.baseUrl}${path}`, mime_type: 'image/jpeg', file_size: bytes.length, ...extra })
  const image: ReturnType<typeof plain> = (_, response) => void response.writeHead(200, { 'content-type': 'image/jpeg' }).end(bytes)

  it('asks for the address, then for the file, with the token both times', async () => {
    serve(at('/file?x=1'), image)
    const file = await fetch()
    expect(Buffer.from(file.bytes)).toEqual(bytes)
    expect(file.mimeType).toBe('image/jpeg')
    expect(stage.seen.map(({ path, headers }) => [path, headers.authorization])).toEqual([
      ['/v24.0/800000000000001?phone_number_id=209900000000001', 'Bearer EAAtest'],
      ['/file?x=1', 'Bearer EAAtest'],
    ])
  })

  it('never sends the token to a host that is not the platform', async () => {
    for (const url of ['https://evil.example/f', 'http://lookaside.fbsbx.com/f', 'https://fbsbx.com.evil.example/f', 'https://lookaside.fbsbx.com:8443/f', 'https://evilfbsbx.com/f']) {
      serve(at('', { url }), image)
      await expect(fetch()).rejects.toMatchObject({ code: 'upstream_rejected', param: 'media.url' })
    }
    serve(at('/file'), plain(302, '', { location: 'https://evil.example/f' }))
    await expect(fetch()).rejects.toMatchObject({ code: 'upstream_rejected', param: 'media.url' })
  })

  it('refuses a file that is too large: announced by the address, by the header, or found out', async () => {
    serve(at('/file', { file_size: 5_000 }), image)
    await expect(fetch()).rejects.toMatchObject({ code: 'upstream_rejected', param: 'media' })
    expect(stage.seen).toHaveLength(1)
    serve(at('/file'), plain(200, 'x'.repeat(5_000)))
    await expect(fetch()).rejects.toMatchObject({ code: 'upstream_rejected', param: 'media' })
    serve(at('/file'), (_, response) => {
      response.writeHead(200)
      for (let count = 0; count < 20; count += 1) response.write('x'.repeat(500))
      response.end()
    })
    await expect(fetch()).rejects.toMatchObject({ code: 'upstream_rejected', param: 'media' })
  })

  it('knows what can be tried later and what is gone', async () => {
    const codes: unknown[] = []
    for (const answer of [json(400, graphFault(100, { error_subcode: 33 })), json(401, graphFault(190)), json(500, graphFault(2)), json(400, graphFault(100)), plain(502, 'x'), json(200, {}), hangUp]) {
      stage.play(answer)
      codes.push(await fetch().catch((error: { code: string }) => error.code))
    }
    expect(codes).toEqual(['not_found', 'upstream_failed', 'upstream_failed', 'upstream_rejected', 'upstream_failed', 'upstream_failed', 'upstream_failed'])
  })

  it('knows it of the file as well', async () => {
    const codes: unknown[] = []
    for (const answer of [plain(404, ''), plain(403, ''), plain(500, ''), plain(400, ''), breakOff(200)]) {
      serve(at('/file'), answer)
      codes.push(await fetch().catch((error: { code: string }) => error.code))
    }
    expect(codes).toEqual(['not_found', 'upstream_failed', 'upstream_failed', 'upstream_rejected', 'upstream_failed'])
  })

  it('follows a redirect, but not for ever', async () => {
    serve(at('/first'), (seen, response, socket) => (seen.path === '/first' ? plain(302, '', { location: '/second' }) : image)(seen, response, socket))
    expect((await fetch()).bytes).toHaveLength(bytes.length)
    serve(at('/loop'), plain(302, '', { location: '/loop' }))
    await expect(fetch()).rejects.toMatchObject({ code: 'upstream_rejected' })
  })

  it('has nothing to fetch without an id or an address', async () => {
    await expect(make().fetchMedia(number, { mediaId: '019aa000-0000-7000-8000-00000000000a' }, 10, options.signal)).rejects.toMatchObject({ code: 'not_found' })
  })
})

describe('checking credentials', () => {
  const check = () => make().check(number, options.signal)

  it('reads the number itself', async () => {
    stage.play(json(200, { id: '209900000000001', display_phone_number: '+1 500-555-0999' }))
    await expect(check()).resolves.toBeUndefined()
    expect(stage.seen[0]!.path).toBe('/v24.0/209900000000001?fields=id,display_phone_number,verified_name')
  })

  it.each([
    ['the token', json(401, graphFault(190)), 'credentials.access_token'],
    ['the permission', json(403, graphFault(200)), 'credentials.access_token'],
    ['the phone_number_id', json(400, graphFault(100, { error_subcode: 33 })), 'address'],
  ])('names %s when that is wrong', async (_, answer, param) => {
    stage.play(answer)
    await expect(check()).rejects.toMatchObject({ code: 'invalid_credentials', param })
  })

  it('does not blame the credentials for an outage', async () => {
    stage.play(plain(502, 'x'))
    await expect(check()).rejects.toMatchObject({ code: 'upstream_failed' })
  })
})

describe('the error policy', () => {
  it('says something plain for every row', () => {
    for (const row of [...Object.values(POLICY.rows), ...POLICY.ranges.map((range) => range.row)]) expect(row.message).toMatch(/^[A-Z].*\.$/)
  })
})
