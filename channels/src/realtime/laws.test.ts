import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { move, type Move } from '../../testing/realtime/arbitraries.ts'
import { drive, type Driver } from '../../testing/realtime/driver.ts'
import { observe } from '../../testing/realtime/observer.ts'
import { conversationView, receive, restore, serialise, step, type Step } from './index.ts'

const RUNS = Number(process.env.REALTIME_RUNS ?? 300)
const setting = fc.record({ playout: fc.constantFrom('client' as const, 'server' as const), keepsAudio: fc.boolean() })
const moves = fc.array(move, { maxLength: 120, size: 'max' })

function apply(session: Driver, next: Move) {
  const chosen = next(session.state())
  return 'client' in chosen ? session.client(chosen.client) : session.happen(chosen.happen)
}

function stepFrom(stored: string, session: Driver, next: Move): Step {
  const chosen = next(session.state())
  return 'client' in chosen ? receive(restore(stored), JSON.stringify(chosen.client)) : step(restore(stored), chosen.happen)
}

describe('whatever comes in, in whatever order', () => {
  it('the events tell one consistent story, and the client ends with the order that the server has', () => {
    fc.assert(
      fc.property(setting, moves, (options, inputs) => {
        const session = drive(options)
        const observer = observe()
        for (const event of session.events) observer.see(event)
        for (const input of inputs) for (const event of apply(session, input)) observer.see(event)
        expect(observer.order()).toEqual(session.state().items.map((item) => item.id))
        expect(observer.running().toSorted()).toEqual(
          session
            .state()
            .responses.map((response) => response.id)
            .toSorted(),
        )
      }),
      { numRuns: RUNS },
    )
  })

  it('another process that is given the stored state goes on exactly the same', () => {
    fc.assert(
      fc.property(setting, moves, (options, inputs) => {
        const session = drive(options)
        for (const input of inputs) {
          const stored = serialise(session.state())
          const there = stepFrom(stored, session, input)
          const here = apply(session, input)
          expect(there).toEqual({ state: session.state(), send: here, effects: session.last() })
        }
        expect(restore(serialise(session.state()))).toEqual(session.state())
      }),
      { numRuns: Math.ceil(RUNS / 4) },
    )
  })

  it('a process that takes over without the engine of the old one ends what was running, and the story stays consistent', () => {
    fc.assert(
      fc.property(setting, moves, moves, (options, earlier, later) => {
        const session = drive(options)
        const observer = observe()
        for (const event of session.events) observer.see(event)
        for (const input of earlier) for (const event of apply(session, input)) observer.see(event)
        for (const event of session.takeOver({ engineLost: true })) observer.see(event)
        expect(observer.running()).toEqual([])
        expect(session.state()).toMatchObject({ responses: [], retrievals: [], playing: null, input: { waitingMs: 0, speech: null } })
        for (const input of later) for (const event of apply(session, input)) observer.see(event)
        expect(observer.order()).toEqual(session.state().items.map((item) => item.id))
      }),
      { numRuns: Math.ceil(RUNS / 2) },
    )
  })

  it('every response that starts is done once, and expiry leaves none open', () => {
    fc.assert(
      fc.property(moves, (inputs) => {
        const session = drive()
        for (const input of inputs) apply(session, input)
        session.happen({ type: 'expired' })
        const of = (type: string) => session.events.flatMap((event) => (event.type === type && 'response' in event ? [event.response.id] : [])).toSorted()
        expect(of('response.done')).toEqual(of('response.created'))
        const started = session.effects.flatMap((effect) => (effect.type === 'start_response' ? [effect.request.responseId] : []))
        expect(started.toSorted()).toEqual(of('response.created'))
      }),
      { numRuns: Math.ceil(RUNS / 2) },
    )
  })

  it('the model is never shown what the caller did not hear, nor a call that never ended', () => {
    fc.assert(
      fc.property(setting, moves, (options, inputs) => {
        const session = drive(options)
        for (const input of inputs) apply(session, input)
        const { items } = session.state()
        const view = conversationView(session.state())
        for (const shown of view) {
          const item = items.find((other) => other.id === shown.id)
          expect(item?.status).not.toBe('in_progress')
          if (shown.type === 'function_call') expect(item?.status).toBe('completed')
          if (shown.type === 'function_call_output') expect(view.some((other) => other.type === 'function_call' && other.callId === shown.callId)).toBe(true)
          if (item?.type === 'message' && item.role === 'assistant') {
            const heard = item.content.flatMap((part) => (part.type === 'output_audio' && part.heard ? [part.heard.text] : []))
            if (heard.length > 0) expect(shown.type === 'message' && shown.parts).toEqual(heard.map((text) => ({ type: 'text', text })))
          }
        }
      }),
      { numRuns: Math.ceil(RUNS / 2) },
    )
  })
})
