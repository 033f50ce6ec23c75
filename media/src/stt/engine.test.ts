import { describe, expect, it } from 'vitest'
import { ManualClock } from '../playout/testing.ts'
import type { SpeechUsage, SttEvent, SttOptions, SttStream } from './contract.ts'
import { sttEngine } from './engine.ts'
import type { PartStream, Sink, StreamPart } from './part.ts'

const options = (more: Partial<SttOptions> = {}): SttOptions => ({ sampleRateHz: 8_000, language: null, keyterms: [], signal: new AbortController().signal, ...more })
const LOUD = new Int16Array(160).fill(3_000)
const SILENCE = new Int16Array(160)
const final = (text: string, endMs = 100) => ({ text, confidence: 0.9, words: [], language: 'en', startMs: 0, endMs, endOfTurn: false })

/** An engine around a part whose sink the test holds. */
function open(more: Partial<SttOptions> = {}) {
  const clock = new ManualClock()
  const usages: SpeechUsage[] = []
  const calls: string[] = []
  let sink!: Sink
  const stream: PartStream = { push: () => calls.push('push'), finish: () => calls.push('finish'), close: () => calls.push('close') }
  const part: StreamPart = {
    live: 'stream', id: 'fake', model: 'm', finalP99Ms: 1,
    open: (_options, given) => {
      sink = given
      return stream
    },
    transcribe: () => new Promise(() => undefined),
    failure: () => ({ code: 'cut', message: 'broke off', requestId: null }),
  }
  const engine = sttEngine(part, { clock, onUsage: (usage) => usages.push(usage), deadlines: { openMs: 100, silentMs: 1_000, finalMs: 500, recordingMs: 100 } })
  return { clock, usages, calls, engine, live: engine.open(options(more)), sink: () => sink }
}
async function all(stream: SttStream): Promise<SttEvent[]> {
  const events: SttEvent[] = []
  for await (const event of stream.events) events.push(event)
  return events
}
const feed = ({ live, clock }: ReturnType<typeof open>, pcm: Int16Array, frames: number) => {
  for (let frame = 0; frame < frames; frame++) {
    live.push(pcm)
    clock.pass(20)
  }
}

describe('a live recognition', () => {
  it('that does not connect in time has failed', async () => {
    const call = open()
    call.clock.pass(100)
    expect(await all(call.live)).toMatchObject([{ type: 'failed', failure: { code: 'timeout' } }])
    expect(call.calls).toEqual(['close'])
    expect(call.usages).toMatchObject([{ outcome: 'failed' }])
  })

  it('that is fed speech and gives no sign of life is silent; the same in silence, or unfed, is none', async () => {
    const fed = open()
    fed.sink().opened('r1')
    feed(fed, SILENCE, 200)
    feed(fed, LOUD, 15)
    fed.clock.pass(60_000)
    feed(fed, LOUD, 5)
    expect(fed.usages).toEqual([])
    feed(fed, LOUD, 60)
    expect(await all(fed.live)).toMatchObject([{ type: 'failed', failure: { code: 'silent', requestId: 'r1' } }])
  })

  it('any sign of life, even without words, ends the wait', () => {
    const call = open()
    call.sink().opened(null)
    for (let second = 0; second < 20; second++) {
      feed(call, LOUD, 45)
      call.sink().alive()
    }
    expect(call.usages).toEqual([])
  })

  it('that makes nothing final after finish has failed; one that does has its time measured', async () => {
    const late = open()
    late.sink().opened(null)
    late.live.finish()
    late.clock.pass(500)
    expect(await all(late.live)).toMatchObject([{ type: 'failed', failure: { code: 'timeout' } }])
    const good = open()
    good.sink().opened(null)
    feed(good, LOUD, 10)
    good.live.finish()
    good.clock.pass(80)
    good.sink().final(final('yes'))
    good.sink().finished()
    good.clock.pass(10_000)
    expect(good.live.close()).toMatchObject({ outcome: 'ok', firstResultMs: 80, audioMs: 200 })
    expect(await all(good.live)).toMatchObject([{ type: 'final', text: 'yes' }, { type: 'finished' }])
    expect(good.clock.waiting).toBe(0)
  })

  it('says nothing after its end, whatever the supplier still sends, and is measured once', async () => {
    const call = open()
    call.sink().opened(null)
    call.sink().failed({ code: 'cut', message: 'broke off', requestId: null })
    call.sink().partial('late', null)
    call.sink().final(final('late'))
    call.sink().finished()
    call.sink().failed({ code: 'timeout', message: 'again', requestId: null })
    call.live.push(LOUD)
    call.live.finish()
    expect(await all(call.live)).toMatchObject([{ type: 'failed', failure: { code: 'cut' } }])
    expect(call.live.close().outcome).toBe('failed')
    expect(call.usages).toHaveLength(1)
  })

  it('that was called off before it began opens nothing', async () => {
    const call = open({ signal: AbortSignal.abort() })
    expect(call.sink()).toBeUndefined()
    expect(await all(call.live)).toEqual([])
    expect(call.usages).toMatchObject([{ outcome: 'aborted', audioMs: 0 }])
  })

  it('never has more than a hundred key terms', () => {
    let given = 0
    const part: StreamPart = { live: 'stream', id: 'x', model: 'm', finalP99Ms: 1, open: ({ keyterms }) => ((given = keyterms.length), { push() {}, finish() {}, close() {} }), transcribe: () => new Promise(() => undefined), failure: () => ({ code: 'cut', message: '', requestId: null }) }
    sttEngine(part).open(options({ keyterms: Array.from({ length: 300 }, String) })).close()
    expect(given).toBe(100)
  })
})

describe('a recording', () => {
  it('that nobody answers is given up on and measured', async () => {
    const { engine, clock, usages } = open()
    const heard = engine.transcribe(LOUD, options())
    clock.pass(200)
    await expect(heard).rejects.toMatchObject({ failure: { code: 'timeout' } })
    expect(usages.at(-1)).toMatchObject({ outcome: 'failed', audioMs: 20 })
  })

  it('that is called off is aborted, not failed', async () => {
    const abort = new AbortController()
    const { engine, usages } = open()
    const heard = engine.transcribe(LOUD, options({ signal: abort.signal }))
    abort.abort()
    await expect(heard).rejects.toThrow('broke off')
    expect(usages).toMatchObject([{ outcome: 'aborted' }])
  })
})
