import { spawn } from 'node:child_process'
import { once } from 'node:events'
import nodemailer from 'nodemailer'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import type { Sandbox } from './index.ts'
import { startSandbox } from './index.ts'
import { readEnv } from './env.ts'

let sandbox: Sandbox

beforeAll(async () => {
  sandbox = await startSandbox({ journal: { capacity: 50, bodies: 5 } })
})
afterEach(() => sandbox.reset())
afterAll(() => sandbox.close())

const call = async (method: string, path: string, body?: unknown) => {
  const answer = await fetch(sandbox.url + path, { method, headers: body === undefined ? {} : { 'content-type': 'application/json' }, body: body === undefined ? undefined : JSON.stringify(body) })
  const text = await answer.text()
  return { status: answer.status, json: (text === '' ? null : JSON.parse(text)) as Record<string, never> }
}
const echo = (n: number) => call('POST', '/tools/echo', { n })

describe('the journal', () => {
  it('keeps the newest entries in order, and bodies of the very newest', async () => {
    for (let n = 0; n < 60; n++) await echo(n)
    const entries = sandbox.journal.query({})
    expect(entries).toHaveLength(50)
    expect(entries.map(({ seq }) => seq)).toEqual(entries.map((_, index) => entries[0]!.seq + index))
    expect(entries.filter(({ body }) => body !== undefined).map(({ body }) => (body as { n: number }).n)).toEqual([55, 56, 57, 58, 59])
  })

  it('is awaited over HTTP without sleeping, and gives up with 408', async () => {
    const after = sandbox.journal.lastSeq
    const waiting = call('GET', `/sandbox/journal/wait?target=tools.echo&count=2&after=${after}`)
    await echo(1)
    await echo(2)
    expect(((await waiting).json as { data?: unknown[] }).data).toHaveLength(2)
    expect((await call('GET', `/sandbox/journal/wait?target=tools.never&timeout_ms=5`)).status).toBe(408)
  })

  it('is awaited in process', async () => {
    const waiting = sandbox.waitFor(({ target, kind }) => target === 'tools.fail' && kind === 'GET')
    await call('GET', '/tools/fail/503')
    expect((await waiting).target).toBe('tools.fail')
    await expect(sandbox.waitFor(() => false, 5)).rejects.toThrow('0 of 1')
  })

  it('forgets on reset and never reuses a number', async () => {
    await echo(1)
    const before = sandbox.journal.lastSeq
    await call('DELETE', '/sandbox/journal')
    await echo(2)
    expect(sandbox.journal.query({}).map(({ seq }) => seq)).toEqual([before + 1])
  })
})

describe('faults', () => {
  it('strike the nth, every nth, and so many times', async () => {
    const statuses = async () => (await Promise.all([echo(1), echo(2), echo(3), echo(4)])).map(({ status }) => status)
    sandbox.faults.add({ target: 'tools.echo', match: { nth: 3 }, action: { status: 503 } })
    expect((await statuses()).filter((status) => status === 503)).toHaveLength(1)
    sandbox.faults.clear()
    sandbox.faults.add({ target: 'tools.*', match: { every: 2 }, action: { status: 503 } })
    expect((await statuses()).filter((status) => status === 503)).toHaveLength(2)
    sandbox.faults.clear()
    sandbox.faults.add({ target: '*', times: 3, action: { status: 500 } })
    expect((await statuses()).filter((status) => status === 500)).toHaveLength(3)
    expect(sandbox.faults.list()).toEqual([])
  })

  it('with a seed strike the same requests again', async () => {
    const play = async () => {
      sandbox.faults.clear()
      sandbox.faults.add({ target: 'tools.echo', match: { probability: 0.5, seed: 42 }, action: { status: 500 } })
      const statuses = []
      for (let n = 0; n < 12; n++) statuses.push((await echo(n)).status)
      return statuses
    }
    const first = await play()
    expect(new Set(first)).toEqual(new Set([200, 500]))
    expect(await play()).toEqual(first)
  })

  it('are scripted over HTTP; a mistake is told with its place', async () => {
    const made = await call('POST', '/sandbox/faults', { target: 'tools.echo', action: { status: 418, body: { teapot: true }, retryAfter: 2 } })
    expect(made).toMatchObject({ status: 201, json: { id: expect.stringMatching(/^fault_/) as string, struck: 0 } })
    expect(await echo(1)).toMatchObject({ status: 418, json: { teapot: true } })
    expect((await call('DELETE', `/sandbox/faults/${String(made.json.id)}`)).status).toBe(204)
    expect((await call('DELETE', '/sandbox/faults/none')).status).toBe(404)
    for (const body of [{}, { target: 'x', action: {} }, { target: 'x', action: { status: 9 } }, { target: 'x', action: { sttus: 500 } }]) {
      expect(await call('POST', '/sandbox/faults', body)).toMatchObject({ status: 400, json: { error: { message: expect.stringContaining('body') as string } } })
    }
  })
})

describe('the control API', () => {
  it.each([
    ['POST', '/sandbox/whatsapp/numbers', { phone_number_id: 'abc' }, 400],
    ['POST', '/sandbox/whatsapp/numbers', { phone_number_id: '1', webhook_url: 'ftp://x' }, 400],
    ['POST', '/sandbox/whatsapp/customers/4917012345/messages', { text: 'x', phone_number_id: '404' }, 404],
    ['POST', '/sandbox/whatsapp/customers/ada/messages', { text: 'x' }, 400],
    ['POST', '/sandbox/instagram/customers/1/messages', { ig_id: '404', text: 'x' }, 404],
    ['POST', '/sandbox/instagram/accounts', 'text', 400],
    ['GET', '/sandbox/journal?limit=0', undefined, 400],
    ['GET', '/sandbox/mail/404', undefined, 404],
    ['GET', '/sandbox/webhooks/404', undefined, 404],
    ['PUT', '/sandbox/pace', { first_token_ms: -1 }, 400],
    ['GET', '/nowhere', undefined, 404],
  ])('%s %s with %j is answered with a clear %i', async (method, path, body, status) => {
    const answer = await call(method, path, body)
    expect(answer).toMatchObject({ status, json: { error: { message: expect.any(String) as string } } })
  })

  it('a body that is not JSON is a 400', async () => {
    const answer = await fetch(`${sandbox.url}/sandbox/faults`, { method: 'POST', headers: { 'content-type': 'application/json' }, body: '{"half":' })
    expect(answer.status).toBe(400)
  })

  it('a number without webhook is a conflict, not a silence', async () => {
    await call('POST', '/sandbox/whatsapp/numbers', { phone_number_id: '5' })
    expect((await call('POST', '/sandbox/whatsapp/customers/4917012345/messages', { text: 'x', phone_number_id: '5' })).status).toBe(409)
    expect((await call('DELETE', '/sandbox/whatsapp/numbers/5')).status).toBe(204)
  })

  it('changes the pace of the models while they run', async () => {
    expect((await call('PUT', '/sandbox/pace', { first_token_ms: 7 })).json).toMatchObject({ first_token_ms: 7 })
    expect(sandbox.pace.firstTokenMs).toBe(7)
  })

  it('serves the console without anything from elsewhere', async () => {
    const page = await fetch(sandbox.url)
    const html = await page.text()
    expect(page.headers.get('content-security-policy')).toContain("default-src 'self'")
    expect(html.match(/(?:src|href)="(?!\/|data:)[^"]*"/g)).toBeNull()
  })
})

describe('mail', () => {
  it('is caught, listed, and shown without its scripts', async () => {
    const transport = nodemailer.createTransport({ host: '127.0.0.1', port: sandbox.mailPort, ignoreTLS: true })
    const caught = sandbox.waitFor(({ target }) => target === 'mail.received')
    await transport.sendMail({ from: 'a@trunkline.example', to: 'ada@customer.example', subject: 'Grüße', html: '<p>Hi</p>', attachments: [{ filename: 'a.txt', content: 'abc' }] })
    const { id } = await caught
    const { json } = await call('GET', '/sandbox/mail?to=ada@customer.example')
    expect(json.data).toMatchObject([{ id, subject: 'Grüße', from: 'a@trunkline.example', attachments: [{ filename: 'a.txt', size_bytes: 3 }] }])
    const page = await fetch(`${sandbox.url}/sandbox/mail/${id}/html`)
    expect([page.headers.get('content-security-policy'), await page.text()]).toEqual([expect.stringContaining("default-src 'none'"), expect.stringContaining('<p>Hi</p>')])
  })

  it('can be refused by a fault', async () => {
    sandbox.faults.add({ target: 'mail.received', times: 1, action: { status: 451 } })
    const transport = nodemailer.createTransport({ host: '127.0.0.1', port: sandbox.mailPort, ignoreTLS: true })
    await expect(transport.sendMail({ from: 'a@b.example', to: 'c@d.example', text: 'x' })).rejects.toMatchObject({ responseCode: 451 })
    expect(sandbox.mail.list()).toEqual([])
  })
})

describe('the tool target', () => {
  it('knows orders, and the same one always alike', async () => {
    const first = await call('GET', '/tools/orders/A-1001')
    expect(first).toMatchObject({ status: 200, json: { id: 'A-1001', status: expect.any(String) as string } })
    expect((await call('POST', '/tools/orders', { order_id: 'A-1001' })).json).toEqual(first.json)
    expect((await call('GET', '/tools/orders/000')).status).toBe(404)
  })

  it('is difficult on demand', async () => {
    expect((await call('GET', '/tools/fail/418')).status).toBe(418)
    await expect(call('GET', '/tools/garbage')).rejects.toThrow(/JSON/)
    expect((await (await fetch(`${sandbox.url}/tools/large?bytes=1234`)).text()).length).toBe(1234)
    await expect(fetch(`${sandbox.url}/tools/hang`, { signal: AbortSignal.timeout(20) })).rejects.toThrow(/timeout|aborted/)
  })
})

describe('the process', () => {
  it('prints one ready line and ends on SIGTERM', async () => {
    const child = spawn(process.execPath, [new URL('main.ts', import.meta.url).pathname], { env: { SANDBOX_PORT: '0', SANDBOX_MAIL_PORT: '0' }, stdio: ['ignore', 'pipe', 'inherit'] })
    const [line] = (await once(child.stdout, 'data')) as [Buffer]
    const ready = JSON.parse(line.toString()) as { ready: boolean; url: string }
    expect((await fetch(`${ready.url}/health`)).status).toBe(200)
    child.kill('SIGTERM')
    expect(await once(child, 'exit')).toEqual([0, null])
  })

  it('lists every fault of its environment', () => {
    expect(() => readEnv({ SANDBOX_PORT: 'x', SANDBOX_PUBLIC_URL: 'y' })).toThrow(/SANDBOX_PORT[\s\S]*SANDBOX_PUBLIC_URL/)
    expect(readEnv({ SANDBOX_FIRST_TOKEN_MS: '300' }).pace).toEqual({ firstTokenMs: 300 })
  })
})
