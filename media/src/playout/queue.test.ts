import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { PlayoutQueue } from './queue.ts'
import type { PlayoutQueueOptions, Segment } from './queue.ts'

const FRAME = 160
const setup = (options: Partial<PlayoutQueueOptions> = {}): PlayoutQueue => new PlayoutQueue({ sampleRateHz: 8_000, ...options })
const out = new Int16Array(FRAME)

/** Samples that tell where they come from: 1, 2, 3... */
const ramp = (samples: number, from = 0): Int16Array => Int16Array.from({ length: samples }, (_, i) => 1 + ((from + i) % 30_000))

type Taken = { kind: string; segments: Segment[]; pcm: Int16Array }
function take(queue: PlayoutQueue): Taken {
  const { kind, segments, segmentCount } = queue.next(out)
  return { kind, segments: segments.slice(0, segmentCount).map((segment) => ({ ...segment })), pcm: out.slice() }
}

function takeAll(queue: PlayoutQueue, limit = 1_000): Taken[] {
  const frames: Taken[] = []
  for (let frame = take(queue); frame.kind === 'speech' && frames.length < limit; frame = take(queue)) frames.push(frame)
  return frames
}

describe('playout queue', () => {
  it('plays every sample of every utterance once and in order, in whole frames, however it came', () => {
    const utterance = fc.array(fc.integer({ min: 0, max: 700 }), { maxLength: 6 })
    fc.assert(
      fc.property(fc.array(utterance, { minLength: 1, maxLength: 6 }), fc.array(fc.boolean(), { maxLength: 40 }), (utterances, takes) => {
        const queue = setup()
        const got: Taken[] = []
        let turn = 0
        for (const [n, pieces] of utterances.entries()) {
          let from = 0
          for (const size of pieces) {
            queue.enqueue(`u${n}`, ramp(size, from))
            from += size
            if (takes[turn++ % takes.length]) got.push(take(queue))
          }
          queue.end(`u${n}`)
        }
        got.push(...takeAll(queue))
        for (const [n, pieces] of utterances.entries()) {
          const length = pieces.reduce((a, b) => a + b, 0)
          const segments = got.flatMap((frame) => frame.segments).filter(({ utteranceId }) => utteranceId === `u${n}`)
          expect(segments.reduce((at, { fromSample, samples }) => (expect(fromSample).toBe(at), at + samples), 0)).toBe(length)
        }
        for (const frame of got) {
          const carried = frame.segments.flatMap(({ fromSample, samples }) => [...ramp(samples, fromSample)])
          expect([...frame.pcm]).toEqual([...carried, ...Array.from({ length: FRAME - carried.length }, () => 0)])
        }
      }),
    )
  })

  it('holds back the beginning of a frame whose rest has not come, and says that it starves', () => {
    const queue = setup()
    queue.enqueue('a', ramp(200))
    expect(take(queue).kind).toBe('speech')
    expect(take(queue).kind).toBe('starved')
    queue.enqueue('a', ramp(120, 200))
    expect(take(queue).segments).toEqual([{ utteranceId: 'a', fromSample: 160, samples: 160 }])
  })

  it('does not starve before the first sound, nor after the end', () => {
    const queue = setup()
    queue.enqueue('a', ramp(100))
    expect(take(queue).kind).toBe('none')
    queue.end('a')
    expect(take(queue).kind).toBe('speech')
    expect(take(queue).kind).toBe('none')
  })

  it('pads the last frame with silence, or goes on with the next utterance', () => {
    const queue = setup()
    queue.enqueue('a', ramp(60))
    queue.end('a')
    queue.enqueue('b', ramp(160))
    expect(take(queue).segments).toEqual([{ utteranceId: 'a', fromSample: 0, samples: 60 }, { utteranceId: 'b', fromSample: 0, samples: 100 }])
    queue.end('b')
    const last = take(queue)
    expect([last.segments, [...last.pcm.subarray(60)]]).toEqual([[{ utteranceId: 'b', fromSample: 100, samples: 60 }], Array.from({ length: 100 }, () => 0)])
  })

  it('pauses and resumes to the sample', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 20 }), fc.integer({ min: 1, max: 5 }), (before, held) => {
        const queue = setup()
        queue.enqueue('a', ramp(8_000))
        queue.end('a')
        for (let n = 0; n < before; n++) take(queue)
        queue.pause()
        for (let n = 0; n < held; n++) expect(take(queue).kind).toBe('none')
        queue.resume()
        expect(take(queue).segments[0]!.fromSample).toBe(before * FRAME)
      }),
    )
  })

  it('cut drops everything at once; sound of cut utterances that comes late is refused', () => {
    const queue = setup()
    queue.enqueue('a', ramp(800))
    queue.enqueue('b', ramp(800))
    take(queue)
    expect(queue.cut()).toEqual(['a', 'b'])
    expect([take(queue).kind, queue.generation, queue.queuedMs]).toEqual(['none', 1, 0])
    expect([queue.enqueue('a', ramp(160)), queue.enqueue('b', ramp(160)), queue.enqueue('c', ramp(160))]).toEqual(['stale', 'stale', 'queued'])
    expect(queue.end('a')).toBeNull()
    expect(take(queue).segments[0]!.utteranceId).toBe('c')
  })

  it('cut ends a pause: what comes after it is heard', () => {
    const queue = setup()
    queue.pause()
    queue.cut()
    queue.enqueue('a', ramp(160))
    expect(take(queue).kind).toBe('speech')
  })

  it('refuses sound of an utterance that has ended', () => {
    const queue = setup()
    queue.enqueue('a', ramp(160))
    expect(queue.end('a')).toBe(160)
    expect(queue.enqueue('a', ramp(160))).toBe('stale')
  })

  it('drops one utterance and goes on with the next', () => {
    const queue = setup()
    queue.enqueue('filler', ramp(8_000))
    queue.enqueue('answer', ramp(160))
    take(queue)
    expect([queue.drop('filler'), queue.drop('filler'), queue.drop('nobody')]).toEqual([true, false, false])
    expect(take(queue).segments).toEqual([{ utteranceId: 'answer', fromSample: 0, samples: 160 }])
  })

  it('rewinds to any sample within its history, over the border of utterances, and plays the same again', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 900 }), { minLength: 1, maxLength: 4 }), fc.nat(20), fc.nat(), (lengths, taken, pick) => {
        const queue = setup({ historyMs: 60_000 })
        for (const [n, length] of lengths.entries()) {
          queue.enqueue(`u${n}`, ramp(length))
          queue.end(`u${n}`)
        }
        const straight = setup()
        for (const [n, length] of lengths.entries()) {
          straight.enqueue(`u${n}`, ramp(length))
          straight.end(`u${n}`)
        }
        const first = Array.from({ length: taken }, () => take(queue))
        const segments = first.flatMap((frame) => frame.segments)
        fc.pre(segments.length > 0)
        const target = segments[pick % segments.length]!
        expect(queue.rewind(target.utteranceId, target.fromSample)).toBe(true)
        const flat = (frames: Taken[]): string[] => frames.flatMap((frame) => frame.segments).flatMap((s) => Array.from({ length: s.samples }, (_, i) => `${s.utteranceId}.${s.fromSample + i}`))
        const all = flat(takeAll(straight))
        expect(flat(takeAll(queue))).toEqual(all.slice(all.indexOf(`${target.utteranceId}.${target.fromSample}`)))
      }),
    )
  })

  it('keeps no more history than it was told, and says so', () => {
    const queue = setup({ historyMs: 100 })
    for (let n = 0; n < 50; n++) queue.enqueue('a', ramp(160, n * 160))
    for (let n = 0; n < 40; n++) take(queue)
    expect(queue.rewind('a', 35 * 160)).toBe(true)
    for (let n = 0; n < 5; n++) take(queue)
    expect(queue.rewind('a', 0)).toBe(false)
    expect(queue.rewind('nobody', 0)).toBe(false)
    expect(queue.rewind('a', 49 * 160)).toBe(false)
  })

  it('is bounded, and tells when there is room again', () => {
    let rooms = 0
    const queue = setup({ maxQueuedMs: 200, onRoom: () => rooms++ })
    expect([queue.enqueue('a', ramp(1_600)), queue.enqueue('a', ramp(1))]).toEqual(['queued', 'full'])
    for (let n = 0; n < 4; n++) take(queue)
    expect(rooms).toBe(0)
    take(queue)
    expect(rooms).toBe(1)
    expect(queue.enqueue('a', ramp(160))).toBe('queued')
  })

  it('ducks within one frame without a jump, and comes back exactly', () => {
    const queue = setup()
    queue.enqueue('a', new Int16Array(FRAME * 10).fill(10_000))
    take(queue)
    queue.duck(-20)
    const ramping = [...take(queue).pcm]
    expect(Math.max(...ramping.slice(1).map((value, i) => ramping[i]! - value))).toBeLessThan(60)
    expect(ramping.at(-1)).toBe(1_000)
    expect(new Set(take(queue).pcm)).toEqual(new Set([1_000]))
    queue.duck(0)
    take(queue)
    expect(new Set(take(queue).pcm)).toEqual(new Set([10_000]))
  })

  it('plays a background round and round, lower under speech, and through a pause', () => {
    const queue = setup()
    queue.setBackground({ pcm: new Int16Array(100).fill(8_000), gainDb: 0, underSpeechDb: -20 })
    take(queue)
    expect([take(queue).kind, new Set(out)]).toEqual(['background', new Set([8_000])])
    queue.enqueue('a', new Int16Array(FRAME * 3).fill(2_000))
    take(queue)
    expect([take(queue).kind, new Set(out)]).toEqual(['speech', new Set([2_800])])
    queue.pause()
    take(queue)
    expect([take(queue).kind, new Set(out)]).toEqual(['background', new Set([8_000])])
    queue.setBackground(null)
    expect([take(queue).kind, out[159]]).toEqual(['background', 0])
    expect(take(queue).kind).toBe('none')
  })

  it('clips a mix that is too loud', () => {
    const queue = setup()
    queue.setBackground({ pcm: Int16Array.of(30_000), gainDb: 0, underSpeechDb: 0 })
    take(queue)
    queue.enqueue('a', new Int16Array(FRAME).fill(30_000))
    expect(Math.max(...take(queue).pcm)).toBe(32_767)
  })

  it('tells of work when something can be played', () => {
    let works = 0
    const queue = setup({ onWork: () => works++ })
    queue.enqueue('a', ramp(160))
    queue.pause()
    queue.enqueue('a', ramp(160))
    queue.end('a')
    expect(works).toBe(1)
    queue.resume()
    expect(works).toBe(2)
  })
})
