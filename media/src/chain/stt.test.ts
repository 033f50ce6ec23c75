import { Breakers } from '@trunkline/core'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { ManualClock } from '../playout/testing.ts'
import type { SpeechUsage, SttEngine, SttEvent, SttOptions, SttStream } from '../stt/contract.ts'
import type { Failover } from './contract.ts'
import { createSttChain } from './stt.ts'
import type { EarScript } from './testing.ts'
import { PAUSE_SAMPLES, RATE, WORD_SAMPLES, fakeEar, wordSound } from './testing.ts'

const options = (more: Partial<SttOptions> = {}): SttOptions => ({ sampleRateHz: RATE, language: null, keyterms: [], signal: new AbortController().signal, ...more })

function chainOf(engines: SttEngine[]) {
  const clock = new ManualClock()
  const breakers = new Breakers(clock)
  const usages: SpeechUsage[] = []
  const failovers: Failover[] = []
  const chain = createSttChain(engines, { breakers, clock, onUsage: (usage) => usages.push(usage), onFailover: (failover) => failovers.push(failover) })
  return { chain, breakers, clock, usages, failovers }
}
const turn = () => new Promise((resolve) => setImmediate(resolve))

/** Talks as a caller does: words in frames with pauses, `finish` behind some of them; then waits for the last `finished`. */
async function talk(stream: SttStream, words: number, finishes: ReadonlySet<number>, frame: number, breathe: ReadonlySet<number>): Promise<SttEvent[]> {
  const events: SttEvent[] = []
  let owed = [...finishes].filter((word) => word < words).length + 1
  const reading = (async () => {
    for await (const event of stream.events) {
      events.push(event)
      if (event.type === 'failed' || (event.type === 'finished' && --owed === 0)) return
    }
  })()
  for (let word = 0; word < words; word++) {
    const sound = Int16Array.from([...wordSound(word), ...new Int16Array(PAUSE_SAMPLES)])
    for (let at = 0; at < sound.length; at += frame) {
      // The frame's memory is used again by its owner.
      const memory = sound.slice(at, at + frame)
      stream.push(memory)
      memory.fill(-1)
      if (breathe.has(at / frame + word)) await turn()
    }
    if (finishes.has(word)) stream.finish()
  }
  stream.finish()
  await reading
  return events
}
const textOf = (events: readonly SttEvent[]) => events.flatMap((event) => (event.type === 'final' ? event.text.split(' ') : []))
const expected = (words: number) => Array.from({ length: words }, (_, word) => `w${word}`)

const script: fc.Arbitrary<EarScript> = fc.record({ failAfter: fc.nat(60), code: fc.constantFrom('cut', 'silent', 'timeout', 'unavailable', 'credentials', 'rate_limited'), eager: fc.boolean(), late: fc.nat(3) })
const calm: fc.Arbitrary<EarScript> = fc.record({ failAfter: fc.constant(Infinity), code: fc.constant('cut' as const), eager: fc.boolean(), late: fc.nat(3) })

describe('a chain of recognisers', () => {
  it('loses no word and doubles none, whenever engines fail', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(script, { maxLength: 3 }), fc.array(script, { maxLength: 3 }), calm, fc.integer({ min: 1, max: 8 }), fc.constantFrom(160, 400, 1_000, 2_400), fc.uniqueArray(fc.nat(7)), fc.uniqueArray(fc.nat(15)), async (first, second, last, words, frame, finishes, breathe) => {
        const { chain } = chainOf([fakeEar('a', [...first]), fakeEar('b', [...second]), fakeEar('c', Array.from({ length: 9 }, () => last))])
        const stream = chain.open(options())
        const events = await talk(stream, words, new Set(finishes), frame, new Set(breathe))
        expect(textOf(events)).toEqual(expected(words))
        expect(stream.close().audioMs).toBe(Math.round((words * (WORD_SAMPLES + PAUSE_SAMPLES) * 1_000) / RATE))
      }),
      { numRuns: 300 },
    )
  })

  it('times count from the first sample of the chain, not of the engine', async () => {
    const { chain } = chainOf([fakeEar('a', [{ failAfter: 20, code: 'cut', eager: true, late: 0 }]), fakeEar('b', [])])
    const stream = chain.open(options())
    const events = await talk(stream, 6, new Set(), 160, new Set([0, 5, 10]))
    const ends = events.flatMap((event) => (event.type === 'final' ? [event.endMs] : []))
    expect(ends).toEqual(ends.toSorted((a, b) => a - b))
    const lengthMs = (6 * (WORD_SAMPLES + PAUSE_SAMPLES) * 1_000) / RATE
    expect(ends.at(-1)).toBeLessThanOrEqual(lengthMs)
    expect(ends.at(-1)).toBeGreaterThan(lengthMs - (PAUSE_SAMPLES * 1_000) / RATE - 10)
  })

  it('answers each finish once, in order', async () => {
    const { chain } = chainOf([fakeEar('a', [{ failAfter: Infinity, code: 'cut', eager: false, late: 2 }])])
    const stream = chain.open(options())
    const events = await talk(stream, 3, new Set([0, 1, 2]), 2_400, new Set())
    expect(textOf(events)).toEqual(expected(3))
    expect(events.map((event) => (event.type === 'final' ? event.text : event.type)).filter((what) => what !== 'partial')).toEqual(['w0', 'finished', 'w1', 'finished', 'w2', 'finished', 'finished'])
  })

  it('tells who failed and who took over, and each engine\'s use once', async () => {
    const { chain, usages, failovers } = chainOf([fakeEar('a', [{ failAfter: 0, code: 'unavailable', eager: true, late: 0 }]), fakeEar('b', [])])
    const stream = chain.open(options())
    expect(textOf(await talk(stream, 2, new Set(), 800, new Set([0])))).toEqual(expected(2))
    stream.close()
    expect(usages.map(({ engine }) => engine)).toEqual(['a', 'b'])
    expect(failovers).toMatchObject([{ kind: 'stt', from: 'a', to: 'b', failure: { code: 'unavailable' } }])
  })

  it('one engine alone is connected again after a cut', async () => {
    const ear = fakeEar('a', [{ failAfter: 3, code: 'cut', eager: true, late: 0 }])
    const { chain } = chainOf([ear])
    expect(textOf(await talk(chain.open(options()), 4, new Set(), 400, new Set([1])))).toEqual(expected(4))
    expect(ear.opened).toBe(2)
  })

  it('fails when nobody is left, with the last reason, and does not try keys that were refused again', async () => {
    const always = (code: EarScript['code']): EarScript[] => Array.from({ length: 9 }, () => ({ failAfter: 0, code, eager: true, late: 0 }))
    const [first, second] = [fakeEar('a', always('credentials')), fakeEar('b', always('silent'))]
    const { chain, usages } = chainOf([first, second])
    const stream = chain.open(options())
    expect((await talk(stream, 2, new Set(), 800, new Set([0, 1, 2, 3]))).at(-1)).toMatchObject({ type: 'failed', failure: { code: 'silent' } })
    expect([first.opened, second.opened]).toEqual([1, 2])
    expect(stream.close().outcome).toBe('failed')
    expect(usages).toHaveLength(3)
  })

  it('leaves an engine out after five failures, and lets one call try it 30 s later', async () => {
    const first = fakeEar('a', Array.from({ length: 5 }, () => ({ failAfter: 0, code: 'cut' as const, eager: true, late: 0 })))
    const { chain, breakers, clock } = chainOf([first, fakeEar('b', [])])
    const call = async () => {
      const stream = chain.open(options())
      await talk(stream, 1, new Set(), 800, new Set([0]))
      stream.close()
    }
    for (let n = 0; n < 7; n++) await call()
    expect(first.opened).toBe(5)
    expect(breakers.state('stt a')).toBe('open')
    expect(chain.finalP99Ms).toBe(1)
    clock.pass(30_000)
    await call()
    expect(first.opened).toBe(6)
    expect(breakers.state('stt a')).toBe('closed')
  })

  it('one tenant\'s bad key does not close an engine for the others', async () => {
    const first = fakeEar('a', Array.from({ length: 9 }, () => ({ failAfter: 0, code: 'credentials' as const, eager: true, late: 0 })))
    const { chain, breakers } = chainOf([first, fakeEar('b', [])])
    for (let n = 0; n < 8; n++) await talk(chain.open(options()), 1, new Set(), 800, new Set([0]))
    expect([first.opened, breakers.state('stt a')]).toEqual([8, 'closed'])
  })

  it('keeps no more than the last seconds, so a failure after long unheard speech replays only those', async () => {
    const never: EarScript = { failAfter: 200, code: 'silent', eager: false, late: 0 }
    const { chain, failovers } = chainOf([fakeEar('a', [never]), fakeEar('b', [])])
    const stream = chain.open(options())
    const events = await talk(stream, 120, new Set(), 2_400, new Set())
    expect(failovers[0]!.replayed.ms).toBeLessThanOrEqual(30_000)
    expect(textOf(events).at(-1)).toBe('w119')
  })

  it('silence is not kept: a failure after it replays a second', async () => {
    const { chain, failovers } = chainOf([fakeEar('a', [{ failAfter: 400, code: 'cut', eager: true, late: 0 }]), fakeEar('b', [])])
    const stream = chain.open(options())
    for (let frame = 0; frame < 250; frame++) stream.push(new Int16Array(160))
    await turn()
    expect(textOf(await talk(stream, 1, new Set(), 160, new Set([0])))).toEqual(['w0'])
    expect(failovers).toHaveLength(1)
    expect(failovers[0]!.replayed.ms).toBeLessThan(1_500)
  })

  it('called off, it opens nobody else and tells nothing', async () => {
    const abort = new AbortController()
    const ear = fakeEar('a', [])
    const { chain, usages } = chainOf([ear])
    const stream = chain.open(options({ signal: abort.signal }))
    stream.push(wordSound(1))
    abort.abort()
    const events: SttEvent[] = []
    for await (const event of stream.events) events.push(event)
    expect([events, stream.close().outcome, usages.length]).toEqual([[], 'aborted', 1])
    expect(chain.open(options({ signal: AbortSignal.abort() })).close().outcome).toBe('aborted')
    expect(ear.opened).toBe(1)
  })
})
