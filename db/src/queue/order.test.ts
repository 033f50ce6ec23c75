import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { advance, arrive, createLaneOrder, DEFAULT_LIMITS, nextDueMs, settle, type Action, type Lane, type LaneItem, type LaneSettings } from './order.ts'

const SETTINGS: LaneSettings = { orderMode: 'number', windowSize: 4, coalesceMs: 0, headDeadlineMs: 60_000 }
const item = (seq: number, conversationKey = 'a', receivedAtMs = 0): LaneItem => ({ seq, conversationKey, receivedAtMs })
const laneWith = (settings: Partial<LaneSettings>, items: LaneItem[], nowMs = 0): Lane<LaneItem> => {
  const lane = createLaneOrder<LaneItem>({ ...SETTINGS, ...settings })
  arrive(lane, items, [], items.at(-1)?.seq ?? 0, nowMs)
  return lane
}
const act = (lane: Lane<LaneItem>, nowMs = 0, slots = 100) => advance(lane, nowMs, slots).actions
const say = (actions: Action<LaneItem>[]) => actions.map((action) => `${action.do} ${action.turn.items.map((one) => one.seq).join('+')}`)

describe('the order of a lane', () => {
  it('starts turns of different conversations side by side and lets them leave in order', () => {
    const lane = laneWith({}, [item(1, 'a'), item(2, 'b'), item(3, 'c')])
    const [a, b, c] = act(lane)
    settle(lane, c!.turn, c!.run, { kind: 'ready' }, 0)
    settle(lane, b!.turn, b!.run, { kind: 'ready' }, 0)
    expect(say(act(lane))).toEqual([])
    settle(lane, a!.turn, a!.run, { kind: 'ready' }, 0)
    const [sendA] = act(lane)
    expect(say([sendA!])).toEqual(['send 1'])
    expect(say(act(lane))).toEqual([])
    settle(lane, sendA!.turn, sendA!.run, { kind: 'retired' }, 0)
    expect(say(act(lane))).toEqual(['send 2'])
  })

  it('lets conversations leave independently when the order is by conversation', () => {
    const lane = laneWith({ orderMode: 'conversation' }, [item(1, 'a'), item(2, 'b')])
    const [, b] = act(lane)
    settle(lane, b!.turn, b!.run, { kind: 'ready' }, 0)
    expect(say(act(lane))).toEqual(['send 2'])
  })

  it('gathers what comes within the coalescing time of the first message, and no longer', () => {
    const lane = laneWith({ coalesceMs: 1_000 }, [item(1, 'a', 0), item(2, 'a', 900)], 900)
    expect(say(act(lane, 999))).toEqual([])
    expect(nextDueMs(lane, 999)).toBe(1_000)
    expect(say(act(lane, 1_000))).toEqual(['answer 1+2'])
    arrive(lane, [item(3, 'a', 1_001)], [], 3, 1_001)
    expect(say(act(lane, 5_000))).toEqual([])
  })

  it('makes the next turn of what comes while one is running, at most 50 messages each', () => {
    const lane = laneWith({}, [item(1)])
    const [first] = act(lane)
    arrive(lane, Array.from({ length: 60 }, (_, index) => item(index + 2)), [], 61, 0)
    expect(say(act(lane))).toEqual([])
    settle(lane, first!.turn, first!.run, { kind: 'retired' }, 0)
    expect(act(lane)[0]!.turn.items).toHaveLength(50)
  })

  it('does not let a full window of answered turns wait for a head that may not start', () => {
    const lane = laneWith({ windowSize: 1, coalesceMs: 100 }, [item(1, 'a', 500), item(2, 'b', 0)], 600)
    expect(say(act(lane, 550))).toEqual(['answer 2'])
    expect(say(act(lane, 600))).toEqual(['answer 1'])
  })

  it('parks a head at its deadline, asks its handler to stop first and leaves it behind after the grace time', () => {
    const lane = laneWith({ headDeadlineMs: 1_000 }, [item(1)])
    const [answer] = act(lane, 10)
    expect(say(act(lane, 1_010))).toEqual(['abort 1'])
    expect(nextDueMs(lane, 1_010)).toBe(1_010 + DEFAULT_LIMITS.abortGraceMs)
    const late = 1_010 + DEFAULT_LIMITS.abortGraceMs
    const [park] = act(lane, late)
    expect([park!.do, park!.turn.parkReason]).toEqual(['park', 'head_deadline'])
    expect(settle(lane, answer!.turn, answer!.run, { kind: 'ready' }, late)).toBe(false)
    expect(settle(lane, park!.turn, park!.run, { kind: 'retired' }, late)).toBe(true)
    expect(lane.turns).toEqual([])
  })

  it('does not hold against a head the time in which the process had no slot for it', () => {
    const lane = laneWith({ headDeadlineMs: 1_000 }, [item(1)])
    expect(advance(lane, 0, 0)).toEqual({ actions: [], starved: true })
    expect(say(act(lane, 50_000))).toEqual(['answer 1'])
  })

  it('bug: a begun turn beyond the reader does not leave before what is not read yet', () => {
    const lane = createLaneOrder<LaneItem>(SETTINGS)
    arrive(lane, [item(1, 'a'), item(9, 'b')], [{ id: 'x', seqs: [9], state: 'open', attempts: 1 }], 1, 0)
    const [a] = act(lane)
    settle(lane, a!.turn, a!.run, { kind: 'retired' }, 0)
    expect(say(act(lane))).toEqual([])
    arrive(lane, [item(8, 'c'), item(9, 'b')], [], 9, 0)
    expect(say(act(lane))).toEqual(['answer 8', 'answer 9'])
    expect(lane.turns.map((turn) => turn.firstSeq)).toEqual([8, 9])
  })

  it('bug: retries by conversation stay within the window', () => {
    const lane = laneWith({ orderMode: 'conversation', windowSize: 1 }, [item(1, 'a'), item(2, 'b')])
    const [a] = act(lane)
    settle(lane, a!.turn, a!.run, { kind: 'later', retryAfterMs: 10 }, 0)
    expect(say(act(lane, 5))).toEqual(['answer 2'])
    expect(say(act(lane, 20))).toEqual([])
  })

  it('keeps its promises for any traffic and any handler', () => {
    const traffic = fc.record({
      orderMode: fc.constantFrom('number' as const, 'conversation' as const),
      windowSize: fc.integer({ min: 1, max: 4 }),
      coalesceMs: fc.constantFrom(0, 50),
      conversations: fc.array(fc.integer({ min: 0, max: 3 }), { minLength: 1, maxLength: 40 }),
      choices: fc.infiniteStream(fc.nat(99)),
    })
    fc.assert(fc.property(traffic, ({ conversations, choices, ...settings }) => playTraffic({ ...settings, headDeadlineMs: 500 }, conversations, () => choices.next().value!)), { numRuns: 500 })
  })
})

/** Plays arrivals and outcomes as `choose` says and checks each departure. */
function playTraffic(settings: LaneSettings, conversations: number[], choose: () => number): void {
  const lane = createLaneOrder<LaneItem>(settings)
  const running: Action<LaneItem>[] = []
  const gone = new Set<number>()
  let arrived = 0
  let nowMs = 0
  const arriveNext = () => {
    const conversation = conversations[arrived++]!
    arrive(lane, [item(arrived, String(conversation), nowMs)], [], arrived, nowMs)
  }
  for (let turn = 0; turn < 5_000 && gone.size < conversations.length; turn++) {
    if (arrived < conversations.length && choose() < 40) arriveNext()
    for (const action of advance(lane, nowMs, 1 + (choose() % 3)).actions) {
      if (action.do === 'abort') continue
      if (action.do === 'send') expectDeparture(settings, conversations, gone, action)
      running.push(action)
    }
    const [done] = running.splice(choose() % Math.max(1, running.length), 1)
    if (done) finish(lane, done, choose(), nowMs, gone)
    nowMs = running.length === 0 ? Math.max(nowMs + 1, Math.min(nextDueMs(lane, nowMs) ?? 0, nowMs + 10_000)) : nowMs + (choose() % 20)
  }
  expect(gone.size).toBe(conversations.length)
}

function expectDeparture(settings: LaneSettings, conversations: number[], gone: Set<number>, { turn }: Action<LaneItem>): void {
  for (let seq = 1; seq < turn.firstSeq; seq++) {
    if (settings.orderMode === 'number' || String(conversations[seq - 1]) === turn.conversationKey) expect(gone.has(seq)).toBe(true)
  }
}

function finish(lane: Lane<LaneItem>, action: Action<LaneItem>, choice: number, nowMs: number, gone: Set<number>): void {
  const fails = choice < 15
  const outcome = fails ? ({ kind: 'failed' } as const) : choice < 25 && action.do !== 'park' ? ({ kind: 'later', retryAfterMs: choice } as const) : action.do === 'answer' ? ({ kind: 'ready' } as const) : ({ kind: 'retired' } as const)
  if (!settle(lane, action.turn, action.run, outcome, nowMs) || outcome.kind !== 'retired') return
  for (const one of action.turn.items) {
    expect(gone.has(one.seq)).toBe(false)
    gone.add(one.seq)
  }
}
