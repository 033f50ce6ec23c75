import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { openDecoder } from '../codec/index.ts'
import { StreamAnchor } from './anchor.ts'
import { oggCrc } from './ogg.ts'
import { openRecorder } from './recorder.ts'
import type { CallRecorder, RecorderOptions } from './recorder.ts'
import { openFileSink } from './sink.ts'
import type { RecordingSink } from './sink.ts'
import { repairWav } from './wav.ts'

const RATE = 8_000
const START_MS = 5_000

/** A sink in memory; `block` makes it slow until `release`. */
class MemorySink implements RecordingSink {
  bytes = Buffer.alloc(0)
  closed = false
  discarded = false
  failing = false
  #gate: Promise<void> = Promise.resolve()
  release: () => void = () => {}

  block(): void {
    this.#gate = new Promise((resolve) => (this.release = resolve))
  }

  async write(bytes: Uint8Array): Promise<void> {
    await this.#gate
    if (this.failing) throw new Error('disk full')
    this.bytes = Buffer.concat([this.bytes, bytes])
  }

  async patch(offset: number, bytes: Uint8Array): Promise<void> {
    await this.#gate
    this.bytes.set(bytes, offset)
  }

  async close(): Promise<void> {
    this.closed = true
  }

  async discard(): Promise<void> {
    this.discarded = true
  }
}

async function setup(options: Partial<RecorderOptions> = {}): Promise<{ recorder: CallRecorder; sink: MemorySink }> {
  const sink = new MemorySink()
  const recorder = await openRecorder({ sink, format: 'wav', sampleRateHz: RATE, startMs: START_MS, consent: 'given', unrecorded: 'silence', ...options })
  return { recorder, sink }
}

type Stereo = { left: number[]; right: number[] }
function readWav(bytes: Buffer): Stereo {
  const dataBytes = bytes.readUInt32LE(40)
  expect([bytes.toString('latin1', 0, 4), bytes.readUInt32LE(4), bytes.length]).toEqual(['RIFF', dataBytes + 36, dataBytes + 44])
  const [left, right]: [number[], number[]] = [[], []]
  for (let at = 44; at < bytes.length; at += 4) {
    left.push(bytes.readInt16LE(at))
    right.push(bytes.readInt16LE(at + 2))
  }
  return { left, right }
}

const level = (value: number, ms = 20): Int16Array => new Int16Array((ms * RATE) / 1_000).fill(value)
/** The runs of equal samples, as [value, milliseconds]. */
function runs(samples: number[]): [number, number][] {
  const out: [number, number][] = []
  for (const value of samples) {
    const last = out.at(-1)
    if (last?.[0] === value) last[1]++
    else out.push([value, 1])
  }
  return out.map(([value, count]) => [value, count / 8])
}

function say(recorder: CallRecorder, side: 'caller' | 'agent', value: number, fromMs: number, toMs: number): void {
  for (let at = fromMs; at < toMs; at += 20) {
    recorder[side](level(value), START_MS + at)
    recorder.advance(START_MS + at)
  }
}

describe('recording', () => {
  it('puts both sides at their time, with silence between, and lasts as long as the call', async () => {
    const { recorder, sink } = await setup()
    say(recorder, 'caller', 100, 200, 1_000)
    say(recorder, 'agent', 200, 1_500, 2_000)
    say(recorder, 'caller', 300, 1_900, 2_400)
    const summary = await recorder.close(START_MS + 3_000)
    const { left, right } = readWav(sink.bytes)
    expect(runs(left)).toEqual([[0, 200], [100, 800], [0, 900], [300, 500], [0, 600]])
    expect(runs(right)).toEqual([[0, 1_500], [200, 500], [0, 1_000]])
    expect(summary).toEqual({ durationMs: 3_000, bytes: sink.bytes.length, lostMs: 0, droppedMs: 0, omitted: [], fault: null, discarded: false })
    expect(sink.closed).toBe(true)
  })

  it('records nothing lost when one side is silent all the time', async () => {
    const { recorder, sink } = await setup()
    say(recorder, 'caller', 100, 0, 500)
    await recorder.close(START_MS + 500)
    expect(runs(readWav(sink.bytes).right)).toEqual([[0, 500]])
  })

  it('has of the agent what was heard: nothing after a cut, and what comes after it', async () => {
    const { recorder, sink } = await setup()
    for (let at = 0; at < 600; at += 20) recorder.agent(level(100), START_MS + at)
    recorder.cutAgent(START_MS + 333)
    recorder.agent(level(200), START_MS + 500)
    await recorder.close(START_MS + 600)
    expect(runs(readWav(sink.bytes).right)).toEqual([[100, 333], [0, 167], [200, 20], [0, 80]])
  })

  it('whatever comes, when and how: each sample lies at its call time, the last word about it counting', async () => {
    const frame = fc.record({ side: fc.constantFrom<'caller' | 'agent'>('caller', 'agent'), behindMs: fc.integer({ min: -160, max: 350 }), value: fc.integer({ min: -9_000, max: 9_000 }), cut: fc.boolean() })
    await fc.assert(
      fc.asyncProperty(fc.array(fc.array(frame, { maxLength: 3 }), { maxLength: 80 }), async (ticks) => {
        const { recorder, sink } = await setup()
        const model = { caller: new Int16Array(20 * RATE), agent: new Int16Array(20 * RATE) }
        let end = { caller: 0, agent: 0 }
        let nowMs = 0
        for (const tick of ticks) {
          nowMs += 40
          recorder.advance(START_MS + nowMs)
          for (const { side, behindMs, value, cut } of tick) {
            const atMs = Math.max(0, nowMs - behindMs)
            if (cut && side === 'agent') {
              recorder.cutAgent(START_MS + atMs)
              model.agent.fill(0, atMs * 8)
              end = { ...end, agent: Math.min(end.agent, atMs * 8) }
            }
            // Within a millisecond of the last sound is after the last sound.
            const at = Math.abs(atMs * 8 - end[side]) <= 8 ? end[side] : atMs * 8
            recorder[side](level(value), START_MS + atMs)
            model[side].set(level(value), at)
            end = { ...end, [side]: Math.max(end[side], at + 160) }
          }
        }
        const summary = await recorder.close(START_MS + nowMs)
        const { left, right } = readWav(sink.bytes)
        expect(summary.lostMs).toBe(0)
        expect(left).toEqual([...model.caller.subarray(0, nowMs * 8)])
        expect(right).toEqual([...model.agent.subarray(0, nowMs * 8)])
      }),
      { numRuns: 40 },
    )
  })

  it('does not click where rounded times leave a sample between frames', async () => {
    const { recorder, sink } = await setup()
    for (let n = 0; n < 50; n++) recorder.caller(level(100), START_MS + n * 20 + (n % 2 ? 0.13 : 0))
    await recorder.close(START_MS + 1_000)
    expect(runs(readWav(sink.bytes).left)).toEqual([[100, 1_000]])
  })

  it('counts what has no place: too late, or far in the future', async () => {
    const { recorder } = await setup()
    recorder.advance(START_MS + 3_000)
    recorder.caller(level(1), START_MS + 100)
    recorder.caller(level(1), START_MS + 3_600_000)
    expect((await recorder.close(START_MS + 3_000)).lostMs).toBe(40)
  })
})

describe('consent and pauses', () => {
  it.each([
    ['silence', [[0, 1_000], [100, 1_000]], 2_000, []],
    ['omitted', [[100, 1_000]], 1_000, [{ atMs: 0, durationMs: 1_000 }]],
  ] as const)('records nothing before consent (%s)', async (unrecorded, expected, durationMs, omitted) => {
    const { recorder, sink } = await setup({ consent: 'awaited', unrecorded })
    expect(recorder.state).toBe('awaiting_consent')
    say(recorder, 'caller', 100, 0, 1_000)
    recorder.grantConsent(START_MS + 1_000)
    expect(recorder.state).toBe('recording')
    say(recorder, 'caller', 100, 1_000, 2_000)
    expect(await recorder.close(START_MS + 2_000)).toMatchObject({ durationMs, omitted })
    expect(runs(readWav(sink.bytes).left)).toEqual(expected)
  })

  it('a pause begins and ends at its sample, though sound is written later', async () => {
    const { recorder, sink } = await setup({ unrecorded: 'omitted' })
    say(recorder, 'caller', 100, 0, 1_000)
    recorder.pause(START_MS + 905)
    expect(recorder.state).toBe('paused')
    say(recorder, 'caller', 200, 1_000, 2_000)
    recorder.resume(START_MS + 1_705)
    say(recorder, 'caller', 300, 2_000, 2_100)
    expect((await recorder.close(START_MS + 2_100)).omitted).toEqual([{ atMs: 905, durationMs: 800 }])
    expect(runs(readWav(sink.bytes).left)).toEqual([[100, 905], [200, 295], [300, 100]])
  })

  it('a pause before consent outlasts it', async () => {
    const { recorder, sink } = await setup({ consent: 'awaited' })
    recorder.pause(START_MS)
    recorder.grantConsent(START_MS + 100)
    expect(recorder.state).toBe('paused')
    say(recorder, 'caller', 100, 0, 500)
    await recorder.close(START_MS + 500)
    expect(runs(readWav(sink.bytes).left)).toEqual([[0, 500]])
  })

  it('leaves nothing when the caller refuses, or never answered', async () => {
    const refused = await setup({ consent: 'awaited' })
    say(refused.recorder, 'caller', 100, 0, 500)
    await refused.recorder.refuse()
    await refused.recorder.refuse()
    refused.recorder.caller(level(1), START_MS + 600)
    refused.recorder.advance(START_MS + 5_000)
    expect([refused.sink.discarded, refused.recorder.state]).toEqual([true, 'refused'])
    const unanswered = await setup({ consent: 'awaited' })
    expect(await unanswered.recorder.close(START_MS + 500)).toMatchObject({ discarded: true, bytes: 0, durationMs: 0 })
    expect(unanswered.sink.discarded).toBe(true)
  })

  it('is over once', async () => {
    const { recorder } = await setup()
    await recorder.close(START_MS + 100)
    await expect(recorder.close(START_MS + 100)).rejects.toMatchObject({ code: 'invalid_state' })
  })
})

describe('a slow or broken sink', () => {
  it('holds no more than it may, replaces the rest by silence, and keeps what follows in its place', async () => {
    const { recorder, sink } = await setup({ maxPendingBytes: 64_000 })
    sink.block()
    say(recorder, 'caller', 100, 0, 10_000)
    sink.release()
    for (let at = 10_000; at < 14_000; at += 500) {
      await new Promise((resolve) => setImmediate(resolve))
      say(recorder, 'caller', 200, at, at + 500)
    }
    const summary = await recorder.close(START_MS + 14_000)
    const { left } = readWav(sink.bytes)
    expect([summary.durationMs, left.length / 8]).toEqual([14_000, 14_000])
    expect(summary.droppedMs).toBe(left.filter((value) => value === 0).length / 8)
    expect(runs(left)[0]).toEqual([100, expect.toSatisfy((ms: number) => ms > 1_000 && ms <= 2_000)])
    expect(left.findIndex((value) => value === 200)).toBeGreaterThanOrEqual(10_000 * 8)
    expect(runs(left).at(-1)).toEqual([200, expect.toSatisfy((ms: number) => ms > 1_000)])
  })

  it('owed silence is written at the end, in pieces that fit', async () => {
    const { recorder, sink } = await setup({ maxPendingBytes: 40_000 })
    sink.block()
    say(recorder, 'caller', 100, 0, 20_000)
    const closing = recorder.close(START_MS + 20_000)
    sink.release()
    expect((await closing).durationMs).toBe(20_000)
    expect(readWav(sink.bytes).left.length).toBe(20 * RATE)
  })

  it('tells of a fault once, and the call goes on', async () => {
    const faults: unknown[] = []
    const { recorder, sink } = await setup({ onFault: (error) => faults.push(error) })
    sink.failing = true
    say(recorder, 'caller', 100, 0, 2_000)
    const { fault } = await recorder.close(START_MS + 2_000)
    expect([faults, fault]).toEqual([[new Error('disk full')], new Error('disk full')])
  })
})

describe('files', () => {
  let folder: string
  let count = 0
  const fresh = (): string => join(folder, `${count++}.wav`)

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'trunkline-recording-'))
  })
  afterAll(() => rm(folder, { recursive: true }))

  it('a file is whole while the call runs, up to the last second', async () => {
    const path = fresh()
    const recorder = await openRecorder({ sink: await openFileSink(path), format: 'wav', sampleRateHz: RATE, startMs: START_MS, consent: 'given', unrecorded: 'silence' })
    say(recorder, 'caller', 100, 0, 10_000)
    await expect.poll(async () => (await readFile(path)).readUInt32LE(40)).toBeGreaterThanOrEqual(9_000 * 32 - 400 * 32)
    const during = await readFile(path)
    expect(during.length - 44).toBeGreaterThanOrEqual(during.readUInt32LE(40))
    expect(await repairWav(path)).toMatchObject({ repaired: true })
    expect(runs(readWav(await readFile(path)).left)[0]![0]).toBe(100)
    await recorder.close(START_MS + 10_000)
    expect(await repairWav(path)).toEqual({ durationMs: 10_000, repaired: false })
  })

  it('a process that is killed leaves a file that plays, up to the last second', async () => {
    const path = fresh()
    // A call of which 100 ms pass every 10 ms, in a process of its own.
    const child = spawn(process.execPath, ['--input-type=module', '-e', `
      const { openRecorder } = await import(${JSON.stringify(new URL('./recorder.ts', import.meta.url).href)})
      const { openFileSink } = await import(${JSON.stringify(new URL('./sink.ts', import.meta.url).href)})
      const recorder = await openRecorder({ sink: await openFileSink(${JSON.stringify(path)}), format: 'wav', sampleRateHz: 8000, startMs: 0, consent: 'given', unrecorded: 'silence' })
      let now = 0
      setInterval(() => {
        for (let n = 0; n < 5; n++, now += 20) recorder.caller(new Int16Array(160).fill(100), now)
        recorder.advance(now)
        console.log(now)
      }, 10)
    `], { stdio: ['ignore', 'pipe', 'inherit'] })
    let seenMs = 0
    for await (const line of createInterface({ input: child.stdout })) {
      seenMs = Number(line)
      if (seenMs >= 5_000) break
    }
    child.kill('SIGKILL')
    await once(child, 'exit')
    const claimedMs = (await readFile(path)).readUInt32LE(40) / 32
    const { durationMs } = await repairWav(path)
    expect(claimedMs).toBeGreaterThanOrEqual(seenMs - 1_500)
    expect(durationMs).toBeGreaterThanOrEqual(seenMs - 1_000)
    expect(runs(readWav(await readFile(path)).left)).toEqual([[100, durationMs]])
  })

  it('repairs any end that a crash can leave', async () => {
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 44, max: 44 + 16_000 }), async (size) => {
        const path = fresh()
        const recorder = await openRecorder({ sink: await openFileSink(path), format: 'wav', sampleRateHz: RATE, startMs: START_MS, consent: 'given', unrecorded: 'silence' })
        say(recorder, 'caller', 100, 0, 500)
        await recorder.close(START_MS + 500)
        await truncate(path, size)
        const { durationMs } = await repairWav(path)
        expect(durationMs).toBe(Math.floor((size - 44) / 4) / 8)
        expect(readWav(await readFile(path)).left.length).toBe(durationMs * 8)
      }),
      { numRuns: 20 },
    )
  })

  it('leaves files alone that are not ours', async () => {
    for (const content of [Buffer.alloc(0), Buffer.alloc(43, 'RIFF'), Buffer.from(`RIFF${'x'.repeat(100)}`)]) {
      const path = fresh()
      await writeFile(path, content)
      await expect(repairWav(path)).rejects.toMatchObject({ code: 'invalid_request' })
      expect(await readFile(path)).toEqual(content)
    }
  })

  it('does not write over a file, and deletes what was refused', async () => {
    const path = fresh()
    const sink = await openFileSink(path)
    await expect(openFileSink(path)).rejects.toMatchObject({ code: 'EEXIST' })
    await sink.discard()
    await expect(readFile(path)).rejects.toMatchObject({ code: 'ENOENT' })
  })
})

type OggPage = { flags: number; granule: number; sequence: number; packets: Buffer[] }
function readOgg(bytes: Buffer): OggPage[] {
  const pages: OggPage[] = []
  for (let at = 0; at < bytes.length; ) {
    const segments = bytes[at + 26]!
    const table = bytes.subarray(at + 27, at + 27 + segments)
    const size = 27 + segments + table.reduce((a, b) => a + b, 0)
    const page = Buffer.from(bytes.subarray(at, at + size))
    const crc = page.readUInt32LE(22)
    page.writeUInt32LE(0, 22)
    expect([page.toString('latin1', 0, 4), oggCrc(page)]).toEqual(['OggS', crc])
    const packets: Buffer[] = []
    let [body, start] = [27 + segments, 27 + segments]
    for (const lace of table) {
      body += lace
      if (lace === 255) continue
      packets.push(page.subarray(start, body))
      start = body
    }
    pages.push({ flags: page[5]!, granule: Number(page.readBigInt64LE(6)), sequence: page.readUInt32LE(18), packets })
    at += size
  }
  return pages
}

describe('Ogg Opus', () => {
  it('has the checksum of RFC 3533: a known page', () => {
    // CRC-32/MPEG-2 polynomial without inversion; the check value of "123456789".
    expect(oggCrc(Buffer.from('123456789'))).toBe(0x89a1897f)
  })

  it('is a stream of whole pages that says exactly how long the sound is', async () => {
    const { recorder, sink } = await setup({ format: 'ogg' })
    say(recorder, 'caller', 100, 0, 3_000)
    await recorder.close(START_MS + 3_011)
    const pages = readOgg(sink.bytes)
    expect(pages.map(({ sequence }) => sequence)).toEqual([...pages.keys()])
    expect(pages.map(({ flags }) => flags)).toEqual(pages.map((_, n) => (n === 0 ? 2 : n === pages.length - 1 ? 4 : 0)))
    const head = pages[0]!.packets[0]!
    expect([head.toString('latin1', 0, 8), head[8], head[9], head.readUInt32LE(12)]).toEqual(['OpusHead', 1, 2, RATE])
    expect(pages[1]!.packets[0]!.toString('latin1', 0, 8)).toBe('OpusTags')
    expect(pages.at(-1)!.granule - head.readUInt16LE(10)).toBe(3_011 * 48)
    const granules = pages.map(({ granule }) => granule)
    expect(granules).toEqual([...granules].sort((a, b) => a - b))
  })

  it('keeps the caller left and the agent right', async () => {
    const { recorder, sink } = await setup({ format: 'ogg' })
    for (let at = 0; at < 1_000; at += 20) recorder.caller(Int16Array.from({ length: 160 }, (_, i) => 12_000 * Math.sin((2 * Math.PI * 440 * (at * 8 + i)) / RATE)), START_MS + at)
    await recorder.close(START_MS + 1_000)
    const packets = readOgg(sink.bytes).slice(2).flatMap((page) => page.packets)
    const { createDecoder } = await import('libopus-wasm')
    const decoder = await createDecoder({ channels: 2, sampleRate: RATE })
    const stereo = packets.slice(10, 40).flatMap((packet) => [...decoder.decode(packet)])
    const power = (side: number): number => stereo.filter((_, i) => i % 2 === side).reduce((sum, value) => sum + value * value, 0)
    expect(10 * Math.log10(power(0) / Math.max(1, power(1)))).toBeGreaterThan(25)
    expect(Math.sqrt(power(0) / (stereo.length / 2))).toBeGreaterThan(7_000)
    expect((await openDecoder({ encoding: 'opus', sampleRateHz: 48_000 })).decode(packets[20]!).length).toBe(960)
  })
})

describe('the place of a sender\'s timestamps in the call', () => {
  it('is steady against jitter, and follows a clock that runs away', () => {
    const anchor = new StreamAnchor()
    const at = (n: number, driftPerHourMs: number): number => anchor.place(n * 20, START_MS + n * 20 + (n % 7) * 9 + (n * 20 * driftPerHourMs) / 3_600_000)
    expect([at(0, 0), at(1, 0), at(2, 0), at(1_000, 0)].map((ms) => ms - START_MS)).toEqual([0, 20, 40, 20_000])
    let worst = 0
    for (let n = 1_000; n < 180_000; n++) worst = Math.max(worst, Math.abs(at(n, 360) - START_MS - n * 20 - (n * 20 * 360) / 3_600_000))
    expect(worst).toBeLessThan(45)
  })

  it('begins anew when the sender does', () => {
    const anchor = new StreamAnchor()
    anchor.place(1_000_000, 10)
    anchor.restart()
    expect(anchor.place(0, 500)).toBe(500)
  })
})
