import { describe, expect, it } from 'vitest'
import fc from 'fast-check'
import { AppError } from '@trunkline/core'
import { frameSamples } from '../../frame.ts'
import type { Pcm, SampleRateHz } from '../../frame.ts'
import { PlayoutClock } from '../../playout/clock.ts'
import { ManualClock } from '../../playout/testing.ts'
import type { DirectLeg, LegRole } from '../contract.ts'
import { createDirectPlane } from '../direct.ts'
import { hears } from './audible.ts'

const RATES = [8_000, 16_000, 24_000, 48_000] as const

function office(onFault?: (error: unknown) => void) {
  const time = new ManualClock()
  const clock = new PlayoutClock({ clock: time })
  return { time, plane: createDirectPlane({ clock, time, onFault }) }
}

/** A level stands for a voice: sums of levels tell who is in a mix. */
const level = (value: number, rateHz: SampleRateHz = 8_000): Pcm => new Int16Array(frameSamples(rateHz)).fill(value)

function ear(leg: DirectLeg): Pcm[] {
  const heard: Pcm[] = []
  leg.wire.onHear((pcm) => heard.push(pcm.slice()))
  return heard
}

/** What each participant of a room hears (in the middle of the sound) when each says its level without a pause. */
async function levelsHeard(roles: readonly LegRole[], levels: readonly number[]): Promise<number[]> {
  const { time, plane } = office()
  const room = await plane.openRoom('r')
  const legs = await Promise.all(roles.map((role) => room.join(role, { kind: 'direct', sampleRateHz: 8_000 })))
  const ears = legs.map(ear)
  for (let n = 0; n < 6; n++) {
    legs.forEach((leg, i) => leg.wire.say(level(levels[i]!)))
    time.pass(20)
  }
  await plane.close()
  return ears.map((heard) => heard.at(-1)?.[0] ?? 0)
}

describe('a room', () => {
  it('hands a frame of one to the other without a copy, and wakes nobody for it', async () => {
    const { time, plane } = office()
    const room = await plane.openRoom('r')
    const caller = await room.join('caller', { kind: 'direct', sampleRateHz: 8_000 })
    const agent = await room.join('agent', { kind: 'direct', sampleRateHz: 8_000 })
    const heard: Pcm[] = []
    agent.wire.onHear((pcm) => heard.push(pcm))
    const said = level(1_000)
    caller.wire.say(said)
    expect(heard[0]).toBe(said)
    expect(time.waiting).toBe(0)
  })

  it('lets everybody hear the others and nobody himself', async () => {
    expect(await levelsHeard(['caller', 'agent', 'colleague'], [1, 10, 100])).toEqual([110, 101, 11])
  })

  it('lets a supervisor listen, whisper to the agent side, and barge in', async () => {
    const heard = (supervisor: 'listen' | 'whisper' | 'barge') => levelsHeard(['caller', 'agent', 'colleague', { supervisor }], [1, 10, 100, 1_000])
    expect(await heard('listen')).toEqual([110, 101, 11, 111])
    expect(await heard('whisper')).toEqual([110, 1_101, 1_011, 111])
    expect(await heard('barge')).toEqual([1_110, 1_101, 1_011, 111])
  })

  it('limits loud sums instead of turning them over, whatever the order', async () => {
    expect(await levelsHeard(['caller', 'agent', 'colleague', 'colleague'], [30_000, 30_000, -30_000, 30_000])).toEqual([30_000, 30_000, 32_767, 30_000])
    expect(await levelsHeard(['caller', 'agent', 'colleague'], [0, -30_000, -30_000])).toEqual([-32_768, -30_000, -30_000])
  })

  it('gives each listener the sum of those it may hear, for any roles (mix-minus)', async () => {
    const role = fc.constantFrom<LegRole>('caller', 'agent', 'colleague', { supervisor: 'listen' }, { supervisor: 'whisper' }, { supervisor: 'barge' })
    await fc.assert(
      fc.asyncProperty(fc.array(fc.tuple(role, fc.integer({ min: -4_000, max: 4_000 })), { minLength: 2, maxLength: 6 }), async (people) => {
        const heard = await levelsHeard(people.map(([role]) => role), people.map(([, level]) => level))
        const expected = people.map(([listener], i) => people.reduce((sum, [speaker, level], n) => (n !== i && hears(listener, speaker) ? sum + level : sum), 0))
        expect(heard).toEqual(expected)
      }),
      { numRuns: 60 },
    )
  })

  it('lets any two rates talk, alone and in a mix, 20 ms for 20 ms', async () => {
    for (const from of RATES) {
      for (const to of RATES) {
        const { time, plane } = office()
        const room = await plane.openRoom('r')
        const caller = await room.join('caller', { kind: 'direct', sampleRateHz: from })
        const agent = await room.join('agent', { kind: 'direct', sampleRateHz: to })
        const heard = ear(agent)
        for (let n = 0; n < 10; n++) caller.wire.say(level(8_000, from))
        expect(heard.map((pcm) => pcm.length)).toEqual(Array.from({ length: 10 }, () => frameSamples(to)))
        expect(heard.at(-1)![0]).toBeCloseTo(8_000, -2)

        const colleague = await room.join('colleague', { kind: 'direct', sampleRateHz: 8_000 })
        heard.length = 0
        for (let n = 0; n < 10; n++) {
          caller.wire.say(level(8_000, from))
          colleague.wire.say(level(1_000))
          time.pass(20)
        }
        expect(new Set(heard.map((pcm) => pcm.length))).toEqual(new Set([frameSamples(to)]))
        expect(heard.at(-1)![0]).toBeCloseTo(9_000, -2)
        await plane.close()
      }
    }
  })

  it('keeps frames of three in order and whole when one of them comes in bursts', async () => {
    const { time, plane } = office()
    const room = await plane.openRoom('r')
    const [caller, agent, supervisor] = await Promise.all([room.join('caller', { kind: 'direct', sampleRateHz: 8_000 }), room.join('agent', { kind: 'direct', sampleRateHz: 8_000 }), room.join({ supervisor: 'listen' }, { kind: 'direct', sampleRateHz: 8_000 })])
    const heard = ear(supervisor)
    for (let n = 1; n <= 20; n++) {
      caller.wire.say(level(n))
      if (n % 2 === 0) for (const k of [n - 1, n]) agent.wire.say(level(k * 100)) // Two at once, then none.
      time.pass(20)
    }
    time.pass(200)
    expect(heard.map((pcm) => pcm[0]! % 100).filter((n) => n > 0)).toEqual(Array.from({ length: 20 }, (_, n) => n + 1))
    expect(heard.map((pcm) => Math.trunc(pcm[0]! / 100)).filter((n) => n > 0)).toEqual(Array.from({ length: 20 }, (_, n) => n + 1))
  })

  it('forgets the oldest sound of a source that is faster than time, so that delay does not grow', async () => {
    const { time, plane } = office()
    const room = await plane.openRoom('r')
    const [caller, agent, supervisor] = await Promise.all([room.join('caller', { kind: 'direct', sampleRateHz: 8_000 }), room.join('agent', { kind: 'direct', sampleRateHz: 8_000 }), room.join({ supervisor: 'listen' }, { kind: 'direct', sampleRateHz: 8_000 })])
    const heard = ear(supervisor)
    agent.wire.say(level(0))
    for (let n = 1; n <= 100; n++) caller.wire.say(level(n))
    time.pass(400)
    expect(heard.map((pcm) => pcm[0])).toContain(100)
    expect(heard.length).toBeLessThan(12)
  })

  it('plays what is sent to one leg to that leg only, beside what it hears', async () => {
    const { time, plane } = office()
    const room = await plane.openRoom('r')
    const [caller, agent] = await Promise.all([room.join('caller', { kind: 'direct', sampleRateHz: 8_000 }), room.join('agent', { kind: 'direct', sampleRateHz: 8_000 })])
    const [atCaller, atAgent] = [ear(caller), ear(agent)]
    for (let n = 0; n < 5; n++) {
      agent.wire.say(level(10))
      caller.send(level(1_000))
      time.pass(20)
    }
    expect(atCaller.at(-1)![0]).toBe(1_010)
    expect(atAgent).toEqual([])
  })

  it('tells what each says with its time in the room; a pause is a jump of that time', async () => {
    const { time, plane } = office()
    const room = await plane.openRoom('r')
    time.pass(300)
    const caller = await room.join('caller', { kind: 'direct', sampleRateHz: 8_000 })
    const said: [number, number][] = []
    caller.onFrame((pcm, timestampMs) => said.push([pcm[0]!, timestampMs]))
    for (const waitMs of [20, 35, 5, 20, 500, 20]) {
      caller.wire.say(level(7))
      time.pass(waitMs)
    }
    expect(said.map(([, at]) => at)).toEqual([300, 320, 340, 360, 380, 880])
  })

  it('hands a caller over: a colleague joins, the agent leaves, nobody loses a word (warm transfer)', async () => {
    const { time, plane } = office()
    const room = await plane.openRoom('r')
    const caller = await room.join('caller', { kind: 'direct', sampleRateHz: 8_000 })
    const agent = await room.join('agent', { kind: 'direct', sampleRateHz: 8_000 })
    const colleague = await room.join('colleague', { kind: 'direct', sampleRateHz: 8_000 })
    const heard = ear(colleague)
    for (let n = 1; n <= 10; n++) {
      if (n === 6) agent.close('transferred')
      caller.wire.say(level(n))
      time.pass(20)
    }
    expect(heard.map((pcm) => pcm[0])).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10])
  })

  it('is told once why a leg and the room were closed, also when it asks later', async () => {
    const { plane } = office()
    const room = await plane.openRoom('r')
    const caller = await room.join('caller', { kind: 'direct', sampleRateHz: 8_000 })
    const told: string[] = []
    caller.onClosed((reason) => told.push(`leg ${reason}`))
    room.onClosed((reason) => told.push(`room ${reason}`))
    caller.close('hang_up')
    caller.close('again')
    room.close('ended')
    room.close('again')
    caller.onClosed((reason) => told.push(`late ${reason}`))
    expect(told).toEqual(['leg hang_up', 'room ended', 'late hang_up'])
    await expect(room.join('agent', { kind: 'direct', sampleRateHz: 8_000 })).rejects.toMatchObject({ code: 'invalid_state' })
    expect((await plane.openRoom('r')).id).toBe('r')
  })

  it('closes the leg whose listener throws; the others hear on', async () => {
    const faults: unknown[] = []
    const { plane } = office((error) => faults.push(error))
    const room = await plane.openRoom('r')
    const caller = await room.join('caller', { kind: 'direct', sampleRateHz: 8_000 })
    const [one, two] = [await room.join({ supervisor: 'listen' }, { kind: 'direct', sampleRateHz: 8_000 }), await room.join({ supervisor: 'listen' }, { kind: 'direct', sampleRateHz: 8_000 })]
    one.wire.onHear(() => {
      throw new Error('broken socket')
    })
    const heard = ear(two)
    const told = new Promise((resolve) => one.onClosed(resolve))
    caller.wire.say(level(5))
    caller.wire.say(level(6))
    expect(await told).toBe('listener_failed')
    expect(heard.map((pcm) => pcm[0])).toEqual([5, 6])
    expect(faults).toHaveLength(1)
  })

  it('says what is wrong: a frame that is not 20 ms, a second room of one id, too many legs, WebRTC without a worker', async () => {
    const { plane } = office()
    const room = await plane.openRoom('r')
    const caller = await room.join('caller', { kind: 'direct', sampleRateHz: 16_000 })
    expect(() => caller.wire.say(level(1))).toThrow(/16000 Hz has 320 samples/)
    await expect(plane.openRoom('r')).rejects.toBeInstanceOf(AppError)
    await expect(room.join('caller', { kind: 'webrtc', offerSdp: '', onAnswer() {} })).rejects.toMatchObject({ code: 'unavailable' })
    for (let n = 0; n < 15; n++) await room.join('colleague', { kind: 'direct', sampleRateHz: 8_000 })
    await expect(room.join('colleague', { kind: 'direct', sampleRateHz: 8_000 })).rejects.toThrow(/holds 16 legs/)
  })

  it('catches up after a stall of the process without losing what lay in the queues', async () => {
    const { time, plane } = office()
    const room = await plane.openRoom('r')
    const legs = await Promise.all((['caller', 'agent', 'colleague'] as const).map((role) => room.join(role, { kind: 'direct', sampleRateHz: 8_000 })))
    const heard = ear(legs[2]!)
    const sayBoth = (n: number) => legs.slice(0, 2).forEach((leg) => leg.wire.say(level(n)))
    for (let n = 1; n <= 3; n++) {
      sayBoth(n)
      time.pass(20)
    }
    time.stall(60)
    for (let n = 4; n <= 6; n++) sayBoth(n)
    time.pass(60)
    expect(heard.map((pcm) => pcm[0])).toEqual([2, 4, 6, 8, 10, 12])
  })
})
