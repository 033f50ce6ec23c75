import fc from 'fast-check'
import { describe, expect, it, onTestFinished } from 'vitest'
import { PlayoutClock } from './clock.ts'
import type { PlayoutHandle } from './clock.ts'
import type { SlotOutcome } from './member.ts'
import { ManualClock } from './testing.ts'

type Played = { slot: number; dueMs: number; atMs: number }

function call(wheel: PlayoutClock, time: ManualClock, leadMs: number, outcome: () => SlotOutcome = () => 'sent') {
  const played: Played[] = []
  const faults: unknown[] = []
  const handle: PlayoutHandle = wheel.join(
    {
      playSlot(slot, dueMs) {
        const result = outcome()
        if (result === 'sent') played.push({ slot, dueMs, atMs: time.nowMs() })
        return result
      },
      onFault: (error) => faults.push(error),
    },
    { leadMs },
  )
  return { handle, played, faults }
}

function setup() {
  const time = new ManualClock()
  const wheel = new PlayoutClock({ clock: time })
  onTestFinished(() => wheel.close())
  return { time, wheel }
}

describe('playout clock', () => {
  it('sends a frame every 20 ms, on the grid', () => {
    const { time, wheel } = setup()
    const { handle, played } = call(wheel, time, 0)
    handle.kick()
    time.pass(1_000)
    expect(played.length).toBe(50)
    expect(played.map(({ atMs, dueMs }) => atMs - dueMs)).toEqual(Array.from({ length: 50 }, () => 0))
    expect(played[49]!.dueMs - played[0]!.dueMs).toBe(49 * 20)
  })

  it('does not drift in ten minutes of timers that are always late', () => {
    const { time, wheel } = setup()
    const { handle, played } = call(wheel, time, 0)
    handle.kick()
    for (let minute = 0; minute < 10 * 60 * 10; minute++) {
      time.stall(3)
      time.pass(97)
    }
    expect(played.length).toBe(10 * 60 * 50)
    expect(played.at(-1)!.atMs - played.at(-1)!.dueMs).toBeLessThanOrEqual(3)
    expect(handle.stats()).toMatchObject({ slotsSkipped: 0, underruns: 0 })
    expect(wheel.stats().driftMs).toBeLessThanOrEqual(3)
  })

  it('fills the lead window at once and then keeps pace', () => {
    const { time, wheel } = setup()
    const { handle, played } = call(wheel, time, 160)
    handle.kick()
    expect(played.length).toBe(9)
    time.pass(1_000)
    expect(played.length).toBe(59)
    expect(Math.max(...played.map(({ dueMs, atMs }) => dueMs - atMs))).toBeLessThanOrEqual(160)
  })

  it('skips the slots of a long stall and bursts no more than the lead window', () => {
    const { time, wheel } = setup()
    const rtp = call(wheel, time, 0)
    const carrier = call(wheel, time, 160)
    rtp.handle.kick()
    carrier.handle.kick()
    time.pass(200)
    const before = [rtp.played.length, carrier.played.length] as const
    time.stall(1_000)
    time.pass(1)
    expect(rtp.played.length - before[0]).toBe(1)
    expect(carrier.played.length - before[1]).toBe(9)
    expect(rtp.handle.stats().slotsSkipped).toBe(49)
    expect(carrier.handle.stats().slotsSkipped).toBe(50 - 9)
    expect(rtp.handle.stats().lateness.maxMs).toBeGreaterThan(950)
  })

  it('a stall within the lead window is not heard: nothing is skipped', () => {
    const { time, wheel } = setup()
    const { handle, played } = call(wheel, time, 160)
    handle.kick()
    time.pass(200)
    time.stall(150)
    time.pass(50)
    expect(handle.stats().slotsSkipped).toBe(0)
    expect(played.map(({ slot }) => slot - played[0]!.slot)).toEqual(played.map((_, n) => n))
  })

  it('whatever the stalls: slots rise, nothing is sent before its lead or after its slot, and every slot is sent or skipped', () => {
    const step = fc.record({ stallMs: fc.integer({ min: 0, max: 400 }), passMs: fc.integer({ min: 1, max: 300 }) })
    fc.assert(
      fc.property(fc.array(step, { minLength: 1, maxLength: 20 }), fc.constantFrom(0, 40, 160), (steps, leadMs) => {
        const { time, wheel } = setup()
        const { handle, played } = call(wheel, time, leadMs)
        handle.kick()
        for (const { stallMs, passMs } of steps) {
          time.stall(stallMs)
          time.pass(passMs)
        }
        const slots = played.map(({ slot }) => slot)
        if (slots.length === 0) return
        expect(slots).toEqual([...new Set(slots)].sort((a, b) => a - b))
        for (const { dueMs, atMs } of played) {
          expect(dueMs - atMs).toBeLessThanOrEqual(leadMs)
          expect(atMs - dueMs).toBeLessThan(20)
        }
        expect(handle.stats().framesSent + handle.stats().slotsSkipped).toBe(slots.at(-1)! - slots[0]! + 1)
      }),
    )
  })

  it('one timer serves all calls, spread over the frame; a call that has nothing to say costs no wake-up', () => {
    const { time, wheel } = setup()
    const calls = Array.from({ length: 40 }, () => call(wheel, time, 0, () => 'sent'))
    const silent = call(wheel, time, 0, () => 'idle')
    expect(time.waiting).toBe(0)
    for (const { handle } of [...calls, silent]) handle.kick()
    time.pass(500)
    expect(time.waiting).toBe(1)
    expect(calls.every(({ played }) => played.length === 25)).toBe(true)
    expect(new Set(calls.map(({ played }) => played[0]!.dueMs)).size).toBe(10)
    for (const { handle } of calls) handle.leave()
    time.pass(100)
    expect(time.waiting).toBe(0)
  })

  it('a sleeper that is kicked begins at the present, without counting its sleep as missed', () => {
    const { time, wheel } = setup()
    let outcome: SlotOutcome = 'sent'
    const { handle, played } = call(wheel, time, 160, () => outcome)
    handle.kick()
    outcome = 'idle'
    time.pass(5_000)
    outcome = 'sent'
    const before = played.length
    handle.kick()
    expect(played.length - before).toBe(9)
    expect(played[before]!.dueMs).toBeGreaterThan(time.nowMs() - 20)
    expect(handle.stats()).toMatchObject({ slotsSkipped: 0, underruns: 0 })
  })

  it('a kick from inside a slot keeps the call awake', () => {
    const { time, wheel } = setup()
    let kicks = 0
    const handle = wheel.join(
      {
        playSlot: () => {
          if (kicks++ < 3) handle.kick()
          return 'idle'
        },
        onFault: (error) => expect.unreachable(String(error)),
      },
      { leadMs: 0 },
    )
    handle.kick()
    time.pass(500)
    expect(kicks).toBe(4)
  })

  it('counts an underrun for each slot that passes in the middle of speech, and none while frames sent ahead still play', () => {
    const { time, wheel } = setup()
    let outcome: SlotOutcome = 'sent'
    const { handle } = call(wheel, time, 160, () => outcome)
    handle.kick()
    outcome = 'starved'
    time.pass(150)
    expect(handle.stats().underruns).toBe(0)
    time.pass(100)
    handle.kick()
    handle.kick()
    const { underruns } = handle.stats()
    expect(underruns).toBeGreaterThanOrEqual(4)
    expect(underruns).toBeLessThanOrEqual(5)
  })

  it('after a clear the slots that were filled ahead are filled again', () => {
    const { time, wheel } = setup()
    const { handle, played } = call(wheel, time, 160)
    handle.kick()
    time.pass(100)
    handle.rewindLead()
    const before = played.length
    handle.kick()
    expect(played.length - before).toBe(8)
    expect(played[before]!.dueMs - time.nowMs()).toBeLessThanOrEqual(20)
  })

  it('a call that throws is taken out, the others go on', () => {
    const { time, wheel } = setup()
    const bad = call(wheel, time, 0, () => {
      throw new Error('socket gone')
    })
    const good = call(wheel, time, 0)
    bad.handle.kick()
    good.handle.kick()
    time.pass(200)
    expect(bad.faults).toEqual([new Error('socket gone')])
    expect(good.played.length).toBe(10)
    expect(wheel.stats().members).toBe(1)
  })

  it('measures lateness of the slot, not of the timer: a stall makes every slot it covered late', () => {
    const { time, wheel } = setup()
    const { handle } = call(wheel, time, 0)
    handle.kick()
    time.pass(1_000)
    expect(handle.stats().lateness).toMatchObject({ p50Ms: 0, maxMs: 0 })
    time.stall(400)
    time.pass(20)
    const { count, p50Ms, p99Ms } = handle.stats().lateness
    expect(count).toBe(71)
    expect(p50Ms).toBeLessThanOrEqual(0.25)
    expect(p99Ms).toBeGreaterThan(350)
  })

  it('runs on the real clock', async () => {
    const wheel = new PlayoutClock()
    onTestFinished(() => wheel.close())
    let frames = 0
    await new Promise<void>((resolve) => {
      const handle = wheel.join({ playSlot: () => (++frames === 5 ? (resolve(), 'idle') : 'sent'), onFault: () => {} }, { leadMs: 0 })
      handle.kick()
    })
    expect(frames).toBe(5)
  })
})
