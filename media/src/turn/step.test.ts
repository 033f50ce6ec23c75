import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { TurnEffect, TurnEvent, TurnSettings, TurnState } from './contract.ts'
import { nextDueMs, openTurns, step } from './step.ts'

type Event = TurnEvent extends infer One ? (One extends TurnEvent ? Omit<One, 'nowMs'> : never) : never

/** A call that a test plays: time passes as told, and the machine's own timers ring on the way. */
function call(settings: Partial<TurnSettings> = {}) {
  let nowMs = 0
  let state: TurnState = openTurns(settings, 0)
  const log: (TurnEffect & { atMs: number })[] = []
  const take = (event: Event) => {
    const after = step(state, { ...event, nowMs })
    state = after.state
    log.push(...after.effects.map((effect) => ({ ...effect, atMs: nowMs })))
  }
  const pass = (ms: number) => {
    const endMs = nowMs + ms
    for (let due = nextDueMs(state); due !== null && due <= endMs; due = nextDueMs(state)) {
      nowMs = Math.max(nowMs, due)
      take({ type: 'timer' })
    }
    nowMs = endMs
  }
  const done = () => log.map(({ do: what }) => what)
  return {
    log, take, pass, done,
    state: () => state,
    says(text: string, speechMs = 800, confidence = 0.95) {
      take({ type: 'speech_start' })
      pass(speechMs)
      take({ type: 'speech_stop' })
      pass(100)
      take({ type: 'final', text, confidence, endOfTurn: false })
    },
    replies() {
      return log.flatMap((effect) => (effect.do === 'reply' ? [effect.text] : []))
    },
    speaks(ms = 0) {
      const { turn } = state
      take({ type: 'reply_token', turn })
      take({ type: 'reply_audio', turn })
      take({ type: 'playout_started' })
      take({ type: 'reply_done', turn })
      pass(ms)
    },
  }
}

describe('the end of a turn', () => {
  it('comes after a short pause when the sentence is whole, and is answered once', () => {
    const one = call()
    one.says('When do you open?')
    one.pass(2_000)
    expect(one.replies()).toEqual(['When do you open?'])
    expect(one.log.find((effect) => effect.do === 'reply')!.atMs).toBeLessThan(1_600)
  })

  it('comes at once when recogniser and detector agree on the silence, whichever of them is the first', () => {
    for (const recogniserFirst of [true, false]) {
      const one = call()
      one.take({ type: 'speech_start' })
      one.pass(800)
      if (!recogniserFirst) one.take({ type: 'speech_stop' })
      one.take({ type: 'final', text: 'When do you open?', confidence: 1, endOfTurn: true })
      one.pass(12)
      if (recogniserFirst) one.take({ type: 'speech_stop' })
      one.pass(1)
      expect(one.replies(), String(recogniserFirst)).toEqual(['When do you open?'])
    }
  })

  it('does not come with a silence in the middle of a sentence or a number, whoever has heard it', () => {
    for (const [text, expectation] of [['My number is', null], ['12 34', { kind: 'digits', count: 6 }]] as const) {
      const one = call()
      if (expectation) one.take({ type: 'expect', expectation })
      one.take({ type: 'speech_start' })
      one.pass(800)
      one.take({ type: 'speech_stop' })
      one.take({ type: 'final', text, confidence: 1, endOfTurn: true })
      one.pass(1_000)
      expect(one.replies(), text).toEqual([])
    }
  })

  it('does not come when the caller goes on after the silence that the recogniser heard', () => {
    const one = call()
    one.take({ type: 'speech_start' })
    one.take({ type: 'final', text: 'Hello.', confidence: 1, endOfTurn: true })
    one.take({ type: 'partial', text: 'when do' })
    one.take({ type: 'speech_stop' })
    one.pass(200)
    expect(one.replies()).toEqual([])
  })

  it('is waited for anew when one more word came after it', () => {
    const one = call()
    one.take({ type: 'speech_start' })
    one.take({ type: 'final', text: 'I would like to come at nine.', confidence: 1, endOfTurn: true })
    one.pass(5)
    one.take({ type: 'speech_stop' })
    one.take({ type: 'speech_start' })
    one.pass(150)
    one.take({ type: 'speech_stop' })
    one.pass(150)
    expect(one.replies()).toEqual([])
  })

  it('waits longer when the sentence goes on ("my number is ...")', () => {
    const one = call()
    one.says('My number is')
    one.pass(1_500)
    expect(one.replies()).toEqual([])
    one.says('five five five.')
    one.pass(3_000)
    expect(one.replies()).toEqual(['My number is five five five.'])
  })

  it('a dictated number is not cut between its groups, and is over with its last digit (pain 2)', () => {
    const one = call()
    one.take({ type: 'expect', expectation: { kind: 'digits', count: 6 } })
    one.says('12 34')
    one.pass(1_200)
    expect(one.replies()).toEqual([])
    one.says('56')
    one.pass(1)
    expect(one.replies()).toEqual(['12 34 56'])
  })

  it('what was thought of before the end was certain is taken when nothing more came, and thrown away when it did', () => {
    const one = call()
    one.says('I would like to book a table.')
    expect(one.done()).toContain('prepare')
    one.take({ type: 'speech_start' })
    expect(one.done()).toContain('discard_prepared')
    one.pass(500)
    one.take({ type: 'speech_stop' })
    one.take({ type: 'final', text: 'For two.', confidence: 1, endOfTurn: false })
    one.pass(3_000)
    expect(one.replies()).toEqual(['I would like to book a table. For two.'])
    const [reply] = one.log.filter((effect) => effect.do === 'reply')
    expect(one.log.filter((effect) => effect.do === 'prepare').at(-1)).toMatchObject({ turn: reply?.do === 'reply' ? reply.turn : 0, text: 'I would like to book a table. For two.' })
  })

  it('a model that hears the end of it shortens the wait, one that hears a hesitation lengthens it', () => {
    const answeredAtMs = (probability: number | null) => {
      const one = call()
      one.says('I would like to book a table')
      if (probability !== null) one.take({ type: 'turn_model', probability })
      one.pass(5_000)
      return one.log.find((effect) => effect.do === 'reply')!.atMs
    }
    expect(answeredAtMs(0.9)).toBeLessThan(answeredAtMs(null))
    expect(answeredAtMs(0.1)).toBeGreaterThan(answeredAtMs(null) + 1_000)
  })

  it('what that model said of one pause is not believed of the next', () => {
    const one = call()
    one.says('I would like to book a table')
    one.take({ type: 'turn_model', probability: 0.1 })
    one.says('for two')
    // Its answer to the pause before comes late, while the caller speaks again.
    one.take({ type: 'speech_start' })
    one.take({ type: 'turn_model', probability: 0.95 })
    one.take({ type: 'speech_stop' })
    one.pass(500)
    expect(one.replies()).toEqual([])
    one.pass(500)
    expect(one.replies()).toEqual(['I would like to book a table for two'])
  })

  it('words that were on their way are waited for; a cough is no turn', () => {
    const one = call()
    one.take({ type: 'speech_start' })
    one.pass(200)
    one.take({ type: 'speech_stop' })
    one.pass(5_000)
    expect(one.replies()).toEqual([])
    expect(one.done().filter((what) => what === 'say')).toEqual([])
  })

  it('a recogniser that is unsure three times asks three times, and is believed then', () => {
    const one = call()
    for (let round = 0; round < 4; round++) {
      one.says('Gibberish perhaps.', 800, 0.3)
      one.pass(3_000)
    }
    expect(one.log.filter((effect) => effect.do === 'say' && effect.what === 'ask_again')).toHaveLength(3)
    expect(one.replies()).toEqual(['Gibberish perhaps.'])
  })
})

describe('an interruption', () => {
  const speaking = () => {
    const one = call()
    one.says('Tell me everything.')
    one.pass(2_000)
    one.speaks(500)
    return one
  }

  it('makes the voice softer after 200 ms and ends it with the first real word', () => {
    const one = speaking()
    const before = one.log.length
    one.take({ type: 'speech_start' })
    one.pass(199)
    expect(one.log.slice(before)).toEqual([])
    one.pass(1)
    expect(one.done().at(-1)).toBe('duck')
    one.take({ type: 'partial', text: 'stop please' })
    expect(one.done()).toContain('cut')
  })

  it('"mhm" does not cut the agent off: the voice is as loud as before (pain 1)', () => {
    const one = speaking()
    one.take({ type: 'speech_start' })
    one.pass(350)
    one.take({ type: 'partial', text: 'mhm' })
    one.take({ type: 'speech_stop' })
    one.take({ type: 'final', text: 'Mhm.', confidence: 0.9, endOfTurn: true })
    one.pass(2_000)
    expect(one.done()).not.toContain('cut')
    expect(one.done().slice(-1)).toEqual(['unduck'])
    one.take({ type: 'playout_ended' })
    one.pass(100)
    expect(one.replies()).toHaveLength(1)
  })

  it('speech that goes on cuts even when the recogniser says nothing', () => {
    const one = speaking()
    one.take({ type: 'speech_start' })
    one.pass(900)
    expect(one.done()).toContain('cut')
  })

  it('before the first word of the answer was heard it is no interruption: both parts are answered together (pain 5)', () => {
    const one = call()
    one.says('I want to cancel.')
    one.pass(2_000)
    one.says('My order from Monday.')
    expect(one.done()).toContain('cancel_reply')
    one.pass(3_000)
    expect(one.replies()).toEqual(['I want to cancel.', 'I want to cancel. My order from Monday.'])
  })

  it('may be forbidden', () => {
    const one = call({ interruptible: false })
    one.says('Hello there.')
    one.pass(2_000)
    one.speaks(500)
    one.says('Wait, stop!', 2_000)
    expect(one.done()).not.toContain('cut')
  })
})

describe('silence and faults', () => {
  it('asks twice whether somebody is there, then says goodbye and hangs up', () => {
    const one = call({ silenceMs: 5_000 })
    for (let round = 0; round < 2; round++) {
      one.pass(5_000)
      one.take({ type: 'playout_started' })
      one.pass(1_000)
      one.take({ type: 'playout_ended' })
    }
    one.pass(5_000)
    expect(one.log.map((effect) => (effect.do === 'say' ? effect.what : effect.do))).toEqual(['are_you_there', 'are_you_there', 'goodbye', 'hang_up'])
    expect(nextDueMs(one.state())).toBeNull()
  })

  it('a model that says nothing is left, and the caller hears that somebody is there (pain 3)', () => {
    const one = call()
    one.says('Are you open today?')
    one.pass(10_000)
    expect(one.log.filter((effect) => effect.do === 'incident')).toMatchObject([{ stage: 'first_token' }])
    expect(one.log.map((effect) => (effect.do === 'say' ? effect.what : effect.do))).toEqual(expect.arrayContaining(['switch', 'recovery']))
  })

  it('a slow tool is covered by a filler (pain 6), and time for the model begins anew after it', () => {
    const one = call()
    one.says('Where is my order?')
    one.pass(1_000)
    const { turn } = one.state()
    one.take({ type: 'tool_started', turn })
    one.pass(6_000)
    expect(one.log.filter((effect) => effect.do === 'say')).toMatchObject([{ what: 'filler' }])
    one.take({ type: 'tool_ended', turn })
    one.pass(3_900)
    expect(one.done()).not.toContain('incident')
  })

  it('news of a reply that was cut is not listened to', () => {
    const one = call()
    one.says('Hello there.')
    one.pass(2_000)
    one.speaks(100)
    const { turn } = one.state()
    one.take({ type: 'speech_start' })
    one.take({ type: 'partial', text: 'no wait' })
    const before = one.state()
    for (const type of ['reply_token', 'reply_audio', 'reply_done', 'reply_failed'] as const) one.take({ type, turn })
    expect(one.state()).toEqual(before)
  })

  it('ends at the longest duration whatever is going on', () => {
    const one = call({ maxDurationMs: 3_000 })
    one.says('Hello there.')
    one.pass(3_000)
    expect(one.log.at(-1)).toMatchObject({ do: 'hang_up', reason: 'max_duration' })
  })
})

const anyEvent = fc.oneof(
  ...(['speech_start', 'speech_stop', 'playout_started', 'playout_ended', 'timer'] as const).map((type) => fc.constant({ type })),
  fc.record({ type: fc.constant('partial' as const), text: fc.constantFrom('', 'mhm', 'hello', 'and', 'I would like') }),
  fc.record({ type: fc.constant('final' as const), text: fc.constantFrom('', 'mhm', 'Hello.', 'my name is', '12 34'), confidence: fc.constantFrom(null, 0.3, 0.9), endOfTurn: fc.boolean() }),
  fc.record({ type: fc.constantFrom('reply_token' as const, 'reply_audio' as const, 'reply_done' as const, 'reply_failed' as const, 'tool_started' as const, 'tool_ended' as const), turn: fc.constantFrom(0, 1, 2, 3) }),
  fc.record({ type: fc.constant('turn_model' as const), probability: fc.constantFrom(0, 0.3, 0.5, 0.9, 1) }),
  fc.record({ type: fc.constant('digits' as const), digits: fc.constantFrom('1', '42#') }),
)
const script = fc.array(fc.tuple(fc.integer({ min: 0, max: 4_000 }), anyEvent), { maxLength: 60 })

describe('laws over any order of events', () => {
  const play = (events: [number, Event][]) => {
    const one = call()
    for (const [waitMs, event] of events) {
      one.pass(waitMs)
      one.take(event)
      // Liveness: a call that goes on always has a moment at which it will look again.
      const due = nextDueMs(one.state())
      if (!one.state().over) expect(due).not.toBeNull()
    }
    return one
  }

  it('every reply has words and a turn of its own; a cut or a cancelled reply had begun', () => {
    fc.assert(fc.property(script, (events) => {
      const { log } = play(events)
      const replies = log.flatMap((effect) => (effect.do === 'reply' ? [effect] : []))
      expect(replies.every((reply) => reply.text !== '')).toBe(true)
      expect(new Set(replies.map((reply) => reply.turn)).size).toBe(replies.length)
      for (const [at, effect] of log.entries()) {
        if (effect.do === 'cancel_reply') expect(log.slice(0, at).some((before) => before.do === 'reply' && before.turn === effect.turn)).toBe(true)
        if (effect.do === 'unduck') expect(log.slice(0, at).filter((before) => before.do === 'duck').length).toBeGreaterThan(log.slice(0, at).filter((before) => before.do === 'unduck').length)
      }
    }), { numRuns: 500 })
  })

  it('what was prepared is taken or thrown away before the next is prepared', () => {
    fc.assert(fc.property(script, (events) => {
      let open: number | null = null
      for (const effect of play(events).log) {
        if (effect.do === 'prepare') {
          expect(open).toBeNull()
          open = effect.turn
        } else if (effect.do === 'discard_prepared') {
          expect(effect.turn).toBe(open)
          open = null
        } else if (effect.do === 'reply') open = null
      }
    }), { numRuns: 500 })
  })

  it('the same events give the same call', () => {
    fc.assert(fc.property(script, (events) => {
      expect(play(events).log).toEqual(play(events).log)
    }), { numRuns: 100 })
  })
})
