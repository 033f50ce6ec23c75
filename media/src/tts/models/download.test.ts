import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { downloadModels, type DownloadOptions } from './download.ts'
import { ModelList, type ModelFile } from './list.ts'

/** A server whose script says what happens to each request: it may cut, stall, or know no ranges. */
type Step = (response: ServerResponse, request: IncomingMessage) => void
const content = randomBytes(200_000)
let server: Server
let origin: string
let steps: Step[]
let ranges: (string | undefined)[]
let directory: string

const start = (request: IncomingMessage): number => Number(/^bytes=(\d+)-$/.exec(request.headers.range ?? '')?.[1] ?? 0)
/** Sends from where it was asked, and breaks the connection after so many bytes. */
const serve = (bytes = Infinity): Step => (response, request) => {
  const from = start(request)
  const rest = content.subarray(from)
  response.writeHead(from > 0 ? 206 : 200, { 'content-length': rest.length, ...(from > 0 ? { 'content-range': `bytes ${from}-${content.length - 1}/${content.length}` } : {}) })
  if (bytes >= rest.length) response.end(rest)
  else response.write(rest.subarray(0, bytes), () => response.destroy())
}
const answer = (status: number, headers: Record<string, string> = {}): Step => (response) => void response.writeHead(status, headers).end()
const whole: Step = (response) => void response.writeHead(200, { 'content-length': content.length }).end(content)

beforeAll(async () => {
  server = createServer((request, response) => {
    ranges.push(request.headers.range)
    ;(steps.shift() ?? serve())(response, request)
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
})
beforeEach(async () => {
  ;[steps, ranges] = [[], []]
  directory = await mkdtemp(join(tmpdir(), 'trunkline-models-'))
})
afterEach(() => rm(directory, { recursive: true }))
afterAll(() => {
  server.closeAllConnections()
  server.close()
})

const file = (more: Partial<ModelFile> = {}): ModelFile => ({ url: `${origin}/a.onnx`, path: 'onnx/a.onnx', sha256: createHash('sha256').update(content).digest('hex'), bytes: content.length, ...more })
const download = (files: ModelFile[] = [file()], more: Partial<DownloadOptions> = {}) => downloadModels(files, { directory, signal: new AbortController().signal, pauseMs: 1, attempts: 3, stallMs: 500, ...more })
const found = () => readFile(join(directory, 'onnx/a.onnx'))

describe('models are fetched', () => {
  it('whole and checked, with progress, and not twice', async () => {
    const seen: number[] = []
    await download([file()], { onProgress: ({ doneBytes, totalBytes, allBytes }) => void seen.push(doneBytes, totalBytes - allBytes) })
    expect((await found()).equals(content)).toBe(true)
    expect(seen.at(-2)).toBe(content.length)
    expect(seen.filter((_, index) => index % 2 === 0)).toEqual(seen.filter((_, index) => index % 2 === 0).toSorted((a, b) => a - b))
    await download()
    expect(ranges).toHaveLength(1)
    expect(existsSync(join(directory, 'onnx/a.onnx.part'))).toBe(false)
  })

  it('over a line that breaks again and again, each time from where it was', async () => {
    steps = [serve(50_000), serve(50_000), answer(503), serve(50_000), serve()]
    await download()
    expect((await found()).equals(content)).toBe(true)
    const asked = ranges.map((range) => Number(/\d+/.exec(range ?? '0')![0]))
    expect(asked).toHaveLength(5)
    expect(asked).toEqual(asked.toSorted((a, b) => a - b))
    expect(asked.at(-1)).toBeGreaterThan(0)
  })

  it('on with the part that another process left', async () => {
    await download([file()], { signal: AbortSignal.abort() }).catch(() => undefined)
    steps = [serve(80_000), answer(500), answer(500), answer(500)]
    await expect(download()).rejects.toMatchObject({ code: 'upstream_failed' })
    const left = (await readFile(join(directory, 'onnx/a.onnx.part'))).length
    expect(left).toBeGreaterThan(0)
    await download()
    expect(ranges.at(-1)).toBe(`bytes=${left}-`)
    expect((await found()).equals(content)).toBe(true)
  })

  it('from the beginning where the server knows no ranges', async () => {
    steps = [serve(50_000), whole]
    await download()
    expect((await found()).equals(content)).toBe(true)
  })

  it('from the beginning where the part is of another version', async () => {
    await download()
    await rm(join(directory, 'onnx/a.onnx'))
    await writeFile(join(directory, 'onnx/a.onnx.part'), Buffer.alloc(1_000, 7))
    await download()
    expect((await found()).equals(content)).toBe(true)
    expect(ranges.slice(1)).toEqual(['bytes=1000-', undefined])
  })

  it('through a redirect', async () => {
    steps = [answer(302, { location: '/elsewhere' })]
    await download()
    expect((await found()).equals(content)).toBe(true)
  })

  it('again when the file on the disk is not the right one', async () => {
    await download()
    await writeFile(join(directory, 'onnx/a.onnx'), Buffer.alloc(content.length))
    await download()
    expect((await found()).equals(content)).toBe(true)
  })
})

describe('models are not fetched', () => {
  it.each([
    ['with another sum', { sha256: '0'.repeat(64) }, /SHA-256/],
    ['longer than the list says', { bytes: 1_000 }, /longer/],
  ])('%s; nothing gets the name', async (_, more, message) => {
    await expect(download([file(more)])).rejects.toMatchObject({ code: 'upstream_rejected', message: expect.stringMatching(message) as string })
    expect(existsSync(join(directory, 'onnx/a.onnx'))).toBe(false)
  })

  it('that are not there: at once', async () => {
    steps = [answer(404)]
    await expect(download()).rejects.toMatchObject({ code: 'upstream_rejected', message: expect.stringMatching(/404/) as string })
    expect(ranges).toHaveLength(1)
  })

  it('from a server that falls silent for ever', async () => {
    const silent: Step = (response) => void response.writeHead(200, { 'content-length': content.length })
    steps = [silent, silent, silent]
    await expect(download([file()], { stallMs: 50 })).rejects.toMatchObject({ code: 'upstream_failed' })
    expect(ranges).toHaveLength(3)
  })

  it('when it is called off; what came stays', async () => {
    const stop = new AbortController()
    steps = [(response) => void response.writeHead(200, { 'content-length': content.length }).write(content.subarray(0, 60_000))]
    await expect(download([file()], { signal: stop.signal, onProgress: () => stop.abort() })).rejects.toThrow(/abort/i)
    expect((await readFile(join(directory, 'onnx/a.onnx.part'))).length).toBeGreaterThan(0)
  })

  it('into another folder', () => {
    for (const path of ['../a', '/etc/a', 'a/../../b', 'a//b', '.hidden', 'C:\\a']) expect(ModelList.safeParse({ files: [file({ path })] }).success).toBe(false)
    expect(ModelList.safeParse({ files: [file(), file({ path: 'voices/af_heart.bin' })] }).success).toBe(true)
  })
})
