import { describe, expect, it } from 'vitest'
import { drive, typesOf } from '../../testing/realtime/driver.ts'
import { difference, filled, goldens, happeningOf, type Golden, type Names } from '../../testing/realtime/golden.ts'
import { realtimeDefaults, restore, serialise, step, receive, transcriptionDefaults } from './index.ts'

const open = ({ playout, mode }: Golden) =>
  drive({ playout, config: mode === 'realtime' ? realtimeDefaults({ model: 'agent', voice: 'alloy' }) : transcriptionDefaults('whisper-1') })

describe('the order of events', () => {
  it.each(goldens().map((golden) => [golden.name, golden] as const))('%s', (_, golden) => {
    const session = open(golden)
    const names: Names = new Map()
    for (const [index, scene] of golden.scenes.entries()) {
      const { send, happen } = filled({ send: scene.send, happen: scene.happen }, names)
      const sent = send ? session.client(send) : happen ? session.happen(happeningOf(happen)) : session.events
      expect(typesOf(sent), `scene ${index}`).toEqual(scene.expect.map((event) => event.type))
      expect(difference(scene.expect, sent, names), `scene ${index}`).toBeNull()
      if (scene.effects) expect(difference(scene.effects, session.last(), names), `effects of scene ${index}`).toBeNull()
    }
  })

  it.each(goldens().map((golden) => [golden.name, golden] as const))('is the same in a process that took over in the middle: %s', (_, golden) => {
    const session = open(golden)
    const names: Names = new Map()
    for (const scene of golden.scenes) {
      const { send, happen } = filled({ send: scene.send, happen: scene.happen }, names)
      const elsewhere = restore(serialise(session.state()))
      const there = send
        ? receive(elsewhere, JSON.stringify(send))
        : happen
          ? step(elsewhere, happeningOf(happen))
          : { state: elsewhere, send: session.events, effects: session.effects }
      const here = send ? session.client(send) : happen ? session.happen(happeningOf(happen)) : session.events
      difference(scene.expect, here, names)
      expect(there).toEqual({ state: session.state(), send: here, effects: session.last() })
    }
  })
})
