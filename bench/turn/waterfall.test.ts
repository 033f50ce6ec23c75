import { describe, expect, it } from 'vitest'
import { waterfallOf } from './waterfall.ts'

const LINE = { spokenMs: 1_000, answerMs: 1_900 }
const NOTES = { heard: 1_002, final: 1_302, asked: 1_310, token: 1_560, piece: 1_640, speak: 1_650, sound: 1_890 }
/** The call was opened at 500: its first frame, at 1,400 of the call, is the line's at 1,900. */
const event = (endpointMs: number) => ({ speechEndMs: 700, endpointMs, firstSentMs: 1_400, firstHeardMs: 1_500 })

describe('the time of one answer', () => {
  it('is told by stages that follow each other, ours apart from the suppliers', () => {
    const found = waterfallOf(LINE, NOTES, event(805))!
    expect(found).toMatchObject({ wayIn: 2, final: 300, wait: 3, detected: 200, firstToken: 250, firstPiece: 80, endpoint: 0, speak: 10, firstSound: 240, wayOut: 10, mark: 100, whole: 900 })
    expect(found.ask).toBe(5)
    expect(found.own).toBe(27)
    const parts = ['wayIn', 'final', 'wait', 'ask', 'firstToken', 'firstPiece', 'endpoint', 'speak', 'firstSound', 'wayOut'] as const
    expect(parts.reduce((sum, part) => sum + found[part], 0)).toBe(found.whole)
  })

  it('counts a model that is asked before the end of the turn from the final', () => {
    expect(waterfallOf(LINE, NOTES, event(900))!.ask).toBe(8)
  })

  it('does not call it work when the end of the turn is waited for and the text is there', () => {
    const found = waterfallOf(LINE, { ...NOTES, speak: 1_705 }, event(1_200))!
    expect([found.endpoint, found.speak]).toEqual([60, 5])
  })

  it('is not made up when something of it was not seen', () => {
    expect(waterfallOf({ spokenMs: 1_000 }, NOTES, event(805))).toBeNull()
    expect(waterfallOf(LINE, { ...NOTES, sound: undefined }, event(805))).toBeNull()
    expect(waterfallOf(LINE, NOTES, { speechEndMs: 700, endpointMs: 805, firstSentMs: null, firstHeardMs: null })).toBeNull()
  })
})
