import { describe, expect, it } from 'vitest'
import { HeardLedger } from './heard.ts'
import type { HeardLedgerOptions } from './heard.ts'
import type { PlayoutFrame } from './queue.ts'

const FRAME = 160
type Ledger = ReturnType<typeof setup>

function setup(options: Partial<HeardLedgerOptions> = {}) {
  const settled: string[] = []
  const ledger = new HeardLedger({ sampleRateHz: 8_000, proof: 'marks', latencyMs: 50, onSettled: (id, outcome) => settled.push(`${id} ${outcome}`), ...options })
  const frame = (utteranceId: string, fromSample: number): PlayoutFrame => ({ kind: 'speech', audible: true, generation: 0, segments: [{ utteranceId, fromSample, samples: FRAME }], segmentCount: 1 })
  const send = (utteranceId: string, fromFrame: number, frames: number, nowMs = 0): void => {
    for (let n = 0; n < frames; n++) ledger.sent(frame(utteranceId, (fromFrame + n) * FRAME), FRAME, nowMs)
  }
  const ms = (id: string, nowMs = 0, belief: 'proven' | 'likely' = 'proven'): number | undefined => ledger.heardUntil(nowMs, belief).find(({ utteranceId }) => utteranceId === id)?.ms
  return { ledger, settled, send, ms }
}

/** "one two three four": a word each 200 ms. */
function speakWords({ ledger }: Ledger, id = 'a'): void {
  ledger.text(id, 'one two three four')
  ledger.spans(id, [{ charStart: 0, charEnd: 3, startMs: 0, endMs: 200 }, { charStart: 4, charEnd: 7, startMs: 200, endMs: 400 }], false)
  ledger.spans(id, [{ charStart: 8, charEnd: 13, startMs: 400, endMs: 600 }, { charStart: 14, charEnd: 18, startMs: 600, endMs: 800 }], false)
}

describe('heard ledger with marks', () => {
  it('counts what lies before a mark that came back, and nothing else', () => {
    const { ledger, send, ms } = setup()
    send('a', 0, 5)
    const mark = ledger.mark()
    send('a', 5, 5)
    expect(ms('a')).toBe(0)
    expect(ledger.markReturned(mark, 150)).toBe('heard')
    expect(ms('a', 150)).toBe(100)
  })

  it('a mark that came back covers those that were lost or come later', () => {
    const { ledger, send, ms } = setup()
    const marks = Array.from({ length: 3 }, (_, n) => {
      send('a', n, 1)
      return ledger.mark()
    })
    ledger.markReturned(marks[2]!, 200)
    expect(ms('a', 200)).toBe(60)
    expect(ledger.markReturned(marks[0]!, 210)).toBe('heard')
    expect(ms('a', 210)).toBe(60)
  })

  it('marks that come back because of a clear do not count as heard', () => {
    const { ledger, send, ms, settled } = setup()
    send('a', 0, 5)
    const early = ledger.mark()
    send('a', 5, 20)
    const late = ledger.mark()
    ledger.markReturned(early, 200)
    ledger.clear(220, { resumes: false })
    expect(ledger.markReturned(late, 260)).toBe('cleared')
    expect(ms('a', 300)).toBe(100)
    expect(settled).toEqual(['a cut'])
    expect(ledger.markReturned(late, 270)).toBe('unknown')
  })

  it('goes on counting after a clear', () => {
    const { ledger, send, ms } = setup()
    send('a', 0, 20)
    ledger.clear(100, { resumes: false })
    send('b', 0, 5, 200)
    ledger.markReturned(ledger.mark(), 400)
    expect([ms('a', 400), ms('b', 400)]).toEqual([0, 100])
  })

  it('what is sent again after a pause is one utterance, and does not go back meanwhile', () => {
    const { ledger, send, ms, settled } = setup()
    send('a', 0, 10)
    ledger.ended('a', 20 * FRAME)
    ledger.markReturned(ledger.mark(), 200)
    send('a', 10, 8)
    ledger.clear(210, { resumes: true })
    expect([ms('a', 210), settled.length]).toEqual([200, 0])
    send('a', 10, 10, 1_000)
    expect(ms('a', 1_000)).toBe(200)
    ledger.markReturned(ledger.mark(), 1_300)
    expect([ms('a', 1_300), settled]).toEqual([400, ['a heard']])
  })

  it('settles an utterance when its last sample was heard, and only once', () => {
    const { ledger, send, settled } = setup()
    send('a', 0, 5)
    const mark = ledger.mark()
    ledger.markReturned(mark, 150)
    expect(settled).toEqual([])
    ledger.ended('a', 5 * FRAME)
    ledger.ended('a', 5 * FRAME)
    ledger.clear(200, { resumes: false })
    expect(settled).toEqual(['a heard'])
  })

  it('text that never became sound was not heard', () => {
    const { ledger, settled } = setup()
    ledger.text('a', 'Good morning.')
    ledger.ended('a', 0)
    expect([settled, ledger.heardText('a', 0)]).toEqual([['a cut'], ''])
  })

  it('tells the first proof of being heard', () => {
    const first: [string, number][] = []
    const { ledger, send } = setup({ onFirstHeard: (id, atMs) => first.push([id, atMs]) })
    send('a', 0, 1)
    const marks = [ledger.mark()]
    send('a', 1, 1)
    marks.push(ledger.mark())
    for (const [n, mark] of marks.entries()) ledger.markReturned(mark, 100 + n)
    expect(first).toEqual([['a', 100]])
  })

  it('"likely" adds the time since, as far as was sent and no further than a mark may be under way', () => {
    const { send, ms } = setup()
    send('a', 0, 100, 0)
    expect(ms('a', 50, 'likely')).toBe(0)
    expect(ms('a', 150, 'likely')).toBe(100)
    expect(ms('a', 5_000, 'likely')).toBe(400)
    expect(ms('a', 5_000, 'proven')).toBe(0)
  })

  it('keeps what was likely at the moment of a clear', () => {
    const { ledger, send, ms } = setup()
    send('a', 0, 20, 0)
    ledger.clear(250, { resumes: false })
    expect([ms('a', 9_000, 'likely'), ms('a', 9_000, 'proven')]).toEqual([200, 0])
  })

  it('does not grow when marks never come back', () => {
    const { ledger, send, ms } = setup()
    const first = ledger.mark()
    for (let n = 0; n < 2_000; n++) {
      send('a', n, 1)
      ledger.mark()
    }
    expect(ledger.markReturned(first, 0)).toBe('unknown')
    ledger.markReturned(ledger.mark(), 50_000)
    expect(ms('a', 50_000)).toBe(40_000)
  })

  it('takes positions (RTP) for proof, never beyond what was sent', () => {
    const { ledger, send, ms } = setup()
    send('a', 0, 10)
    ledger.played(4 * FRAME, 100)
    expect(ms('a', 100)).toBe(80)
    ledger.played(1_000_000, 300)
    expect(ms('a', 300)).toBe(200)
  })
})

describe('heard ledger by elapsed time', () => {
  it('plays in its mind in real time, after the latency, and waits where it was not fed', () => {
    const { ledger, send, ms } = setup({ proof: 'elapsed', latencyMs: 100 })
    send('a', 0, 5, 1_000)
    expect([ms('a', 1_000), ms('a', 1_100), ms('a', 1_160), ms('a', 3_000)]).toEqual([0, 0, 60, 100])
    send('a', 5, 5, 3_000)
    expect([ms('a', 3_100), ms('a', 3_150), ms('a', 9_000)]).toEqual([100, 150, 200])
    expect(ledger.heardUntil(9_000)[0]!.exact).toBe(false)
  })

  it('settles with time', () => {
    const { ledger, send, settled } = setup({ proof: 'elapsed', latencyMs: 100 })
    send('a', 0, 5, 0)
    ledger.ended('a', 5 * FRAME)
    ledger.poll(199)
    expect([settled, ledger.outstanding]).toEqual([[], true])
    ledger.poll(200)
    expect([settled, ledger.outstanding]).toEqual([['a heard'], false])
  })

  it('a far end that cannot clear plays what it was sent', () => {
    const { ledger, send, ms, settled } = setup({ proof: 'elapsed', latencyMs: 100 })
    send('a', 0, 5, 0)
    ledger.cutAllShort()
    expect(settled).toEqual([])
    expect(ms('a', 1_000)).toBe(100)
    expect(settled).toEqual(['a cut'])
  })
})

describe('heard text', () => {
  const heardAfter = (frames: number, prepare: (ledger: Ledger) => void): string => {
    const all = setup()
    prepare(all)
    all.send('a', 0, frames)
    all.ledger.markReturned(all.ledger.mark(), 5_000)
    return all.ledger.heardText('a', 5_000)
  }

  it('ends with the last word that was spoken to its end', () => {
    expect([0, 9, 10, 19, 20, 31, 40].map((frames) => heardAfter(frames, speakWords))).toEqual(['', '', 'one', 'one', 'one two', 'one two three', 'one two three four'])
  })

  it('is all of the text when all was heard, closing marks that no word time covers among it', () => {
    expect(
      heardAfter(40, (all) => {
        speakWords(all)
        all.ledger.text('a', '!')
        all.ledger.ended('a', 40 * FRAME)
      }),
    ).toBe('one two three four!')
  })

  it('cuts at words when the engine times single characters', () => {
    const perCharacter = (all: Ledger): void => {
      all.ledger.text('a', 'one two')
      all.ledger.spans('a', Array.from('one two', (_, i) => ({ charStart: i, charEnd: i + 1, startMs: i * 100, endMs: (i + 1) * 100 })), false)
    }
    expect([10, 15, 20, 30, 35].map((frames) => heardAfter(frames, perCharacter))).toEqual(['', 'one', 'one ', 'one ', 'one two'])
  })

  it('goes by the share of the sound when the engine tells no times, and says that it is not exact', () => {
    const all = setup()
    all.ledger.text('a', 'one two three four')
    all.ledger.ended('a', 100 * FRAME)
    all.send('a', 0, 50)
    all.ledger.markReturned(all.ledger.mark(), 5_000)
    expect(all.ledger.heardUntil(5_000)).toEqual([{ utteranceId: 'a', ms: 1_000, char: 8, exact: false }])
    expect(all.ledger.heardText('a', 5_000)).toBe('one two ')
  })

  it('cuts Chinese at words too', () => {
    expect(
      heardAfter(50, (all) => {
        all.ledger.text('a', '今天天气很好我们去公园')
        all.ledger.ended('a', 100 * FRAME)
      }),
    ).toBe('今天天气')
  })

  it('takes no word back when times or the length become known later', () => {
    const all = setup()
    all.ledger.text('a', 'one two three four')
    all.send('a', 0, 40)
    all.ledger.markReturned(all.ledger.mark(), 5_000)
    const before = all.ledger.heardText('a', 5_000)
    all.ledger.ended('a', 4_000 * FRAME)
    expect(all.ledger.heardText('a', 5_000)).toBe(before)
    expect(before.length).toBeGreaterThan(0)
  })

  it('is exact where marks and word times were measured', () => {
    const all = setup()
    speakWords(all)
    all.send('a', 0, 20)
    expect(all.ledger.heardUntil(0)[0]!.exact).toBe(false)
    all.ledger.markReturned(all.ledger.mark(), 500)
    expect(all.ledger.heardUntil(500)).toEqual([{ utteranceId: 'a', ms: 400, char: 7, exact: true }])
  })

  it('ends where the sound begins to say something else, though all of that was heard', () => {
    const place = setup()
    const { ledger, send, settled } = place
    speakWords(place)
    ledger.aside('a', 7)
    send('a', 0, 60)
    ledger.ended('a', 60 * FRAME)
    ledger.markReturned(ledger.mark(), 1_300)
    expect(settled).toEqual(['a heard'])
    expect(ledger.heardText('a', 1_300)).toBe('one two')
    expect(ledger.heardWords('a', 1_300).map(({ charStart, charEnd }) => [charStart, charEnd])).toEqual([[0, 3], [4, 7]])
    ledger.text('b', 'never said')
    ledger.aside('b', 0)
    send('b', 0, 10, 1_300)
    ledger.ended('b', 10 * FRAME)
    ledger.markReturned(ledger.mark(), 1_600)
    expect(ledger.heardText('b', 1_600)).toBe('')
  })

  it('of an unknown utterance is empty, and can be forgotten', () => {
    const { ledger } = setup()
    ledger.text('a', 'x')
    ledger.forget('a')
    expect([ledger.heardText('a', 0), ledger.heardUntil(0)]).toEqual(['', []])
  })
})

describe('heard words', () => {
  const times = (all: Ledger, nowMs: number, belief: 'proven' | 'likely' = 'proven') => all.ledger.heardWords('a', nowMs, belief).map(({ charStart, startMs, endMs, estimated }) => [charStart, startMs, endMs, estimated])
  /** Frames as the clock gives them: sent together, each due 20 ms after the last. */
  const play = ({ ledger }: Ledger, fromFrame: number, frames: number, dueMs: number): void => {
    for (let n = 0; n < frames; n++) ledger.sent({ kind: 'speech', audible: true, generation: 0, segments: [{ utteranceId: 'a', fromSample: (fromFrame + n) * FRAME, samples: FRAME }], segmentCount: 1 }, FRAME, dueMs, dueMs + n * 20)
  }

  it('lie where their frames were due', () => {
    const all = setup()
    speakWords(all)
    play(all, 0, 40, 1_000)
    all.ledger.ended('a', 40 * FRAME)
    all.ledger.markReturned(all.ledger.mark(), 2_000)
    expect(times(all, 2_000)).toEqual([[0, 1_000, 1_200, false], [4, 1_200, 1_400, false], [8, 1_400, 1_600, false], [14, 1_600, 1_800, false]])
    expect(all.ledger.timeOf('a')).toEqual({ startMs: 1_000, endMs: 1_800 })
  })

  it('are none of those that were cut in their middle', () => {
    const all = setup()
    speakWords(all)
    play(all, 0, 40, 1_000)
    all.ledger.clear(1_500, { resumes: false })
    expect(times(all, 5_000, 'likely')).toEqual([[0, 1_000, 1_200, false], [4, 1_200, 1_400, false]])
    expect(all.ledger.timeOf('a')!.endMs).toBe(1_500)
    expect(all.ledger.heardText('a', 5_000, 'likely')).toBe('one two')
  })

  it('of an utterance that paused lie before and after the pause', () => {
    const all = setup()
    speakWords(all)
    play(all, 0, 30, 1_000)
    all.ledger.clear(1_350, { resumes: true })
    const from = all.ledger.resumePoint(1_350)!.sample
    play(all, from / FRAME, 40 - from / FRAME, 4_000)
    all.ledger.ended('a', 40 * FRAME)
    all.ledger.markReturned(all.ledger.mark(), 9_000)
    const [one, two, three] = times(all, 9_000)
    expect(one).toEqual([0, 1_000, 1_200, false])
    expect(two![1]).toBe(1_200)
    // It was interrupted in its middle: it ends where its end was heard.
    expect(two![2]).toBeGreaterThan(4_000)
    expect(three![1]).toBe(two![2])
  })

  it('are estimated when the engine tells nothing', () => {
    const all = setup()
    all.ledger.text('a', 'one two')
    play(all, 0, 35, 1_000)
    all.ledger.ended('a', 35 * FRAME)
    all.ledger.markReturned(all.ledger.mark(), 5_000)
    expect(times(all, 5_000)).toEqual([[0, 1_000, 1_300, true], [4, 1_400, 1_700, true]])
  })

  it('of an unknown utterance are none', () => {
    const { ledger } = setup()
    expect([ledger.heardWords('x', 0), ledger.timeOf('x')]).toEqual([[], null])
  })
})
