import fc from 'fast-check'
import { afterEach, describe, expect, it } from 'vitest'
import { decode, encode, frameBytes, resample, type LineFormat } from './format.ts'
import { Network, Way } from './network.ts'
import { Playout } from './playout.ts'
import { forSale } from './shop.ts'
import { stereoWav, Track } from './track.ts'
import { readVerbs, type VerbError } from './verbs.ts'
import { Wheel } from './wheel.ts'
import { readWav } from '../speech/sound.ts'

const SEED = 20_261_121

describe('playout', () => {
  type Act = { push: number } | { mark: true } | { clear: true } | { pull: number }
  const acts: fc.Arbitrary<Act[]> = fc.array(
    fc.oneof(fc.record({ push: fc.integer({ min: 1, max: 700 }) }), fc.record({ mark: fc.constant(true as const) }), fc.record({ clear: fc.constant(true as const) }), fc.record({ pull: fc.integer({ min: 1, max: 6 }) })),
    { maxLength: 60 },
  )

  it('plays every byte once and in order, and gives every mark back once: when all before it was played, or cleared', () => {
    fc.assert(
      fc.property(acts, (script) => {
        const playout = new Playout(160, 0xff)
        const [frame, waiting, returned, made] = [Buffer.alloc(160), [] as number[], [] as string[], [] as string[]]
        /** Bytes that were pushed before a mark and are not played yet. */
        const before = new Map<string, number>()
        let next = 1
        for (const act of script) {
          if ('push' in act) {
            const bytes = Buffer.from(Array.from({ length: act.push }, () => (next = (next % 250) + 1)))
            waiting.push(...bytes)
            playout.push(bytes)
          } else if ('mark' in act) {
            const name = `m${made.length}`
            made.push(name)
            before.set(name, waiting.length)
            if (playout.mark(name)) returned.push(name)
            expect(returned.includes(name)).toBe(waiting.length === 0)
          } else if ('clear' in act) {
            returned.push(...playout.clear())
            waiting.length = 0
            expect(returned).toEqual(made)
          } else {
            for (let turn = 0; turn < act.pull; turn++) {
              const sound = playout.pull(frame)
              const played = waiting.splice(0, 160)
              expect([...frame.subarray(0, sound)]).toEqual(played)
              expect(frame.subarray(sound).every((byte) => byte === 0xff)).toBe(true)
              for (const [name, left] of before) before.set(name, left - played.length)
              for (const name of playout.takeMarks()) {
                expect(before.get(name)).toBeLessThanOrEqual(0)
                returned.push(name)
              }
            }
          }
          expect(playout.waitingBytes).toBe(waiting.length)
        }
        returned.push(...playout.clear())
        expect(returned).toEqual(made)
      }),
      { numRuns: 500, seed: SEED },
    )
  })
})

describe('lines', () => {
  const formats: LineFormat[] = [{ encoding: 'pcmu', sampleRateHz: 8_000 }, { encoding: 'pcma', sampleRateHz: 8_000 }, { encoding: 'l16be', sampleRateHz: 16_000 }, { encoding: 'l16le', sampleRateHz: 24_000 }]
  const pcm = Int16Array.from({ length: 480 }, (_, index) => Math.round(12_000 * Math.sin(index / 9)))

  it.each(formats)('write what they read: $encoding', (format) => {
    const bytes = encode(pcm, format)
    expect(bytes.length).toBe(format.encoding.startsWith('l16') ? 960 : 480)
    const back = decode(bytes, format)
    for (const [index, sample] of back.entries()) expect(Math.abs(sample - pcm[index]!)).toBeLessThanOrEqual(format.encoding.startsWith('l16') ? 0 : 600)
    // G.711 knows its own values again.
    expect(encode(back, format)).toEqual(bytes)
  })
  it('differ in byte order, and only in it', () => {
    expect(encode(pcm, { encoding: 'l16be', sampleRateHz: 8_000 })).toEqual(Buffer.from(encode(pcm, { encoding: 'l16le', sampleRateHz: 8_000 })).swap16())
  })
  it('have 20 ms a frame', () => expect(formats.map(frameBytes)).toEqual([160, 160, 640, 960]))
  it('keep the length in time when the rate changes', () => {
    for (const [from, to] of [[8_000, 16_000], [16_000, 8_000], [24_000, 8_000], [8_000, 24_000], [48_000, 8_000]] as const) expect(resample(new Int16Array(from), from, to).length).toBe(to)
  })
})

describe('tracks', () => {
  it('stay aligned, are bounded, and come out as a stereo file', () => {
    const format: LineFormat = { encoding: 'pcmu', sampleRateHz: 8_000 }
    const [left, right] = [new Track(format, 200), new Track(format, 200)]
    const loud = encode(new Int16Array(160).fill(8_000), format)
    for (let frame = 0; frame < 30; frame++) {
      left.append(frame < 5 ? loud : null)
      right.append(frame < 5 ? null : loud)
    }
    expect([left.frames, right.frames]).toEqual([10, 10])
    const wav = stereoWav(left, right)
    expect([wav.readUInt16LE(22), wav.readUInt32LE(24), wav.readUInt32LE(28), wav.readUInt16LE(32)]).toEqual([2, 8_000, 32_000, 4])
    expect(wav.length).toBe(44 + 10 * 160 * 4)
    const sound = readWav(wav)!.pcm
    expect(sound.slice(0, 800).every((sample) => sample > 7_000)).toBe(true)
    expect(sound.slice(800).every((sample) => sample === 0)).toBe(true)
  })
})

describe('documents', () => {
  it('are read with their escapes, attributes and nesting', () => {
    const [connect, say] = readVerbs('<?xml version="1.0"?><!-- hi --><Response><Connect action="/a?b=1&amp;c=2"><Stream url="wss://x/y"><Parameter name="n&lt;" value="&quot;&#10;v"/></Stream></Connect><Say voice="v"> one &amp; two </Say></Response>')
    expect(connect).toMatchObject({ name: 'Connect', attributes: { action: '/a?b=1&c=2' }, children: [{ name: 'Stream', children: [{ name: 'Parameter', attributes: { name: 'n<', value: '"\nv' } }] }] })
    expect(say).toMatchObject({ name: 'Say', text: 'one & two', attributes: { voice: 'v' } })
    expect(readVerbs('<Response/>')).toEqual([])
  })
  it.each([['', '12100'], ['hello', '12100'], ['<Response><Say></Response>', '12100'], ['<Reply/>', '12200'], [`<Response>${'x'.repeat(70_000)}</Response>`, '11750']])('are refused with the carrier’s own code: %#', (text, code) => {
    expect(() => readVerbs(text)).toThrow(expect.objectContaining({ code }) as VerbError)
  })
})

describe('time', () => {
  const wheels: Wheel[] = []
  const wheel = () => {
    const made = new Wheel()
    wheels.push(made)
    return made
  }
  afterEach(() => wheels.splice(0).forEach((made) => made.close()))

  it('runs timers in the order of their deadlines, and none that was cancelled', async () => {
    const [clock, order] = [wheel(), [] as string[]]
    const done = new Promise<void>((resolve) => void clock.after(60, () => resolve()))
    clock.after(40, () => order.push('third'))
    clock.after(1, () => order.push('first'))
    clock.after(20, () => order.push('second'))
    clock.after(25, () => order.push('never'))()
    await done
    expect(order).toEqual(['first', 'second', 'third'])
  })
  it('ticks every 20 ms by deadline: the deadlines do not drift, however late the timer is', async () => {
    const [clock, deadlines] = [wheel(), [] as number[]]
    await new Promise<void>((resolve) => clock.add({ tick: (nowMs) => void (deadlines.push(nowMs) === 8 && resolve()) }))
    for (const [index, deadline] of deadlines.entries()) expect(deadline - deadlines[0]!).toBeCloseTo(index * 20, 3)
  })
  it('spreads calls over the steps of a frame', async () => {
    const [clock, seen] = [wheel(), new Map<number, number>()]
    await new Promise<void>((resolve) => {
      for (let call = 0; call < 4; call++) clock.add({ tick: (nowMs) => void (seen.set(call, nowMs % 20), seen.size === 4 && resolve()) })
    })
    expect(new Set([...seen.values()].map((value) => Math.round(value))).size).toBe(4)
  })
})

describe('a network', () => {
  const frames = Array.from({ length: 200 }, (_, index) => String(index))
  const over = async (network: Partial<Network>) => {
    const [wheel, got] = [new Wheel(), [] as string[]]
    const way = new Way(wheel, (frame) => got.push(frame))
    way.set(Network.parse(network))
    for (const frame of frames) way.send(frame)
    way.sendInOrder('end')
    while (got.at(-1) !== 'end') await wheel.wait(5)
    wheel.close()
    return { got: got.slice(0, -1), way }
  }

  it('without faults changes nothing', async () => expect((await over({})).got).toEqual(frames))
  it('that delays and jitters keeps the order', async () => expect((await over({ delay_ms: 20, jitter_ms: 30 })).got).toEqual(frames))
  it('that loses loses what it says, the same every time', async () => {
    const { got, way } = await over({ loss: 0.25, seed: 9 })
    expect(got.length + way.lost).toBe(200)
    expect(way.lost).toBeGreaterThan(20)
    expect((await over({ loss: 0.25, seed: 9 })).got).toEqual(got)
  })
  it('that reorders swaps neighbours and keeps all of them', async () => {
    const { got, way } = await over({ reorder: 0.3, seed: 4 })
    expect(got.toSorted((a, b) => Number(a) - Number(b))).toEqual(frames)
    expect(way.swapped).toBeGreaterThan(20)
    for (const [index, frame] of got.entries()) expect(Math.abs(Number(frame) - index)).toBeLessThanOrEqual(1)
  })
})

describe('numbers for sale', () => {
  it('are of the area and the pattern that was asked for', () => {
    expect(forSale({ areaCode: '415' }, 3)).toEqual(['+14155550100', '+14155550101', '+14155550102'])
    expect(forSale({ contains: '55501*7' }, 2).every((number) => /55501\d7/.test(number))).toBe(true)
    expect(forSale({ contains: '((((' }, 1)).toHaveLength(1)
  })
})
