import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { FrameReader, KIND, encodeFrame, pcmOf, type Frame } from './protocol.ts'

const here = (file: string) => fileURLToPath(new URL(file, import.meta.url))
const start = (child: string) => spawn(process.execPath, ['--disable-warning=ExperimentalWarning', child], { stdio: ['pipe', 'pipe', 'ignore'], env: {} })

describe('frames between us and espeak', () => {
  it('survive any cut', () => {
    const frame = fc.record({ job: fc.nat(0xffffffff), payload: fc.uint8Array({ maxLength: 300 }) })
    fc.assert(
      fc.property(fc.array(frame, { maxLength: 8 }), fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1 }), (frames, sizes) => {
        const bytes = Buffer.concat(frames.map(({ job, payload }) => encodeFrame(KIND.audio, job, payload)))
        const reader = new FrameReader()
        const read: Frame[] = []
        for (let at = 0, i = 0; at < bytes.length; i++) {
          const size = sizes[i % sizes.length]!
          read.push(...reader.push(bytes.subarray(at, at + size)))
          at += size
        }
        expect(read.map(({ job, payload }) => ({ job, payload: Uint8Array.from(payload) }))).toEqual(frames)
      }),
    )
  })

  it('that cannot be ours are refused, and samples at odd places are read', () => {
    expect(() => new FrameReader().push(Buffer.from('HTTP/1.1 200 OK\r\n'))).toThrow(RangeError)
    expect(() => new FrameReader().push(Buffer.alloc(20))).toThrow(RangeError)
    const odd = Buffer.concat([Buffer.alloc(1), Buffer.from(Int16Array.of(1, -2, 32_767).buffer)]).subarray(1)
    expect(Array.from(pcmOf(odd))).toEqual([1, -2, 32_767])
  })
})

describe('the espeak process', () => {
  it('ends with us: when its input closes', async () => {
    const child = start(here('./child.ts'))
    await once(child.stdout, 'data')
    child.stdin.end()
    expect(await once(child, 'exit')).toEqual([0, null])
  })

  it('keeps our process alive while somebody waits for it, and no longer', async () => {
    const script = `import { EspeakPool } from ${JSON.stringify(new URL('./pool.ts', import.meta.url).href)}; const pool = new EspeakPool(); await pool.warm(); await pool.voices(); console.log('warm')`
    const bare = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', '--input-type=module', '-e', script], { stdio: ['ignore', 'pipe', 'inherit'], env: {} })
    const [[said], ended] = await Promise.all([once(bare.stdout, 'data') as Promise<[Buffer]>, once(bare, 'exit')])
    expect(said.toString()).toBe('warm\n')
    expect(ended).toEqual([0, null])
  })

  it('says which package is missing where it is not installed', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'trunkline-espeak-'))
    // Outside of the repository, where no package can be found; there only .mts is a module.
    for (const name of ['child', 'protocol']) await writeFile(join(folder, `${name}.mts`), (await readFile(here(`./${name}.ts`), 'utf8')).replace('./protocol.ts', './protocol.mts'))
    const child = start(join(folder, 'child.mts'))
    const [chunk] = (await once(child.stdout, 'data')) as [Buffer]
    const [frame] = new FrameReader().push(chunk)
    expect(frame).toMatchObject({ kind: KIND.failed, job: 0 })
    expect(JSON.parse(frame!.payload.toString('utf8'))).toMatchObject({ code: 'model_missing', message: expect.stringContaining('@echogarden/espeak-ng-emscripten') as string })
    await rm(folder, { recursive: true })
  })

  it('leaves out what was called off before it began', async () => {
    const child = start(here('./child.ts'))
    const request = (job: number) => encodeFrame(KIND.say, job, JSON.stringify({ text: `Number ${job}.`, voice: 'en-us', rate: 175, pitch: 50, range: 50, sound: true }))
    // In one write: all of it lies in the pipe before the first is begun.
    child.stdin.write(Buffer.concat([request(1), request(2), request(3), encodeFrame(KIND.cancel, 2)]))
    const reader = new FrameReader()
    const done: number[] = []
    const spoken = new Set<number>()
    for await (const chunk of child.stdout) {
      for (const { kind, job } of reader.push(chunk as Buffer)) {
        if (kind === KIND.audio) spoken.add(job)
        if (kind === KIND.done) done.push(job)
      }
      if (done.includes(3)) child.stdin.end()
    }
    expect(done).toEqual([1, 3])
    expect([...spoken]).toEqual([1, 3])
  })
})
