import { execFile, execFileSync } from 'node:child_process'
import { once } from 'node:events'
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync } from 'node:fs'
import { createServer } from 'node:http'
import type { Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { findWorker, WORKER_SCRIPT } from './testing.ts'

const worker = findWorker()
const title = worker.path === null ? `scripts/mediasoup-worker.mjs with a worker (skipped: ${worker.reason})` : 'scripts/mediasoup-worker.mjs with a worker'

let home: string
beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), 'trunkline-worker-'))
  // No compiler and no apt-get: whatever goes wrong here ends in a sentence, not in a build.
  mkdirSync(join(home, 'bin'))
  for (const program of ['tar', 'gzip']) symlinkSync(execFileSync('sh', ['-c', `command -v ${program}`], { encoding: 'utf8' }).trim(), join(home, 'bin', program))
})
afterEach(() => rmSync(home, { recursive: true, force: true }))

type Result = { code: number; path?: string | null; source?: string; reason?: string; said: string }
function run(args: string[], env: Record<string, string> = {}): Promise<Result> {
  return new Promise((resolve) => {
    const child = execFile(process.execPath, [WORKER_SCRIPT, ...args], { env: { PATH: join(home, 'bin'), HOME: home, XDG_CACHE_HOME: home, ...env } }, (_error, stdout, stderr) => {
      resolve({ code: child.exitCode!, said: stderr, ...(JSON.parse(stdout) as object) })
    })
  })
}

describe('scripts/mediasoup-worker.mjs', () => {
  it('looks, finds nothing, and says how to get it', async () => {
    expect(await run(['--check'])).toMatchObject({ code: 3, path: null, reason: expect.stringContaining('node scripts/mediasoup-worker.mjs') as string })
  })

  it('does not take a binary that is no worker', async () => {
    expect(await run(['--check'], { MEDIASOUP_WORKER_BIN: process.execPath })).toMatchObject({ code: 3, reason: expect.stringContaining(process.execPath) as string })
  })

  it('names what is missing when it can neither fetch nor build', async () => {
    const result = await run([], { MEDIASOUP_WORKER_PREBUILT_DOWNLOAD_BASE_URL: 'http://127.0.0.1:1' })
    expect(result).toMatchObject({ code: 3, reason: expect.stringMatching(/g\+\+, cmake, make, pkg-config.* missing.*MEDIASOUP_WORKER_BIN/) as string })
    expect(result.said).toMatch(/no official mediasoup-worker/)
  })
})

describe.skipIf(worker.path === null)(title, () => {
  let mirror: Server
  let requests: string[]
  let archive: Buffer
  const settings = () => ({ MEDIASOUP_WORKER_PREBUILT_DOWNLOAD_BASE_URL: `http://127.0.0.1:${(mirror.address() as AddressInfo).port}` })

  beforeEach(async () => {
    copyFileSync(worker.path!, join(home, 'mediasoup-worker'))
    execFileSync('tar', ['-czf', join(home, 'worker.tgz'), '-C', home, 'mediasoup-worker'])
    archive = readFileSync(join(home, 'worker.tgz'))
    requests = []
    mirror = createServer((request, response) => {
      requests.push(request.url!)
      response.end(archive)
    }).listen(0, '127.0.0.1')
    await once(mirror, 'listening')
  })
  afterEach(() => mirror.close())

  it('takes the one that is given', async () => {
    expect(await run([], { MEDIASOUP_WORKER_BIN: worker.path! })).toMatchObject({ code: 0, path: worker.path, source: 'given' })
  })

  it('fetches the official one once, though two ask at the same time, and finds it ever after', async () => {
    const both = await Promise.all([run([], settings()), run([], settings())])
    expect(new Set(both.map(({ source }) => source))).toEqual(new Set(['cache', 'prebuilt']))
    expect(both[0].path).toBe(both[1].path)
    expect(both[0].path).toContain(join(home, 'trunkline', 'mediasoup-worker'))
    expect(requests).toEqual([expect.stringMatching(/^\/3\.27\.1\/mediasoup-worker-3\.27\.1-\w+-\w+.*\.tgz$/)])
    expect(await run(['--check'])).toMatchObject({ code: 0, source: 'cache', path: both[0].path })
  })

  it('leaves nothing behind of a download that is broken', async () => {
    archive = archive.subarray(0, 5_000)
    expect(await run([], settings())).toMatchObject({ code: 3 })
    expect(await run(['--check'])).toMatchObject({ code: 3 })
  })
})
