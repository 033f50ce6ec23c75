import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { RTCDataChannel } from 'werift'
import { AppError } from '@trunkline/core'
import type { Pcm } from '../frame.ts'
import { PlayoutClock } from '../playout/clock.ts'
import { ManualClock } from '../playout/testing.ts'
import type { DataChannel, DirectLeg, LegRole, Room, WebRtcLeg } from './contract.ts'
import { createMediasoupPlane } from './mediasoup.ts'
import type { MediasoupPlane } from './mediasoup.ts'
import { Caller, Ear, findWorker, tone } from './webrtc/testing.ts'

const worker = findWorker()
const title = worker.path === null ? `the mediasoup plane (skipped: ${worker.reason})` : 'the mediasoup plane'

/** Peers of another make, real ICE and DTLS-SRTP over the loopback interface. */
describe.skipIf(worker.path === null)(title, () => {
  let plane: MediasoupPlane
  const faults: unknown[] = []
  const callers: Caller[] = []
  let rooms = 0

  beforeAll(async () => {
    plane = await createMediasoupPlane({ workerBin: worker.path!, workers: 1, listen: { ip: '127.0.0.1' }, onFault: (error) => faults.push(error) })
  })
  afterAll(async () => {
    await Promise.all(callers.map((caller) => caller.close()))
    await plane.close()
  })

  const openRoom = (): Promise<Room> => plane.openRoom(`room-${rooms++}`)

  type Joined = { caller: Caller; leg: WebRtcLeg; answer: string }
  async function join(room: Room, role: LegRole, caller: Caller, onDataChannel?: (label: string, channel: DataChannel) => void): Promise<Joined> {
    callers.push(caller)
    let answer = ''
    const leg = await room.join(role, { kind: 'webrtc', offerSdp: await caller.offer(), onAnswer: (sdp) => (answer = sdp), onDataChannel })
    await caller.accept(answer)
    await new Promise<void>((resolve) => leg.onConnected(resolve))
    return { caller, leg, answer }
  }

  /** A direct leg that speaks a tone for as long as the test runs, and hears. */
  async function joinAgent(room: Room, hz?: number): Promise<{ leg: DirectLeg; ear: Ear; hush: () => void }> {
    const leg = await room.join('agent', { kind: 'direct', sampleRateHz: 16_000 })
    const ear = new Ear(16_000)
    leg.wire.onHear(ear.hear)
    if (hz === undefined) return { leg, ear, hush() {} }
    const next = tone(hz, 16_000)
    const timer = setInterval(() => leg.wire.say(next()), 20)
    return { leg, ear, hush: () => clearInterval(timer) }
  }

  it.each(['pcmu', 'pcma', 'opus'] as const)('carries a tone in both directions in %s', async (codec) => {
    const room = await openRoom()
    const { caller, leg, answer } = await join(room, 'caller', await Caller.create(codec))
    expect(answer.toLowerCase()).toContain(`a=rtpmap:${{ pcmu: 0, pcma: 8, opus: 109 }[codec]} ${codec}`)
    const agent = await joinAgent(room, 1_000)
    caller.speak(440)
    await Promise.all([agent.ear.waitFor(440), caller.ear.waitFor(1_000)])
    expect(agent.ear.hears(1_000)).toBe(false) // Nobody hears himself.
    expect(caller.ear.hears(440)).toBe(false)
    expect(leg.sampleRateHz).toBe(codec === 'opus' ? 24_000 : 8_000)
    const steps = caller.received.slice(1).map((sequence, i) => (sequence - caller.received[i]!) & 0xffff)
    expect(new Set(steps)).toEqual(new Set([1]))
    agent.hush()
    room.close('done')
  })

  it('tells what the caller says with its time, and plays to the caller alone what is sent to its leg', async () => {
    const room = await openRoom()
    const { caller, leg } = await join(room, 'caller', await Caller.create('pcmu'))
    const times: number[] = []
    const heard = new Promise<Pcm>((resolve) => leg.onFrame((pcm, timestampMs) => times.push(timestampMs) === 30 && resolve(pcm.slice())))
    caller.speak(500)
    expect((await heard).length).toBe(160)
    // 20 ms of sound each; a machine that stood still in between shows as a hole, never as sound twice.
    const steps = times.slice(1).map((time, index) => time - times[index]!)
    expect(steps.filter((ms) => ms < 20)).toEqual([])
    expect(steps.filter((ms) => ms === 20).length).toBeGreaterThan(20)
    const next = tone(900, 8_000)
    const timer = setInterval(() => leg.send(next()), 20)
    await caller.ear.waitFor(900)
    clearInterval(timer)
    room.close('done')
  })

  it('lets a supervisor in a browser listen, whisper to the agent and barge in', async () => {
    const room = await openRoom()
    const { caller } = await join(room, 'caller', await Caller.create('pcmu'))
    const { caller: supervisor, leg } = await join(room, { supervisor: 'listen' }, await Caller.create('opus'))
    const agent = await joinAgent(room, 1_000)
    caller.speak(440)
    supervisor.speak(700)
    await Promise.all([supervisor.ear.waitFor(440), supervisor.ear.waitFor(1_000), agent.ear.waitFor(440), caller.ear.waitFor(1_000)])
    expect([caller.ear.hears(700), agent.ear.hears(700), supervisor.ear.hears(700)]).toEqual([false, false, false])

    room.setRole(leg.id, { supervisor: 'whisper' })
    await agent.ear.waitFor(700)
    const from = caller.ear.frames
    await new Promise<void>((resolve) => {
      const timer = setInterval(() => caller.ear.frames > from + 30 && (clearInterval(timer), resolve()), 20)
    })
    expect([caller.ear.hears(700), caller.ear.hears(1_000)]).toEqual([false, true])

    room.setRole(leg.id, { supervisor: 'barge' })
    await caller.ear.waitFor(700)
    expect(caller.ear.hears(1_000)).toBe(true)
    agent.hush()
    room.close('done')
  })

  it('hands a caller over to a colleague in another browser, and the agent leaves (warm transfer)', async () => {
    const room = await openRoom()
    const { caller } = await join(room, 'caller', await Caller.create('pcmu'))
    const agent = await joinAgent(room, 1_000)
    caller.speak(440)
    await Promise.all([agent.ear.waitFor(440), caller.ear.waitFor(1_000)])
    const { caller: colleague } = await join(room, 'colleague', await Caller.create('pcmu'))
    colleague.speak(800)
    await Promise.all([colleague.ear.waitFor(440), colleague.ear.waitFor(1_000), agent.ear.waitFor(800), caller.ear.waitFor(800)])
    agent.hush()
    agent.leg.close('transferred')
    await Promise.all([caller.ear.waitFor(1_000, false), colleague.ear.waitFor(1_000, false)])
    expect([caller.ear.hears(800), colleague.ear.hears(440)]).toEqual([true, true])
    room.close('done')
  })

  describe('data channels', () => {
    const opened = (channel: RTCDataChannel): Promise<void> =>
      new Promise((resolve) => {
        if (channel.readyState === 'open') resolve()
        channel.stateChanged.subscribe((state) => state === 'open' && resolve())
      })

    async function withChannel(label = 'oai-events') {
      const room = await openRoom()
      const caller = await Caller.create('pcmu')
      const theirs = caller.openChannel(label)
      const ours = Promise.withResolvers<{ label: string; channel: DataChannel }>()
      const { leg } = await join(room, 'caller', caller, (label, channel) => ours.resolve({ label, channel }))
      await opened(theirs)
      return { room, caller, leg, theirs, ...(await ours.promise) }
    }

    it('echoes text in order, up to the length that the peer takes', async () => {
      const { room, theirs, channel, label } = await withChannel('oai-events')
      expect(label).toBe('oai-events')
      channel.onMessage((text) => channel.send(text))
      const sent = ['hello', 'grüß dich 👋', ...Array.from({ length: 200 }, (_, n) => `{"n":${n}}`), 'x'.repeat(60_000)]
      const echoed: string[] = []
      const all = new Promise<void>((resolve) => theirs.onMessage.subscribe((text) => echoed.push(String(text)) === sent.length && resolve()))
      for (const text of sent) theirs.send(text)
      await all
      expect(echoed).toEqual(sent)
      room.close('done')
    })

    it('keeps what comes before anybody listens, and refuses more than the peer takes', async () => {
      const { room, theirs, channel } = await withChannel()
      theirs.send('first')
      const echo = new Promise((resolve) => theirs.onMessage.subscribe(resolve))
      channel.send('are you there')
      await echo
      const first = await new Promise((resolve) => channel.onMessage(resolve))
      expect(first).toBe('first')
      expect(() => channel.send('x'.repeat(70_000))).toThrow(AppError) // werift says a=max-message-size:65536.
      room.close('done')
    })

    it('is closed by either side, and the other learns of it', async () => {
      const one = await withChannel()
      const told = new Promise<void>((resolve) => one.theirs.stateChanged.subscribe((state) => state === 'closed' && resolve()))
      one.channel.close()
      await told
      one.room.close('done')

      const two = await withChannel()
      const toldUs = new Promise<void>((resolve) => two.channel.onClosed(resolve))
      two.theirs.close()
      await toldUs
      expect([one.theirs.readyState, two.theirs.readyState]).toEqual(['closed', 'closed'])
      two.room.close('done')
    })

    it('ends with the leg', async () => {
      const { leg, channel } = await withChannel()
      const told = new Promise<void>((resolve) => channel.onClosed(resolve))
      leg.close('bye')
      await told
      expect(() => channel.send('late')).not.toThrow()
    })

    it('closes the leg of a peer that floods, and no other', async () => {
      const strict = await createMediasoupPlane({ workerBin: worker.path!, listen: { ip: '127.0.0.1' }, maxMessagesPerSecond: 20 })
      const room = await strict.openRoom('r')
      const [calm, wild] = [await Caller.create('pcmu'), await Caller.create('pcmu')]
      const channels = [calm, wild].map((caller) => caller.openChannel('oai-events'))
      const legs = [await join(room, 'caller', calm, (_label, channel) => channel.onMessage((text) => channel.send(text))), await join(room, 'colleague', wild, () => {})]
      await Promise.all(channels.map(opened))
      const closed = new Promise((resolve) => legs[1]!.leg.onClosed(resolve))
      for (let n = 0; n < 100; n++) channels[1]!.send('flood')
      expect(await closed).toBe('flood')
      const echo = new Promise((resolve) => channels[0]!.onMessage.subscribe(resolve))
      channels[0]!.send('still here')
      expect(String(await echo)).toBe('still here')
      await strict.close()
    })

    it('learns from the end of SCTP that the peer hung up', async () => {
      const { leg, caller } = await withChannel()
      const closed = new Promise((resolve) => leg.onClosed(resolve))
      await caller.close()
      expect(await closed).toBe('peer_closed')
    })
  })

  it('answers a new offer of the same peer with new ICE credentials, and refuses one of another peer', async () => {
    const room = await openRoom()
    const { caller, leg, answer } = await join(room, 'caller', await Caller.create('pcmu'))
    const line = (sdp: string, name: string): string => new RegExp(`a=${name}:(\\S+)`).exec(sdp)![1]!
    const same = await leg.renegotiate(await caller.offer())
    expect(line(same, 'ice-ufrag')).toBe(line(answer, 'ice-ufrag'))
    caller.pc.restartIce()
    const restarted = await leg.renegotiate(await caller.offer())
    expect(line(restarted, 'ice-ufrag')).not.toBe(line(answer, 'ice-ufrag'))
    expect(line(restarted, 'ssrc')).toBe(line(answer, 'ssrc'))
    expect([answer, same, restarted].map((sdp) => /^o=- \d+ (\d+) /m.exec(sdp)![1])).toEqual(['0', '1', '2'])
    const stranger = (await caller.offer()).replaceAll(/(a=fingerprint:sha-256 )../g, (_line, name: string) => `${name}EE`)
    await expect(leg.renegotiate(stranger)).rejects.toThrow(/another certificate/)
    room.close('done')
    await expect(leg.renegotiate(await caller.offer())).rejects.toMatchObject({ code: 'invalid_state' })
  })

  it('does not listen to who has not proved itself by ICE', async () => {
    const room = await openRoom()
    const { caller, answer, leg } = await join(room, 'caller', await Caller.create('pcmu'))
    const port = Number(/a=candidate:\S+ 1 udp \d+ 127\.0\.0\.1 (\d+)/.exec(answer)![1])
    const ssrc = Number(/a=ssrc:(\d+)/.exec(caller.pc.localDescription!.sdp)![1])
    const said: number[] = []
    leg.onFrame((pcm) => said.push(pcm[0]!))
    const stranger = createSocket('udp4')
    for (let n = 0; n < 500; n++) {
      const packet = Buffer.alloc(172, 0x55)
      packet.writeUInt16BE(0x8000, 0)
      packet.writeUInt16BE(n, 2)
      packet.writeUInt32BE(n * 160, 4)
      packet.writeUInt32BE(ssrc, 8)
      stranger.send(n % 2 === 0 ? packet : Buffer.alloc(n, n), port, '127.0.0.1')
    }
    const agent = await joinAgent(room)
    caller.speak(440)
    await agent.ear.waitFor(440)
    expect(said.filter((sample) => Math.abs(sample) > 9_000)).toEqual([]) // 0x55 in mu-law is louder than the tone.
    stranger.close()
    await once(stranger, 'close')
    room.close('done')
  })

  it('is joined and left again and again, and nothing stays behind', async () => {
    const room = await openRoom()
    const reasons: string[] = []
    for (let n = 0; n < 20; n++) {
      const { caller, leg } = await join(room, 'caller', await Caller.create('pcmu'))
      leg.onClosed((reason) => reasons.push(reason))
      leg.close(`left ${n}`)
      await caller.close()
    }
    // A room holds 16 legs: those that left have given their seats back.
    expect(reasons).toEqual(Array.from({ length: 20 }, (_, n) => `left ${n}`))
    const agent = await joinAgent(room)
    const { caller } = await join(room, 'caller', await Caller.create('pcmu'))
    caller.speak(440)
    await agent.ear.waitFor(440)
    room.close('done')
  })

  it('answers a peer that only listens', async () => {
    const room = await openRoom()
    const { caller, answer } = await join(room, { supervisor: 'listen' }, await Caller.create('pcmu', 'recvonly'))
    expect(answer).toContain('a=sendonly')
    const agent = await joinAgent(room, 1_000)
    await caller.ear.waitFor(1_000)
    agent.hush()
    room.close('done')
  })

  it('refuses a bad offer with what is wrong, and is none the worse for it', async () => {
    const room = await openRoom()
    const offer = await (await Caller.create('pcmu')).offer()
    const refusals: [string, RegExp][] = [
      ['', /cannot be read/],
      ['x'.repeat(70_000), /longer than 65536/],
      [offer.replace('RTP/AVP', '').replace(/a=rtcp-mux\r\n/, ''), /no a=rtcp-mux/],
      [offer.replace('m=audio', 'm=video'), /no audio/],
      [offer.replace(/a=rtpmap:0 PCMU/, 'a=rtpmap:0 G722'), /none of the codecs/],
      [offer.replace(/a=fingerprint:.*/g, 'a=fingerprint:sha-1 00:11'), /not SHA-256/],
    ]
    for (const [offerSdp, what] of refusals) {
      const refused = room.join('caller', { kind: 'webrtc', offerSdp, onAnswer() {} })
      await expect(refused).rejects.toMatchObject({ code: 'invalid_request', param: 'sdp' })
      await expect(refused).rejects.toThrow(what)
    }
    room.close('done')
  })

  it('gives up a peer that gets its answer and does not come', async () => {
    const time = new ManualClock()
    const clock = new PlayoutClock({ clock: time })
    const patient = await createMediasoupPlane({ workerBin: worker.path!, listen: { ip: '127.0.0.1' }, time, clock })
    const room = await patient.openRoom('r')
    const caller = await Caller.create('pcmu')
    callers.push(caller)
    const leg = await room.join('caller', { kind: 'webrtc', offerSdp: await caller.offer(), onAnswer() {} })
    const closed = new Promise((resolve) => leg.onClosed(resolve))
    time.pass(19_000)
    time.pass(2_000)
    expect(await closed).toBe('connect_timeout')
    await patient.close()
  })

  describe('workers', () => {
    it('a worker that is killed: its caller is told, carriers talk on, the next call has a new worker', async () => {
      const [room, carriers] = [await openRoom(), await openRoom()]
      const { leg } = await join(room, 'caller', await Caller.create('pcmu'))
      const [caller, supervised] = [await carriers.join('caller', { kind: 'direct', sampleRateHz: 8_000 }), await joinAgent(carriers)]
      const { leg: listener } = await join(carriers, { supervisor: 'listen' }, await Caller.create('pcmu'))
      const reasons = Promise.all([leg, room, listener].map((closable) => new Promise((resolve) => closable.onClosed(resolve))))
      const [pid] = plane.workerPids
      process.kill(pid!, 'SIGKILL')
      expect(await reasons).toEqual(['media_worker_died', 'media_worker_died', 'media_worker_died'])

      const next = tone(300, 8_000)
      for (let n = 0; n < 30; n++) caller.wire.say(next())
      await supervised.ear.waitFor(300)

      const again = await openRoom()
      const { caller: back } = await join(again, 'caller', await Caller.create('pcmu'))
      const agent = await joinAgent(again)
      back.speak(440)
      await agent.ear.waitFor(440)
      expect(plane.workerPids).toHaveLength(1)
      expect(plane.workerPids).not.toEqual([pid])
      expect(String(faults.at(-1))).toMatch(/media worker died/)
      again.close('done')
      carriers.close('done')
    })

    it('says so when the binary is none', async () => {
      await expect(createMediasoupPlane({ workerBin: process.execPath, listen: { ip: '127.0.0.1' } })).rejects.toThrow()
    })
  })
})
