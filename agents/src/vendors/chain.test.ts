import { silentLogger, systemClock } from '@trunkline/core'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { ManualClock, chatText, errorStep, garbage, hang, openaiText, reset, startScriptedVendor } from '../testing/index.ts'
import type { ScriptedVendor, Step } from '../testing/index.ts'
import { Breakers } from './breaker.ts'
import { DEADLINES, askChain, breakerKey } from './chain.ts'
import type { ChainDeps, Delta, Link } from './chain.ts'
import type { ModelRequest } from './contract.ts'
import { createVendors } from './index.ts'

let first: ScriptedVendor
let second: ScriptedVendor
beforeEach(async () => {
  ;[first, second] = await Promise.all([startScriptedVendor(), startScriptedVendor()])
})
afterEach(() => Promise.all([first.close(), second.close()]))

const request = (link: Link): ModelRequest => ({ purpose: 'turn', model: link.model, instructions: 'x', items: [{ type: 'message', role: 'user', text: 'hi' }], tools: [], maxOutputTokens: 50, remember: false })

function setUp(clock = systemClock) {
  const vendors = createVendors(clock)
  const links: Link[] = [
    { vendor: vendors.open('openai', { baseUrl: `${first.origin}/v1`, apiKey: 'a' }), model: 'one' },
    { vendor: vendors.open('compatible', { baseUrl: `${second.origin}/v1`, apiKey: null }), model: 'two' },
  ]
  const deltas: Delta[] = []
  const deps: ChainDeps = { clock, breakers: new Breakers(clock), log: silentLogger, onDelta: (delta) => deltas.push(delta) }
  const ask = (signal = new AbortController().signal) => askChain(request, links, 0, deps, signal)
  return { links, deps, deltas, ask }
}

describe('the chain', () => {
  it('stays with the first vendor when it answers', async () => {
    first.script(openaiText('from the first'))
    const { answer, skipped } = await setUp().ask()
    expect(answer).toMatchObject({ index: 0, text: 'from the first' })
    expect(skipped).toEqual([])
    expect(second.calls()).toHaveLength(0)
  })

  const faults: [string, Step, string][] = [
    ['a 500', errorStep(500, { message: 'x' }), 'server_error'],
    ['a 429 without a usable pause', errorStep(429, { message: 'x', code: 'rate_limit_exceeded' }, { 'retry-after': '60' }), 'rate_limited'],
    ['a torn socket', reset, 'connection'],
    ['garbage', garbage, 'garbage'],
    ['an empty answer', openaiText(''), 'empty'],
    ['a bad key', errorStep(401, { message: 'x', code: 'invalid_api_key' }), 'bad_key'],
    ['a wrong model', errorStep(404, { message: 'x', code: 'model_not_found' }), 'model_not_found'],
    ['a stream cut in mid-sentence', openaiText('This is a half', { stopAfter: { events: 6, how: 'end' } }), 'cut'],
  ]
  for (const [name, step, reason] of faults) {
    it(`goes to the second vendor on ${name}, and says why`, async () => {
      first.script(step)
      second.script(chatText('from the second'))
      const { answer, skipped, usage } = await setUp().ask()
      expect(answer).toMatchObject({ index: 1, text: 'from the second' })
      expect(skipped).toMatchObject([{ vendor: 'openai', model: 'one', reason }])
      expect(usage.map((entry) => [entry.vendor, entry.outcome])).toEqual([['openai', reason === 'empty' ? 'ok' : 'failed'], ['compatible', 'ok']])
    })
  }

  it('never lets a partial text of a failed vendor into the answer, and takes it back from a live listener', async () => {
    first.script(openaiText('Your account number is 1234', { stopAfter: { events: 7, how: 'end' } }))
    second.script(chatText('Good day'))
    const { ask, deltas } = setUp()
    const { answer } = await ask()
    expect(answer!.text).toBe('Good day')
    const discard = deltas.findIndex((delta) => delta.kind === 'discard')
    expect(discard).toBeGreaterThan(0)
    expect(deltas.slice(discard + 1).map((delta) => (delta.kind === 'text' ? delta.text : '')).join('')).toBe('Good day')
  })

  it('answers null when nobody can', async () => {
    first.script(errorStep(500, {}))
    second.script(errorStep(503, {}))
    expect(await setUp().ask()).toMatchObject({ answer: null, skipped: [{ reason: 'server_error' }, { reason: 'server_error' }] })
  })

  it('gives up a vendor that hangs early enough for the next one: in all under five seconds', async () => {
    const clock = new ManualClock()
    first.script(hang)
    second.script(hang)
    const startMs = clock.nowMs()
    const asked = setUp(clock).ask()
    await first.arrived(1)
    const { firstTokenMs, failoverMs, perFollowerMs } = DEADLINES
    clock.advance(Math.min(firstTokenMs, failoverMs - perFollowerMs))
    await second.arrived(1)
    clock.advance(perFollowerMs)
    const { answer, skipped, usage } = await asked
    expect(answer).toBeNull()
    expect(skipped.map((entry) => entry.reason)).toEqual(['timeout', 'timeout'])
    expect(usage.map((entry) => entry.outcome)).toEqual(['failed', 'failed'])
    expect(clock.nowMs() - startMs).toBeLessThan(5_000)
  })

  it('leaves the second vendor what the first one did not use', async () => {
    const clock = new ManualClock()
    first.script(errorStep(500, {}))
    second.script(hang)
    const asked = setUp(clock).ask()
    await second.arrived(1)
    clock.advance(DEADLINES.firstTokenMs - 1)
    expect(await Promise.race([asked.then(() => 'over'), new Promise((resolve) => setImmediate(() => resolve('waiting')))])).toBe('waiting')
    clock.advance(1)
    expect((await asked).skipped[1]).toMatchObject({ reason: 'timeout' })
  })

  it('gives up a vendor that falls silent in mid-sentence', async () => {
    const clock = new ManualClock()
    first.script(openaiText('This will never end, I fear', { stopAfter: { events: 6, how: 'hang' } }))
    second.script(chatText('Good day'))
    const { ask, deltas } = setUp(clock)
    const asked = ask()
    while (!deltas.some((delta) => delta.kind === 'text')) await new Promise((resolve) => setImmediate(resolve))
    clock.advance(DEADLINES.stallMs)
    const { answer, skipped } = await asked
    expect(answer!.text).toBe('Good day')
    expect(skipped).toMatchObject([{ reason: 'stalled' }])
  })

  it('does not even ask a vendor whose breaker is open, and asks again after 30 seconds', async () => {
    const clock = new ManualClock()
    const { links, deps, ask } = setUp(clock)
    first.script(...Array.from({ length: 5 }, () => errorStep(500, {})))
    second.script(...Array.from({ length: 7 }, () => chatText('second')))
    for (let i = 0; i < 5; i++) await ask()
    expect(deps.breakers.state(breakerKey(links[0]!.vendor))).toBe('open')
    expect((await ask()).skipped).toMatchObject([{ reason: 'breaker_open' }])
    expect(first.calls()).toHaveLength(5)
    clock.advance(30_000)
    first.script(openaiText('back again'))
    expect((await ask()).answer!.text).toBe('back again')
    expect(deps.breakers.state(breakerKey(links[0]!.vendor))).toBe('closed')
  })

  it('does not hold a tenant\'s bad key against the vendor', async () => {
    const { links, deps, ask } = setUp()
    first.script(...Array.from({ length: 8 }, () => errorStep(401, { code: 'invalid_api_key', message: 'x' })))
    second.script(...Array.from({ length: 8 }, () => chatText('second')))
    for (let i = 0; i < 8; i++) await ask()
    expect(deps.breakers.state(breakerKey(links[0]!.vendor))).toBe('closed')
  })

  it('ends at once when aborted, asks nobody else, and frees the breaker\'s probe', async () => {
    first.script(hang)
    const controller = new AbortController()
    const { ask, links, deps } = setUp()
    void first.arrived(1).then(() => controller.abort())
    const { answer, skipped, usage } = await ask(controller.signal)
    expect(answer).toBeNull()
    expect(skipped).toEqual([])
    expect(usage).toMatchObject([{ outcome: 'aborted' }])
    expect(second.calls()).toHaveLength(0)
    expect(deps.breakers.state(breakerKey(links[0]!.vendor))).toBe('closed')
  })
})
