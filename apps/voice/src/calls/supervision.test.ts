import { AppError } from '@trunkline/core'
import type { LegRole, MediaPlane, Pcm, Room, WebRtcJoin, WebRtcLeg } from '@trunkline/media'
import { describe, expect, it } from 'vitest'
import { Supervision, type SupervisionOptions } from './supervision.ts'

const FRAME = new Int16Array(160).fill(1_000)
const OFFER = 'v=0\r\na=sendrecv\r\n'

/** A room without sound of its own: the test speaks for those who join. Who hears whom in a room is tested there. */
function room(wish: Partial<SupervisionOptions> = {}) {
  const [taken, heard, roles]: [boolean[], string[], string[]] = [[], [], []]
  const people = new Map<string, { says(pcm: Pcm): void; connects(): void; goes(): void }>()
  let joined = 0
  const leg = (id: string): WebRtcLeg => {
    let [onFrame, onConnected, onClosed]: [(pcm: Pcm, atMs: number) => void, () => void, (reason: string) => void] = [() => {}, () => {}, () => {}]
    people.set(id, { says: (pcm) => onFrame(pcm, 0), connects: () => onConnected(), goes: () => onClosed('gone') })
    return {
      id, sampleRateHz: 8_000, onFrame: (listener) => void (onFrame = listener), onConnected: (listener) => void (onConnected = listener), onClosed: (listener) => void (onClosed = listener),
      send: () => {}, close: (reason) => onClosed(reason), renegotiate: async () => '',
    }
  }
  const place = {
    async join(role: LegRole, options: { kind: string } & Partial<Pick<WebRtcJoin, 'onAnswer'>>) {
      options.onAnswer?.('v=0 answer')
      return options.kind === 'direct' ? { wire: { say: () => {}, onHear: () => {} } } : leg(`leg-${++joined}`)
    },
    setRole: (id: string, role: LegRole) => void roles.push(`${id} ${typeof role === 'string' ? role : role.supervisor}`),
    close: () => {},
  } as unknown as Room
  const supervision = new Supervision({
    callId: 'call', sampleRateHz: 8_000, plane: async () => ({ openRoom: async () => place }) as unknown as MediaPlane, admit: () => {},
    onVoice: () => heard.push('caller'), onTakeOver: (on) => taken.push(on), onLeft: () => heard.push('left'),
    whisper: () => ({ frame: () => heard.push('agent'), end: () => heard.push('end'), close: () => heard.push('dropped') }),
    ...wish,
  })
  return { supervision, taken, heard, roles, person: (n: number) => people.get(`leg-${n}`)! }
}

describe('people of the business in a call', () => {
  it('are heard by nobody, the agent or the caller, by what they do now', async () => {
    const { supervision, heard, roles, person } = room()
    await supervision.join(OFFER, 'listen')
    person(1).connects()
    for (const mode of ['whisper', 'barge', 'listen'] as const) {
      person(1).says(FRAME)
      supervision.change('leg-1', mode)
    }
    person(1).says(FRAME)
    expect(heard).toEqual(['agent', 'end', 'caller'])
    expect(roles).toEqual(['leg-1 whisper', 'leg-1 barge', 'leg-1 listen'])
  })

  it('take the word from the agent when they are connected, and give it back when the last of them stops', async () => {
    const { supervision, taken, person } = room()
    await supervision.join(OFFER, 'barge')
    await supervision.join(OFFER, 'listen')
    expect(taken).toEqual([])
    person(1).connects()
    person(2).connects()
    supervision.change('leg-2', 'barge')
    person(1).goes()
    expect(taken).toEqual([true])
    supervision.change('leg-2', 'whisper')
    expect(taken).toEqual([true, false])
  })

  it('are heard together by the caller, one frame at a time', async () => {
    const sent: number[] = []
    const { supervision, person } = room({ onVoice: (pcm) => sent.push(pcm[0]!) })
    for (const n of [1, 2, 3]) {
      await supervision.join(OFFER, 'barge')
      person(n).connects()
    }
    const level = (value: number): Pcm => new Int16Array(160).fill(value)
    for (let n = 0; n < 3; n++) {
      person(1).says(level(1_000))
      person(2).says(level(400))
      person(3).says(level(500))
    }
    expect(sent).toEqual([1_000, 1_900, 1_900])
    person(1).goes()
    person(2).says(level(400))
    expect(sent.at(-1)).toBe(900)
  })

  it('who only listened and leave change nothing for the caller, who may be on hold', async () => {
    const { supervision, taken, heard, person } = room()
    await supervision.join(OFFER, 'listen')
    person(1).connects()
    person(1).goes()
    expect([taken, heard]).toEqual([[], ['left']])
  })

  it('are heard out when they leave, and dropped when the call is over', async () => {
    const { supervision, heard, person } = room()
    await supervision.join(OFFER, 'whisper')
    await supervision.join(OFFER, 'whisper')
    for (const n of [1, 2]) person(n).says(FRAME)
    person(1).goes()
    supervision.close()
    person(2).says(FRAME)
    expect(heard).toEqual(['agent', 'agent', 'end', 'left', 'dropped'])
    await expect(supervision.join(OFFER, 'listen')).rejects.toMatchObject({ code: 'invalid_state' })
  })

  it('are refused what cannot be: a sixth, speaking without sound, what the call does not admit, a leg that is not there', async () => {
    const admit: SupervisionOptions['admit'] = (mode, others) => {
      if (mode === 'whisper' && others.includes('whisper')) throw new AppError('invalid_state')
    }
    const { supervision } = room({ admit })
    await expect(supervision.join('v=0\r\na=recvonly\r\n', 'whisper')).rejects.toMatchObject({ code: 'invalid_request', param: 'sdp' })
    await supervision.join('v=0\r\na=recvonly\r\n', 'listen')
    expect(() => supervision.change('leg-1', 'barge')).toThrow(/only hears/)
    await supervision.join(OFFER, 'whisper')
    await expect(supervision.join(OFFER, 'whisper')).rejects.toMatchObject({ code: 'invalid_state' })
    supervision.change('leg-2', 'whisper')
    expect(() => supervision.change('leg-9', 'listen')).toThrow(expect.objectContaining({ code: 'not_found' }))
    for (let n = 3; n <= 5; n++) await supervision.join(OFFER, 'listen')
    await expect(supervision.join(OFFER, 'listen')).rejects.toMatchObject({ code: 'invalid_state' })
  })
})
