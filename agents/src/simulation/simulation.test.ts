import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { intelligibility, judge, type CallEvidence } from './judge.ts'
import { compilePattern } from './pattern.ts'

const call = (more: Partial<CallEvidence> = {}): CallEvidence => ({
  ended_by: 'caller', reason: 'caller_hung_up', turns: 2, response: { p50_ms: 400, p95_ms: 900, each_ms: [400, 900] }, interruptions: [], tools: [],
  transcript: [
    { by: 'agent', text: 'We open at nine, on Pier 4.', start_ms: 0, end_ms: 900, interrupted: false },
    { by: 'customer', text: 'Is it closed on Sunday?', start_ms: 1_000, end_ms: 2_000, interrupted: false },
  ],
  listened: 'we open at nine on pier 4', ...more,
})
const passed = (assertion: Parameters<typeof judge>[0][number], evidence: CallEvidence = call()) => judge([assertion], evidence)[0]!

describe('what a test looks for', () => {
  it('finds words in a row, whatever their case and punctuation, and no parts of words', () => {
    const { find } = compilePattern('At NINE on pier')
    expect(find('We open at nine, on Pier 4.')).toContain('nine')
    expect(find('We open at nineteen on Pier 4.')).toBeNull()
    expect(compilePattern('9:00').find('from 9:00 to 18:00')).not.toBeNull()
  })

  it('finds expressions between slashes', () => {
    expect(compilePattern('/nine|9:00/').find('at NINE')).toBe('at NINE')
    expect(compilePattern('/^nine/').find('at nine')).toBeNull()
  })

  it('refuses an expression that is none, naming why', () => {
    expect(() => compilePattern('/(/')).toThrow(/no regular expression.*missing closing/)
    expect(() => compilePattern('...')).toThrow(/no word/)
  })

  it('answers at once where a backtracking engine would think for years', () => {
    expect(compilePattern('/(a+)+$/').find(`${'a'.repeat(5_000)}b`)).toBeNull()
  })

  it('finds every row of words of any text in it', () => {
    fc.assert(fc.property(fc.array(fc.stringMatching(/^[a-z0-9]{1,6}$/), { minLength: 1, maxLength: 12 }), fc.nat(), fc.nat(), (words, a, b) => {
      const [from, to] = [a % words.length, b % words.length].toSorted((x, y) => x - y) as [number, number]
      expect(compilePattern(words.slice(from, to + 1).join(', ')).find(words.join(' ').toUpperCase())).not.toBeNull()
    }))
  })
})

describe('the judge', () => {
  it('asks the transcript of the agent and the ear, never what the caller said', () => {
    expect(passed({ heard: 'pier 4' })).toMatchObject({ passed: true, evidence: expect.stringContaining('recogniser heard') })
    expect(passed({ heard: 'sunday' })).toMatchObject({ passed: false, evidence: expect.stringContaining('We open at nine') })
    expect(passed({ not_heard: 'sunday' })).toMatchObject({ passed: true })
    expect(passed({ not_heard: 'nine' })).toMatchObject({ passed: false, evidence: expect.stringContaining('nine') })
  })

  it('believes the ear for what was heard and is in no transcript', () => {
    expect(passed({ heard: 'welcome' }, call({ listened: 'welcome' }))).toMatchObject({ passed: true })
    expect(passed({ not_heard: 'welcome' }, call({ listened: 'welcome' }))).toMatchObject({ passed: false })
  })

  it('holds times, turns, tools and the end against their limits, and says the figures', () => {
    expect(passed({ max_response_ms: 900 })).toMatchObject({ passed: true })
    expect(passed({ max_response_ms: 899 })).toMatchObject({ passed: false, evidence: expect.stringContaining('900 ms') })
    expect(passed({ max_response_ms: 5_000 }, call({ response: { p50_ms: null, p95_ms: null, each_ms: [] } }))).toMatchObject({ passed: false })
    expect(passed({ interrupted_within_ms: 500 })).toMatchObject({ passed: false, evidence: 'nothing was interrupted' })
    expect(passed({ interrupted_within_ms: 500 }, call({ interruptions: [{ at_ms: 10, silent_after_ms: 300 }, { at_ms: 50, silent_after_ms: null }] }))).toMatchObject({ passed: false })
    expect(passed({ interrupted_within_ms: 300 }, call({ interruptions: [{ at_ms: 10, silent_after_ms: 300 }] }))).toMatchObject({ passed: true })
    expect(passed({ ended_by: 'agent' })).toMatchObject({ passed: false, evidence: 'ended by caller (caller_hung_up)' })
    expect(passed({ tool_called: 'book' }, call({ tools: ['look_up'] }))).toMatchObject({ passed: false, evidence: 'called: look_up' })
    expect(passed({ max_turns: 2 })).toMatchObject({ passed: true })
    expect(passed({ max_turns: 1 })).toMatchObject({ passed: false })
  })

  it('measures how much a listener understood', () => {
    expect(intelligibility(call())).toBe(1)
    expect(intelligibility(call({ listened: 'we open at five on pier' }))).toBe(0.714)
    expect(intelligibility(call({ transcript: [] }))).toBeNull()
  })
})
