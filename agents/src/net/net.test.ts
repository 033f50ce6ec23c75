import { once } from 'node:events'
import type { LookupAddress } from 'node:dns'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { systemClock } from '@trunkline/core'
import { HttpTool } from '@trunkline/core'
import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { createHttpTools } from '../tools/http.ts'
import { AddressRefused, checkUrl, isPublicAddress } from './address.ts'
import { guardedFetch, guardedLookup, guardedNetwork } from './connect.ts'

/** Every way we know to write an IPv4 address in a URL. */
function formsOf(address: string): string[] {
  const [a, b, c, d] = address.split('.').map(Number) as [number, number, number, number]
  const whole = ((a << 24) | (b << 16) | (c << 8) | d) >>> 0
  const hex = (value: number) => `0x${value.toString(16)}`
  const octal = (value: number) => `0${value.toString(8)}`
  const pairs = `${((a << 8) | b).toString(16)}:${((c << 8) | d).toString(16)}`
  return [
    address,
    String(whole),
    hex(whole),
    octal(whole),
    [a, b, c, d].map(hex).join('.'),
    [a, b, c, d].map(octal).join('.'),
    [a, b, c, d].map((part, index) => (index % 2 ? hex(part) : octal(part))).join('.'),
    `${a}.${b}.${(c << 8) | d}`,
    `${a}.${(b << 16) | (c << 8) | d}`,
    `${address}.`,
    address.replaceAll('.', '。'),
    address.replace(/\d/g, (digit) => String.fromCharCode(0xff10 + Number(digit))),
    address.replace(/\./g, '%2e'),
    `[::ffff:${address}]`,
    `[::ffff:${pairs}]`,
    `[::${address}]`,
    `[64:ff9b::${pairs}]`,
    `[2002:${pairs}::1]`,
    `[::ffff:0:${pairs}]`,
    `user@${address}`,
    `public.example@${address}`,
  ]
}
const PRIVATE_V4 = ['127.0.0.1', '127.255.255.254', '10.0.0.1', '10.255.255.255', '172.16.0.1', '172.31.255.254', '192.168.0.1', '169.254.169.254', '0.0.0.0', '100.64.0.1', '198.18.0.1', '192.0.2.1', '198.51.100.7', '203.0.113.9', '224.0.0.1', '240.0.0.1', '255.255.255.255', '192.0.0.8']
const PRIVATE_V6 = ['::', '::1', 'fe80::1', 'fc00::1', 'fd12:3456::1', 'ff02::1', 'fec0::1', '2001:db8::1', '2001::1', '100::1', '2002:7f00:1::1', '64:ff9b::7f00:1', '::ffff:127.0.0.1', '::127.0.0.1']
const HOSTS = ['localhost', 'LOCALHOST', 'localhost.', 'a.localhost', 'metadata.google.internal', 'db.internal', 'printer.local', 'router.lan', 'nas.home', 'x.home.arpa', 'intranet', 'kubernetes', 'postgres', 'api.corp', 'foo.test', 'example.com.', '']

const refused = (url: string) => {
  try {
    checkUrl(url)
    return false
  } catch (error) {
    return error instanceof AddressRefused
  }
}

describe('addresses of tenants', () => {
  const urls = [
    ...PRIVATE_V4.flatMap(formsOf).flatMap((host) => [`http://${host}/x`, `https://${host}:8443/`]),
    ...PRIVATE_V6.map((host) => `http://[${host}]/`),
    ...HOSTS.map((host) => `https://${host}/`),
  ]
  it(`refuses private targets in all ${urls.length} ways of writing them`, () => {
    expect(urls.length).toBeGreaterThan(300)
    expect(urls.filter((url) => !refused(url))).toEqual([])
  })

  it('refuses other schemes, user information and unusual ports', () => {
    for (const url of ['ftp://example.com/', 'file:///etc/passwd', 'gopher://example.com:70/', 'javascript:alert(1)', 'http://u:p@example.com/', 'http://u@example.com/', 'http://example.com:22/', 'http://example.com:6379/', 'https://example.com:25/', 'no url', '//example.com/']) expect(refused(url), url).toBe(true)
  })

  it('takes public ones', () => {
    for (const url of ['https://example.com/a?b=c', 'http://93.184.216.34/', 'https://[2606:4700::1111]/', 'https://api.example.com:8443/', 'http://example.com:8080']) expect(refused(url), url).toBe(false)
  })

  it('takes a private one that the operator listed, on that port only', () => {
    const policy = { allow: ['127.0.0.1:9000'] }
    expect(checkUrl('http://127.0.0.1:9000/x', policy).allowed).toBe(true)
    expect(checkUrl('http://0x7f.1:9000/x', policy).allowed).toBe(true)
    expect(() => checkUrl('http://127.0.0.1:9001/x', policy)).toThrow(AddressRefused)
  })

  it('calls no address public that lies in a private block', () => {
    const inside = fc.oneof(
      fc.tuple(fc.constantFrom('10', '127', '0', '224', '250'), fc.nat(255), fc.nat(255), fc.nat(255)).map((parts) => parts.join('.')),
      fc.tuple(fc.constantFrom('192.168', '169.254', '100.100', '172.20', '198.18'), fc.nat(255), fc.nat(255)).map((parts) => parts.join('.')),
    )
    fc.assert(fc.property(inside, (address) => !isPublicAddress(address) && !isPublicAddress(`::ffff:${address}`) && formsOf(address).every((host) => refused(`http://${host}/`))))
  })
})

describe('the lookup of the socket', () => {
  const lookUp = (answers: LookupAddress[], host = 'tools.example.com') =>
    new Promise<string>((resolve) => guardedLookup(() => false, async () => answers)(host, { all: true }, (error, addresses) => resolve(error ? error.name : JSON.stringify(addresses))))

  it('refuses a name with a private address, also as one of several', async () => {
    expect(await lookUp([{ address: '10.0.0.5', family: 4 }])).toBe('AddressRefused')
    expect(await lookUp([{ address: '93.184.216.34', family: 4 }, { address: '::1', family: 6 }])).toBe('AddressRefused')
    expect(await lookUp([])).toBe('AddressRefused')
    expect(await lookUp([{ address: '93.184.216.34', family: 4 }])).toContain('93.184.216.34')
  })
})

describe('real sockets', () => {
  let hits: string[]
  let server: ReturnType<typeof createServer>
  let port: number
  beforeEach(async () => {
    hits = []
    server = createServer((request, response) => {
      hits.push(request.url!)
      if (request.url === '/redirect') response.writeHead(302, { location: `http://127.0.0.1:${port}/secret` }).end()
      else response.end('inside')
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    port = (server.address() as AddressInfo).port
  })
  afterEach(async () => {
    server.closeAllConnections()
    await new Promise<void>((resolve) => server.close(() => resolve()))
  })

  const tool = (url: string) => HttpTool.parse({ type: 'http', name: 't', description: 'd', parameters: { type: 'object' }, url })
  const call = (network: ReturnType<typeof guardedNetwork>, url: string) =>
    createHttpTools({ network, secrets: async () => null, clock: systemClock })({ tenantId: 't', tool: tool(url), args: {}, idempotencyKey: 'k' }, new AbortController().signal)

  it('rebinding: a public name that resolves to a private address when the socket opens never connects', async () => {
    let asked = 0
    const network = guardedNetwork({ ports: [port] }, async () => {
      asked++
      return [{ address: '127.0.0.1', family: 4 }]
    })
    const result = await call(network, `http://rebind.example.com:${port}/secret`)
    expect(asked).toBe(1)
    expect(result).toMatchObject({ ok: false, fault: 'address_refused' })
    expect(hits).toEqual([])
    await network.close()
  })

  it('does not follow a redirect', async () => {
    const network = guardedNetwork({ allow: [`127.0.0.1:${port}`] })
    expect(await call(network, `http://127.0.0.1:${port}/redirect`)).toMatchObject({ ok: false, fault: 'redirect_refused' })
    expect(hits).toEqual(['/redirect'])
    await network.close()
  })

  it('guards the fetch that is handed to an SDK in the same way', async () => {
    const network = guardedNetwork({ ports: [port] }, async () => [{ address: '127.0.0.1', family: 4 }])
    const guarded = guardedFetch(network)
    await expect(guarded(`http://127.0.0.1:${port}/`)).rejects.toThrow(AddressRefused)
    await expect(guarded(`http://rebind.example.com:${port}/`)).rejects.toMatchObject({ cause: { name: 'AddressRefused' } })
    const open = guardedNetwork({ allow: [`127.0.0.1:${port}`] })
    expect((await guardedFetch(open)(`http://127.0.0.1:${port}/redirect`)).status).toBe(302)
    expect(hits).toEqual(['/redirect'])
    await Promise.all([network.close(), open.close()])
  })

  it("sends a form of Node's own as a form", async () => {
    const { promise: heard, resolve } = Promise.withResolvers<{ type: string | undefined; body: string }>()
    const listener = createServer((request, response) => {
      const parts: Buffer[] = []
      request.on('data', (part: Buffer) => parts.push(part)).on('end', () => {
        resolve({ type: request.headers['content-type'], body: Buffer.concat(parts).toString('latin1') })
        response.end()
      })
    }).listen(0, '127.0.0.1')
    await once(listener, 'listening')
    const { port: at } = listener.address() as AddressInfo
    const network = guardedNetwork({ allow: [`127.0.0.1:${at}`] })
    const form = new FormData()
    form.append('file', new File(['sound'], 'said.wav'))
    await guardedFetch(network)(`http://127.0.0.1:${at}/`, { method: 'POST', body: form, headers: { authorization: 'Bearer k' } })
    const { type, body } = await heard
    expect(type).toMatch(/^multipart\/form-data; boundary=/)
    expect(body).toContain('filename="said.wav"')
    expect(body).toContain('sound')
    await network.close()
    listener.close()
  })
})
