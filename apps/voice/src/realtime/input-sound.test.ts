import { realtime } from '@trunkline/channels'
import { createEnergyVad } from '@trunkline/media'
import { describe, expect, it } from 'vitest'
import { InputSound } from './input-sound.ts'

type Input = ConstructorParameters<typeof InputSound>[1]
const SERVER: Input = realtime.realtimeDefaults({ model: 'm', voice: 'v' }).audio.input
const MANUAL: Input = { ...SERVER, turn_detection: null }
const NOBODY = { speechStarted() {}, speechStopped() {} }

const soundOf = (input: Input) => new InputSound(createEnergyVad(), input, NOBODY)
/** Samples that tell when they were said: their second. */
function appendSeconds(sound: InputSound, seconds: number, from = 0): void {
  for (let second = from; second < from + seconds; second++) {
    const bytes = Buffer.alloc(48_000)
    for (let at = 0; at < bytes.length; at += 2) bytes.writeInt16LE(second, at)
    sound.feed(bytes)
  }
}

describe('the caller\'s sound', () => {
  it('is all there for a client that says itself when a turn is over, minutes later', () => {
    const sound = soundOf(MANUAL)
    appendSeconds(sound, 300)
    const turn = sound.between(1_000, 299_000)
    expect(turn.length).toBe(298 * 24_000)
    expect([turn[0], turn.at(-1)]).toEqual([1, 298])
  })

  it('of a silent caller is kept for as long as a late detector needs, and no longer', () => {
    const sound = soundOf(SERVER)
    appendSeconds(sound, 60)
    expect(sound.position).toBe(60_000)
    const left = sound.between(0, 60_000).length / 24_000
    expect(left).toBeGreaterThan(5)
    expect(left).toBeLessThan(8)
    sound.close()
  })

  it('that was committed is let go, and the next turn is cut at the right place', () => {
    const sound = soundOf(MANUAL)
    appendSeconds(sound, 10)
    sound.release(8_000)
    expect(sound.between(0, 8_000).length).toBe(0)
    appendSeconds(sound, 5, 10)
    expect([sound.between(9_000, 12_000)[0], sound.between(9_000, 12_000).length]).toEqual([9, 3 * 24_000])
  })

  it('of another format begins anew', () => {
    const sound = soundOf(MANUAL)
    appendSeconds(sound, 2)
    sound.configure({ ...MANUAL, format: { type: 'audio/pcmu' } })
    sound.feed(new Uint8Array(8_000))
    expect(sound.between(0, 3_000).length).toBe(8_000)
    expect(sound.position).toBe(3_000)
  })
})
