import { Breakers } from '@trunkline/core'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { ManualClock } from '../playout/testing.ts'
import type { SpeechUsage } from '../stt/contract.ts'
import type { SpokenSpan, TtsEngine, TtsEvent, TtsOptions, TtsStream } from '../tts/contract.ts'
import type { Failover } from './contract.ts'
import type { MouthScript } from './testing.ts'
import { RATE, WORD_SAMPLES, fakeMouth, runsOf } from './testing.ts'
import { createTtsChain } from './tts.ts'

/** Less of a word is not understood as one. */
const AUDIBLE_SAMPLES = 0.12 * RATE
const options = (more: Partial<TtsOptions> = {}): TtsOptions => ({ voice: 'v', speed: 1, language: 'en', sampleRateHz: RATE, signal: new AbortController().signal, ...more })

function chainOf(engines: TtsEngine[]) {
  const clock = new ManualClock()
  const breakers = new Breakers(clock)
  const usages: SpeechUsage[] = []
  const failovers: Failover[] = []
  const chain = createTtsChain(engines, { breakers, clock, onUsage: (usage) => usages.push(usage), onFailover: (failover) => failovers.push(failover) })
  return { chain, breakers, clock, usages, failovers }
}
async function all(stream: TtsStream): Promise<TtsEvent[]> {
  const events: TtsEvent[] = []
  for await (const event of stream.events) events.push(event)
  return events
}
const soundOf = (events: readonly TtsEvent[]) => Int16Array.from(events.flatMap((event) => (event.type === 'audio' ? [...event.pcm] : [])))
const spansOf = (events: readonly TtsEvent[]) => events.flatMap((event) => (event.type === 'spans' ? event.spans : []))
const wordsOf = (events: readonly TtsEvent[]) => runsOf(soundOf(events)).map(([word]) => word)
const textOf = (words: number) => Array.from({ length: words }, (_, word) => `w${word}`).join(' ')
const upTo = (words: number) => Array.from({ length: words }, (_, word) => word)
async function say(chain: TtsEngine, text: string): Promise<TtsEvent[]> {
  const stream = chain.speak(options())
  for (const piece of text.match(/.{1,7}/gs) ?? []) stream.write(piece)
  stream.end()
  const events = await all(stream)
  stream.close()
  return events
}

const script = (spans: MouthScript['spans']): fc.Arbitrary<MouthScript> => fc.record({ failAfter: fc.nat(40), code: fc.constantFrom('cut', 'silent', 'timeout', 'credentials'), spans: fc.constant(spans), pieceSamples: fc.integer({ min: 160, max: 5_000 }) })
const calm = (spans: MouthScript['spans']): MouthScript => ({ failAfter: Infinity, code: 'cut', spans, pieceSamples: 900 })

describe('a chain of voices', () => {
  it('with measured words says each of them once and whole, whenever engines fail', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(script('measured'), { maxLength: 3 }), fc.array(script('measured'), { maxLength: 3 }), fc.integer({ min: 1, max: 12 }), async (first, second, words) => {
        const off: MouthScript = { ...calm('measured'), failAfter: 0 }
        const { chain } = chainOf([fakeMouth('a', [calm('measured'), off, off, ...first]), fakeMouth('b', [calm('measured'), off, ...second]), fakeMouth('c', [])])
        // Each speaks once, so that the chain knows that they tell their words in time.
        for (let lesson = 0; lesson < 3; lesson++) await say(chain, 'w1')
        const events = await say(chain, textOf(words))
        expect(events.at(-1)).toEqual({ type: 'done' })
        expect(wordsOf(events)).toEqual(upTo(words))
      }),
      { numRuns: 200 },
    )
  })

  it.each(['measured', 'estimated', 'late'] as const)('with %s words says nothing twice and keeps the order, whenever engines fail', async (spans) => {
    await fc.assert(
      fc.asyncProperty(fc.array(script(spans), { maxLength: 3 }), fc.array(script(spans), { maxLength: 3 }), fc.integer({ min: 1, max: 12 }), async (first, second, words) => {
        const { chain } = chainOf([fakeMouth('a', [...first]), fakeMouth('b', [...second]), fakeMouth('c', [])])
        const events = await say(chain, textOf(words))
        const said = runsOf(soundOf(events)).filter(([, samples]) => samples > AUDIBLE_SAMPLES).map(([word]) => word)
        expect(said).toEqual([...new Set(said)].toSorted((a, b) => a - b))
        expect(events.at(-1)).toEqual({ type: 'done' })
      }),
      { numRuns: 150 },
    )
  })

  it('a word of known habit is given away only when it is whole', async () => {
    const { chain } = chainOf([fakeMouth('a', [calm('measured'), { failAfter: 9, code: 'cut', spans: 'measured', pieceSamples: 700 }]), fakeMouth('b', [])])
    await say(chain, 'w1')
    const events = await say(chain, textOf(5))
    expect(runsOf(soundOf(events))).toEqual(upTo(5).map((word) => [word, WORD_SAMPLES]))
  })

  it('spans tell where each word lies in the text and in the sound of the whole', async () => {
    const { chain } = chainOf([fakeMouth('a', [calm('measured'), { failAfter: 12, code: 'cut', spans: 'measured', pieceSamples: 700 }]), fakeMouth('b', [])])
    await say(chain, 'w1')
    const [text, events] = [textOf(6), await say(chain, textOf(6))]
    const sound = soundOf(events)
    const spans: SpokenSpan[] = spansOf(events)
    expect(spans.map(({ charStart, charEnd }) => text.slice(charStart, charEnd))).toEqual(text.split(' '))
    for (const [word, { startMs, endMs }] of spans.entries()) expect(runsOf(sound.subarray((startMs / 1_000) * RATE, (endMs / 1_000) * RATE))).toEqual([[word, WORD_SAMPLES]])
  })

  it('text that comes after the failure goes to the next engine', async () => {
    const { chain } = chainOf([fakeMouth('a', [{ failAfter: 0, code: 'cut', spans: 'measured', pieceSamples: 700 }]), fakeMouth('b', [])])
    const stream = chain.speak(options())
    const events = all(stream)
    stream.write('w0 ')
    await new Promise((resolve) => setImmediate(resolve))
    stream.write('w1')
    stream.end()
    expect(wordsOf(await events)).toEqual([0, 1])
    expect(stream.close()).toMatchObject({ engine: 'b', outcome: 'ok', characters: 5 })
  })

  it('all down: one failure, its reason told, and nothing else', async () => {
    const always = (code: MouthScript['code']): MouthScript[] => Array.from({ length: 9 }, () => ({ failAfter: 0, code, spans: 'measured', pieceSamples: 700 }))
    const { chain, failovers, usages } = chainOf([fakeMouth('a', always('unavailable')), fakeMouth('b', always('credentials'))])
    expect(await say(chain, 'w0')).toEqual([{ type: 'failed', failure: { code: 'unavailable', message: 'scripted', requestId: null } }])
    expect(failovers.map(({ from, to }) => [from, to])).toEqual([['a', 'b'], ['b', 'a'], ['a', null]])
    expect(usages).toHaveLength(3)
  })

  it('with every breaker open it fails at once, as unavailable', async () => {
    const { chain, breakers } = chainOf([fakeMouth('a', [])])
    for (let n = 0; n < 5; n++) breakers.enter('tts a')!.failed()
    expect(await say(chain, 'w0')).toMatchObject([{ type: 'failed', failure: { code: 'unavailable' } }])
  })

  it('an engine that breaks off after the last word has said everything', async () => {
    const { chain } = chainOf([fakeMouth('a', [{ failAfter: 2, code: 'cut', spans: 'measured', pieceSamples: 9_000 }])])
    const events = await say(chain, 'w0')
    expect([wordsOf(events), events.at(-1)]).toEqual([[0], { type: 'done' }])
  })

  it('each engine speaks with its own voice', async () => {
    const voices: string[] = []
    const listening = (mouth: TtsEngine): TtsEngine => ({ ...mouth, speak: (given) => (voices.push(given.voice), mouth.speak(given)) })
    const failing = fakeMouth('a', [{ failAfter: 0, code: 'cut', spans: 'measured', pieceSamples: 1 }])
    const chain = createTtsChain([listening(failing), { engine: listening(fakeMouth('b', [])), voice: 'theirs' }], { breakers: new Breakers(new ManualClock()) })
    await say(chain, 'w0')
    expect(voices).toEqual(['v', 'theirs'])
  })

  it('called off, it falls silent at once and opens nobody else', async () => {
    const abort = new AbortController()
    const { chain, usages } = chainOf([fakeMouth('a', []), fakeMouth('b', [])])
    const stream = chain.speak(options({ signal: abort.signal }))
    stream.write(textOf(20))
    stream.end()
    const events: TtsEvent[] = []
    for await (const event of stream.events) {
      events.push(event)
      if (events.length === 3) abort.abort()
    }
    expect(events).toHaveLength(3)
    expect(stream.close().outcome).toBe('aborted')
    expect(usages.map(({ engine }) => engine)).toEqual(['a'])
  })
})
