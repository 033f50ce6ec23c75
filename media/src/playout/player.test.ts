import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { PlayoutClock } from './clock.ts'
import { CallPlayer } from './player.ts'
import type { HeardWord } from './heard.ts'
import type { CallPlayerOptions } from './player.ts'
import { ManualClock, ModelCarrier } from './testing.ts'
import type { CarrierFaults } from './testing.ts'

const RATE = 8_000
const FRAME = 160
const STRIDE = 2_100

/** Every sample tells where it comes from: 1 + utterance * stride + its millisecond. */
const speech = (n: number, fromFrame: number, frames: number): Int16Array => Int16Array.from({ length: frames * FRAME }, (_, i) => 1 + n * STRIDE + fromFrame * 20 + Math.floor(i / 8))
const originOf = (sample: number): { id: string; ms: number } => ({ id: `u${Math.floor((sample - 1) / STRIDE)}`, ms: (sample - 1) % STRIDE })

type Truth = Map<string, number>

/** A call over a model carrier. `truth` is how many milliseconds of each utterance the caller has really heard. */
function setup(faults: Partial<CarrierFaults> = {}, options: Partial<CallPlayerOptions> = {}) {
  const clock = new ManualClock()
  const wheel = new PlayoutClock({ clock })
  const truth: Truth = new Map()
  const played: string[] = []
  /** When each millisecond of an utterance was first played. */
  const playedAt = new Map<string, number>()
  const settled: string[] = []
  const soundsMs: number[] = []
  const carrier = new ModelCarrier(
    clock,
    { thereMs: [20], backMs: [20], loseMarkEvery: 0, ...faults },
    (name) => player.markReturned(name),
    (sample) => {
      if (sample === 0) return
      const { id, ms } = originOf(sample)
      truth.set(id, Math.max(truth.get(id) ?? 0, ms + 1))
      played.push(`${id}.${ms}`)
      if (!playedAt.has(`${id}.${ms}`)) playedAt.set(`${id}.${ms}`, clock.nowMs())
      soundsMs.push(clock.nowMs())
    },
  )
  const player: CallPlayer = new CallPlayer({
    wheel,
    clock,
    sampleRateHz: RATE,
    wire: {
      send: (pcm) => carrier.frame(pcm),
      mark: (name) => carrier.mark(name),
      clear: () => carrier.clear(),
    },
    onSettled: (id, outcome) => settled.push(`${id} ${outcome}`),
    onFault: (error) => expect.unreachable(String(error)),
    ...options,
  })
  return { clock, wheel, player, truth, played, playedAt, settled, lastSoundMs: () => soundsMs.at(-1) ?? 0 }
}

const say = (player: CallPlayer, n: number, frames: number): void => {
  player.enqueue(`u${n}`, speech(n, 0, frames))
  player.end(`u${n}`)
}

const heardMs = (player: CallPlayer, id: string): number => player.heardUntil().find(({ utteranceId }) => utteranceId === id)?.ms ?? 0

describe('call player over a carrier', () => {
  it('says utterances in order and knows when they were heard', () => {
    const { clock, player, played, settled } = setup()
    say(player, 0, 10)
    say(player, 1, 10)
    clock.pass(1_000)
    expect(played).toEqual([...Array.from({ length: 200 }, (_, ms) => `u0.${ms}`), ...Array.from({ length: 200 }, (_, ms) => `u1.${ms}`)])
    expect(settled).toEqual(['u0 heard', 'u1 heard'])
    expect(player.speaking).toBe(false)
  })

  it('a cut is silence as soon as the carrier knows of it', () => {
    const { clock, player, lastSoundMs, settled } = setup({ thereMs: [30] })
    say(player, 0, 100)
    clock.pass(500)
    const cutMs = clock.nowMs()
    player.cut()
    clock.pass(1_000)
    expect(lastSoundMs() - cutMs).toBeLessThanOrEqual(30)
    expect(settled).toEqual(['u0 cut'])
  })

  it('what comes after a cut is heard at once', () => {
    const { clock, player, truth } = setup()
    say(player, 0, 100)
    clock.pass(500)
    player.cut()
    say(player, 1, 10)
    clock.pass(120)
    expect(truth.get('u1')).toBeGreaterThan(70)
  })

  it('pauses at once and goes on where it stopped: nothing is lost and nothing is heard twice, when the times are steady', () => {
    const { clock, player, played, lastSoundMs } = setup({ thereMs: [0], backMs: [0] }, { latencyMs: 0 })
    say(player, 0, 100)
    clock.pass(513)
    const pausedMs = clock.nowMs()
    player.pause()
    clock.pass(2_000)
    expect(lastSoundMs() - pausedMs).toBeLessThanOrEqual(1)
    player.resume()
    clock.pass(3_000)
    // The model plays in steps of a millisecond: the one in which the pause fell may be lost or doubled.
    expect(new Set(played).size).toBeGreaterThanOrEqual(1_999)
    expect(played.length).toBeLessThanOrEqual(2_001)
    expect(played).toEqual([...played].sort((a, b) => Number(a.slice(3)) - Number(b.slice(3))))
  })

  it('ducks what was sent ahead too', () => {
    const { clock, player } = setup()
    say(player, 0, 100)
    clock.pass(500)
    const sent = player.stats().framesSent
    player.duck(-15)
    expect(player.stats().framesSent - sent).toBeGreaterThanOrEqual(7)
  })

  it('an answer replaces the rest of a filler', () => {
    const { clock, player, played, settled } = setup()
    say(player, 0, 100)
    clock.pass(100)
    player.drop('u0')
    say(player, 1, 5)
    clock.pass(1_000)
    expect(played.length).toBeLessThan(25 * 20)
    expect(settled).toEqual(['u0 cut', 'u1 heard'])
  })

  it('knows the first frame that left and the first that was heard', () => {
    const stages: string[] = []
    const { clock, player } = setup({}, { onFirst: (id, stage) => stages.push(`${id} ${stage}`) })
    say(player, 0, 20)
    clock.pass(1_000)
    expect(stages).toEqual(['u0 sent', 'u0 heard'])
  })

  it('speech that failed in its middle is played as far as it came, and its text is not taken for said', () => {
    const { clock, player, settled } = setup()
    player.text('u0', 'one two three four five six seven eight nine ten')
    player.enqueue('u0', speech(0, 0, 20))
    player.failed('u0')
    clock.pass(2_000)
    expect(settled).toEqual(['u0 cut'])
    expect(player.heardText('u0').length).toBeLessThan(15)
  })

  it('a wire that throws closes this player', () => {
    const faults: unknown[] = []
    const { clock, player } = setup({}, { wire: { send: () => { throw new Error('gone') } }, onFault: (error) => faults.push(error) })
    say(player, 0, 5)
    clock.pass(200)
    expect(faults).toEqual([new Error('gone')])
    player.close()
  })

  it('covers a hole in speech with the background, and counts it', () => {
    const { clock, player } = setup()
    player.background({ pcm: Int16Array.of(1), gainDb: 0 })
    player.enqueue('u0', speech(0, 0, 5))
    clock.pass(500)
    expect(player.stats().underruns).toBeGreaterThan(10)
  })

  it('without marks and clear: paced frame by frame, settled by time, and a cut leaves what is under way', () => {
    const sent: number[] = []
    const settled: string[] = []
    const { clock, player } = setup({}, { wire: { send: (_pcm, slot) => sent.push(slot) }, latencyMs: 100, onSettled: (id, outcome) => settled.push(`${id} ${outcome}`) })
    say(player, 0, 100)
    clock.pass(400)
    expect(sent.length).toBe(20)
    player.cut()
    clock.pass(1_000)
    expect(sent.length).toBe(20)
    expect(settled).toEqual(['u0 cut'])
    expect(heardMs(player, 'u0')).toBe(400)
  })

  it('sends silence without end where the wire wants a stream', () => {
    const sent: number[] = []
    const { clock } = setup({}, { wire: { send: (pcm) => sent.push(pcm[0]!) }, continuous: true })
    clock.pass(1_000)
    expect(sent).toEqual(Array.from({ length: 50 }, () => 0))
  })
})

const faultsArbitrary: fc.Arbitrary<CarrierFaults> = fc.record({
  thereMs: fc.array(fc.nat(150), { minLength: 1, maxLength: 5 }),
  backMs: fc.array(fc.nat(300), { minLength: 1, maxLength: 5 }),
  loseMarkEvery: fc.constantFrom(0, 0, 2, 3),
})
type Act = { act: 'say' | 'cut' | 'pause' | 'resume' | 'duck' | 'wait'; n: number }
const acts = fc.array(fc.record({ act: fc.constantFrom<Act['act']>('say', 'say', 'wait', 'wait', 'cut', 'pause', 'resume', 'duck'), n: fc.integer({ min: 1, max: 25 }) }), { minLength: 1, maxLength: 14 })

describe('playout truth, against a carrier that delays, loses and reorders marks, and clears while they are under way', () => {
  /** Runs the acts, asking every few milliseconds; `seen` gets heard and true milliseconds of every utterance. */
  function run(call: ReturnType<typeof setup>, script: Act[], seen: (id: string, heard: number, truth: number) => void): void {
    const { clock, player, truth } = call
    const look = (ms: number): void => {
      for (let at = 0; at < ms; at += 7) {
        clock.pass(7)
        for (const { utteranceId, ms: heard } of player.heardUntil()) seen(utteranceId, heard, truth.get(utteranceId) ?? 0)
      }
    }
    let utterance = 0
    for (const { act, n } of script) {
      if (act === 'say') say(player, utterance++, n)
      else if (act === 'wait') look(n * 15)
      else if (act === 'duck') player.duck(0)
      else player[act]()
      look(20)
    }
    player.resume()
    // Long enough for all that was said, and for the slowest mark to come back.
    look(script.reduce((ms, { act, n }) => ms + (act === 'say' ? n * 20 : 0), 1_000))
  }

  it('never says more than was really played, and never takes anything back', () => {
    fc.assert(
      fc.property(faultsArbitrary, acts, fc.integer({ min: 1, max: 6 }), (faults, script, markEveryFrames) => {
        const call = setup(faults, { markEveryFrames })
        const before = new Map<string, number>()
        run(call, script, (id, heard, truth) => {
          expect(heard).toBeLessThanOrEqual(truth)
          expect(heard).toBeGreaterThanOrEqual(before.get(id) ?? 0)
          before.set(id, heard)
        })
      }),
      { numRuns: 60 },
    )
  })

  it('is the truth to within a frame when a mark follows each frame and all have come back', () => {
    const script = fc.array(fc.record({ act: fc.constantFrom<Act['act']>('say', 'wait'), n: fc.integer({ min: 1, max: 25 }) }), { minLength: 1, maxLength: 10 })
    fc.assert(
      fc.property(faultsArbitrary, script, (faults, acts) => {
        const call = setup({ ...faults, loseMarkEvery: 0 }, { markEveryFrames: 1 })
        run(call, acts, () => {})
        for (const { utteranceId, ms, exact } of call.player.heardUntil()) {
          expect(Math.abs(ms - (call.truth.get(utteranceId) ?? 0))).toBeLessThanOrEqual(20)
          expect(exact).toBe(true)
        }
        expect(call.settled.every((entry) => entry.endsWith('heard'))).toBe(true)
      }),
      { numRuns: 300 },
    )
  })

  it('while speech runs it lags by a mark\'s way back and no more', () => {
    const { clock, player, truth } = setup({ thereMs: [30], backMs: [40] }, { markEveryFrames: 1 })
    say(player, 0, 100)
    for (let n = 0; n < 60; n++) {
      clock.pass(29)
      expect((truth.get('u0') ?? 0) - heardMs(player, 'u0')).toBeLessThanOrEqual(40 + 20)
    }
  })

  it('"likely" is nearer: within a frame of the truth when the latency is as it was told', () => {
    const { clock, player, truth } = setup({ thereMs: [60], backMs: [40] }, { latencyMs: 60 })
    say(player, 0, 100)
    for (let n = 0; n < 60; n++) {
      clock.pass(29)
      const likely = player.heardUntil('likely')[0]!.ms
      expect(Math.abs(likely - (truth.get('u0') ?? 0))).toBeLessThanOrEqual(20)
    }
  })

  it('after a cut, all utterances are settled and nothing of them is heard any more', () => {
    fc.assert(
      fc.property(faultsArbitrary, acts, (faults, script) => {
        const call = setup(faults)
        run(call, script, () => {})
        call.player.cut()
        call.clock.pass(200)
        const after = new Map(call.truth)
        call.clock.pass(1_000)
        expect(new Map(call.truth)).toEqual(after)
        expect(call.settled.length).toBe(script.filter(({ act }) => act === 'say').length)
      }),
      { numRuns: 30 },
    )
  })
})

describe('times of words, as they are told when an utterance is settled', () => {
  const WORD_MS = 100
  type Told = { id: string; words: HeardWord[]; time: { startMs: number; endMs: number } | null; text: string }

  /** Runs the acts; each utterance is of words of 100 ms. */
  function run(faults: Partial<CarrierFaults>, script: Act[]): Told[] & { playedAt: Map<string, number> } {
    const told: Told[] = []
    const { clock, player, playedAt } = setup(faults, {
      onSettled: (id, outcome) => {
        const belief = outcome === 'cut' ? 'likely' : 'proven'
        told.push({ id, words: player.heardWords(id, belief), time: player.timeOf(id), text: player.heardText(id, belief) })
      },
    })
    let said = 0
    for (const { act, n } of script) {
      if (act === 'say') {
        const words = Array.from({ length: Math.ceil((n * 20) / WORD_MS) }, (_, at) => ({ charStart: at * 5, charEnd: at * 5 + 4, startMs: at * WORD_MS, endMs: Math.min(n * 20, (at + 1) * WORD_MS) }))
        player.text(`u${said}`, words.map((_, at) => `w${String(at).padStart(3, '0')}`).join(' '))
        player.spans(`u${said}`, words, false)
        say(player, said++, n)
      } else if (act === 'duck') player.duck(0)
      else if (act !== 'wait') player[act]()
      clock.pass(n * 20)
    }
    player.resume()
    clock.pass(20_000)
    return Object.assign(told, { playedAt })
  }

  it('are in order, without overlap, within what was played, and of nothing that was not heard', () => {
    fc.assert(
      fc.property(faultsArbitrary, acts, (faults, script) => {
        for (const { words, time, text } of run(faults, script)) {
          let passed = { charEnd: 0, endMs: time?.startMs ?? 0 }
          for (const word of words) {
            expect(word.charStart).toBeGreaterThanOrEqual(passed.charEnd)
            expect(word.startMs).toBeGreaterThanOrEqual(passed.endMs)
            expect(word.endMs).toBeGreaterThanOrEqual(word.startMs)
            passed = word
          }
          expect(passed.endMs).toBeLessThanOrEqual(time?.endMs ?? 0)
          expect(passed.charEnd).toBeLessThanOrEqual(text.length)
          expect(words.length).toBe(text.split(' ').filter((word) => word.length === 4).length)
        }
      }),
    )
  })

  it('are when the caller heard them, to within the way to the carrier and a frame', () => {
    fc.assert(
      fc.property(fc.nat(60), acts, (thereMs, script) => {
        const told = run({ thereMs: [thereMs] }, script)
        for (const { id, words } of told) {
          for (const { charStart, startMs } of words) {
            const heardAt = told.playedAt.get(`${id}.${(charStart / 5) * WORD_MS}`)
            expect(heardAt, `${id} ${charStart}`).toBeDefined()
            expect(Math.abs(heardAt! - startMs)).toBeLessThanOrEqual(thereMs + 25)
          }
        }
      }),
    )
  })
})
