import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { brotliDecompressSync, gunzipSync } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createWorld, type World } from '../../../../tests/isolation/world.ts'
import { buildWidget } from './widget.ts'

let world: World
beforeAll(async () => {
  world = await createWorld()
})
afterAll(() => world.close())

const script = (headers: Record<string, string> = {}, url = '/widget.js') => world.app.inject({ method: 'GET', url, headers })

describe('the widget', () => {
  it('weighs less than 15 kB gzipped', async () => {
    const { gzip, plain } = await buildWidget()
    expect(gzip.length).toBeLessThan(15_000)
    expect(gunzipSync(gzip)).toEqual(plain)
  })

  it('gives no HTML to the page and runs no text', async () => {
    const { plain } = await buildWidget()
    expect(plain.toString()).not.toMatch(/innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|setAttribute\("style"/)
  })

  it('has types that fit', async () => {
    const root = fileURLToPath(new URL('../../../..', import.meta.url))
    const check = promisify(execFile)(process.execPath, ['node_modules/typescript/bin/tsc', '-p', 'apps/dashboard/widget/tsconfig.json'], { cwd: root })
    await expect(check.catch((error: { stdout: string; stderr: string }) => Promise.reject(new Error(error.stdout + error.stderr)))).resolves.toEqual({ stdout: '', stderr: '' })
  })

  it('is served with a tag, in the encoding that is asked for, to any page', async () => {
    const [br, zipped, plain] = [await script({ 'accept-encoding': 'gzip, br' }), await script({ 'accept-encoding': 'gzip' }), await script()]
    expect([br, zipped, plain].map((answer) => answer.headers['content-encoding'])).toEqual(['br', 'gzip', undefined])
    expect(brotliDecompressSync(br.rawPayload)).toEqual(plain.rawPayload)
    expect(new Set([br, zipped, plain].map((answer) => answer.headers.etag)).size).toBe(3)
    expect(plain.headers).toMatchObject({ 'content-type': 'text/javascript; charset=utf-8', 'access-control-allow-origin': '*', 'cross-origin-resource-policy': 'cross-origin' })
    const known = await script({ 'accept-encoding': 'br', 'if-none-match': String(br.headers.etag) })
    expect([known.statusCode, known.body]).toEqual([304, ''])
  })

  it('is immutable under its hash, and not there under another', async () => {
    const hash = String((await script()).headers['x-widget-hash'])
    expect((await script({}, `/widget/${hash}.js`)).headers['cache-control']).toContain('immutable')
    expect((await script({}, '/widget/0000000000000000.js')).statusCode).toBe(404)
  })

  it('has a page that shows it, which takes nothing from its address into its HTML', async () => {
    const page = await script({}, '/widget/demo?number=0199a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b')
    expect(page.body).toContain('data-number="0199a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b"')
    expect(page.headers['content-security-policy']).not.toContain('unsafe')
    for (const query of ['number="><script>', 'number=0199a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b&lang="><script>', '']) expect((await script({}, `/widget/demo?${query}`)).statusCode).toBe(400)
  })
})
