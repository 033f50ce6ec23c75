import { readFileSync } from 'node:fs'
import { connect } from 'node:net'
import { setImmediate, setTimeout as delay } from 'node:timers/promises'
import { isDeepStrictEqual } from 'node:util'
import type { CallHandle } from '@trunkline/app-sandbox'
import { ledger } from '@trunkline/db'
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest'
import { TEST_SECRET } from '../harness/database.ts'
import { Intruder, knock, openCallFor, signed, type OpenedCall } from '../harness/media-intruder.ts'
import type { SpawnedNode } from '../harness/processes.ts'
import { isThorough } from '../harness/env.ts'
import { Beats, differsAt, startMetronome, STEADY, unsteadiness, type Unsteadiness } from '../harness/steady.ts'
import type { Business, Json } from './business.ts'
import { callOf, hears, kept, openPhoneTown, type PhoneTown, type Telephone } from './phone-town.ts'

let town: PhoneTown
let business: Business
let voice: SpawnedNode

beforeAll(async () => {
  town = await openPhoneTown({}, { spawned: true })
  voice = await town.spawnVoice()
  business = await town.business()
})
afterEach(() => {
  for (const { id } of town.sandbox.faults.list()) town.sandbox.faults.remove(id)
})
afterAll(() => town?.close())

const GREETING = 'Hello, harbour bikes.'
/** Some twenty seconds in the sandbox's voice: there is sound for as long as the test does its worst. */
const LONG = 'Please wait for a moment and listen to what we do all day long. '.repeat(8).trim()
const ended = (call: Json) => call.ended_at !== null
const openCall = (telephone: Telephone): Promise<OpenedCall> => openCallFor(town.db, TEST_SECRET, { id: telephone.id, tenantId: business.tenantId, address: telephone.address })
const knockAs = (path: string, headers?: Record<string, string>) => knock(town.voiceUrl, path, headers)
const residentMiB = () => Number(/^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${voice.pid}/status`, 'utf8'))![1]) / 1_024

describe('the media socket of a call', () => {
  let telephone: Telephone
  beforeAll(async () => {
    telephone = await town.telephone(business)
  })

  it('is opened to whoever shows its token and the carrier’s signature', async () => {
    expect(await knockAs((await openCall(telephone)).path)).toBe(101)
  })

  it('is not there without its token, or with another call’s', async () => {
    const [one, other] = [await openCall(telephone), await openCall(telephone)]
    const [head, token] = [one.path.slice(0, one.path.lastIndexOf('/')), other.path.split('/').at(-1)!]
    for (const path of [head, `${head}/`, `${head}/${'A'.repeat(43)}`, `${head}/${token}`, '/v1/media/twilio', '/v1/media/']) expect(await knockAs(path), path).toBe(404)
  })

  it('is not there under another carrier’s name', async () => {
    const { path } = await openCall(telephone)
    expect(await knockAs(path.replace('twilio', 'telnyx'))).toBe(404)
  })

  it('is refused without the signature, or with that of another address', async () => {
    const [one, other] = [await openCall(telephone), await openCall(telephone)]
    expect(await knockAs(one.path, {})).toBe(401)
    expect(await knockAs(one.path, signed(town.voiceUrl, other.path))).toBe(401)
  })

  it('is not there any more when the call has ended, however good the token was', async () => {
    const call = await openCall(telephone)
    const caller = await Intruder.at(town.voiceUrl, call)
    caller.start()
    caller.say({ event: 'stop', sequenceNumber: '2', streamSid: 'MZ1', stop: {} })
    await town.until('SELECT 1 FROM calls WHERE id = $1 AND ended_at IS NOT NULL', [call.callId], (rows) => rows.length === 1)
    expect(await knockAs(call.path)).toBe(404)
  })

  it('makes one call of two sockets that come together; bug: it was claimed twice, and its process forgot the one that lived', async () => {
    const call = await openCall(telephone)
    const both = await Promise.all([Intruder.at(town.voiceUrl, call), Intruder.at(town.voiceUrl, call)])
    for (const intruder of both) intruder.start()
    await Promise.race(both.map((intruder) => intruder.closed))
    const [row] = await town.rows<{ epoch: number; ended_at: Date | null }>('SELECT epoch, ended_at FROM calls WHERE id = $1', [call.callId])
    expect(row).toEqual({ epoch: 1, ended_at: null })
    for (const intruder of both) intruder.say({ event: 'stop', sequenceNumber: '2', streamSid: 'MZ1', stop: {} })
    await town.until('SELECT 1 FROM calls WHERE id = $1 AND ended_at IS NOT NULL', [call.callId], (rows) => rows.length === 1)
  })
})

/** What the abuse has done to those who are on the phone meanwhile, and to the process. `sound`: null where every frame is there, once, as it was in peace. */
type Harm = Unsteadiness & { stutters: number; sound: string | null; isBounded: boolean; isAlive: boolean }
const NONE: Harm = { ...STEADY, stutters: 0, sound: null, isBounded: true, isAlive: true }
const MEMORY_MIB = 150
const [BYSTANDERS, FRAME_BYTES] = [2, 160]
/** Two seconds and a half in peace, and one after the abuse: its traces, too. */
const [CALM_FRAMES, AFTER_FRAMES] = [125, 50]

let metronome: Awaited<ReturnType<typeof startMetronome>>
/** All that a bystander is to hear, as it was said when nothing was wrong. */
let whole: Buffer
beforeAll(async () => {
  metronome = await startMetronome()
  const telephone = await town.telephone(business, { settings: { greeting: LONG, barge_in: false } })
  const listener = standBy(telephone)
  // What was heard of it is known when it has been heard.
  await town.until('SELECT 1 FROM messages WHERE number_id = $1', [telephone.id], (rows) => rows.length > 0, 60_000)
  whole = listener.heard()
  listener.phone.hangUp()
  await callOf(town, telephone, ended)
}, 90_000)
afterAll(() => metronome?.stop())

/** Somebody who is being told something long: when each frame came, and what was in it. */
function standBy(telephone: Telephone) {
  const phone = town.ring(telephone)
  const beats = new Beats()
  const chunks: Buffer[] = []
  let look = () => {}
  phone.onMedia((atMs, bytes) => {
    beats.note(atMs, bytes.length / FRAME_BYTES)
    chunks.push(Buffer.from(bytes))
    look()
  })
  const frames = (count: number) => new Promise<void>((resolve) => {
    look = () => {
      if (beats.count >= count) resolve()
    }
    look()
  })
  return { phone, beats, frames, heard: () => Buffer.concat(chunks) }
}

/** A machine that stood still does not again; what the abuse does it does each time. Everything but the time must be right at once. */
const TRIES = 3

async function harmOf(abuse: (telephone: Telephone) => Promise<unknown>): Promise<Harm> {
  for (let attempt = 1; ; attempt++) {
    const harm = await harmOfOne(abuse)
    const isTime = isDeepStrictEqual({ ...harm, ...STEADY, stutters: 0 }, NONE)
    if (attempt === TRIES || !isTime || isDeepStrictEqual(harm, NONE)) return harm
  }
}

async function harmOfOne(abuse: (telephone: Telephone) => Promise<unknown>): Promise<Harm> {
  const telephone = await town.telephone(business, { settings: { greeting: LONG, barge_in: false, concurrency_limit: 10 } })
  const other = await town.telephone(business, { settings: { greeting: GREETING, concurrency_limit: 100 } })
  const crowd = Array.from({ length: BYSTANDERS }, () => standBy(telephone))
  await Promise.all(crowd.map(({ frames }) => frames(20)))
  const fromMs = performance.now()
  await Promise.all(crowd.map(({ frames, beats }) => frames(beats.count + CALM_FRAMES)))
  const [before, atMs] = [residentMiB(), performance.now()]
  await abuse(other)
  await Promise.all(crowd.map(({ frames, beats }) => frames(beats.count + AFTER_FRAMES)))
  const span = { fromMs, atMs, toMs: performance.now() }
  const unsteady = crowd.map(({ beats }) => unsteadiness(beats, metronome.beats, span))
  const harm = {
    jitterMs: Math.max(...unsteady.map(({ jitterMs }) => jitterMs)),
    holeMs: Math.max(...unsteady.map(({ holeMs }) => holeMs)),
    stutters: crowd.reduce((sum, { phone }) => sum + stutters(phone), 0),
    sound: crowd.map(({ heard }) => differsAt(heard(), whole, FRAME_BYTES)).find((fault) => fault !== null) ?? null,
    isBounded: residentMiB() - before < MEMORY_MIB,
    isAlive: voice.report().includes('still running'),
  }
  for (const { phone } of crowd) phone.hangUp()
  await callOf(town, telephone, ended)
  return harm
}

const stutters = (phone: CallHandle): number => phone.streams().reduce((sum, { stats }) => sum + stats.underruns, 0)

describe('while others are on the phone', { timeout: 120_000 }, () => {
  it('is noticed when the voice itself stands still: what is asked below can fail', async () => {
    const harm = await harmOf(async () => {
      for (let times = 0; times < 4; times++) {
        voice.signal('SIGSTOP')
        // More than is sent ahead.
        await delay(300)
        voice.signal('SIGCONT')
        await delay(200)
      }
    })
    expect(harm.jitterMs).toBeGreaterThan(0)
    expect(harm.holeMs).toBeGreaterThan(0)
  })

  it('closes a socket that says nothing that can be read', async () => {
    const harm = await harmOf(async (telephone) => {
      for (const nonsense of ['{', '[]', '"media"', '{"event":"media"}', '{"event":7}', '\u0000'.repeat(1_000), '{"event":"start"}']) {
        const intruder = await Intruder.at(town.voiceUrl, await openCall(telephone))
        for (let count = 0; count < 60; count++) intruder.say(nonsense)
        expect(await intruder.closed, nonsense.slice(0, 40)).toBe(1008)
      }
    })
    expect(harm).toEqual(NONE)
  })

  it('closes a socket that breaks the WebSocket protocol itself, from its first byte on', async () => {
    const harm = await harmOf(async (telephone) => {
      const { path } = await openCall(telephone)
      const { hostname, port } = new URL(town.voiceUrl)
      const stream = connect(Number(port), hostname)
      const closed = new Promise((resolve) => stream.once('close', resolve))
      const headers = { host: `${hostname}:${port}`, connection: 'Upgrade', upgrade: 'websocket', 'sec-websocket-version': '13', 'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ==', ...signed(town.voiceUrl, path) }
      stream.write(Buffer.concat([Buffer.from(`GET ${path} HTTP/1.1\r\n${Object.entries(headers).map(([name, value]) => `${name}: ${value}`).join('\r\n')}\r\n\r\n`), Buffer.alloc(4_000, 0xff)]))
      stream.resume()
      await closed
    })
    expect(harm).toEqual(NONE)
  })

  it('closes a socket that sends a message larger than any frame', async () => {
    const harm = await harmOf(async (telephone) => {
      const intruder = await Intruder.at(town.voiceUrl, await openCall(telephone))
      intruder.start()
      intruder.say('x'.repeat(1_000_000))
      expect(await intruder.closed).toBe(1009)
    })
    expect(harm).toEqual(NONE)
  })

  it('gives up a line whose sound it cannot read: a carrier with another codec than its own', async () => {
    const harm = await harmOf(async (telephone) => {
      const intruder = await Intruder.at(town.voiceUrl, await openCall(telephone))
      intruder.start({ encoding: 'audio/x-alaw', sampleRate: 16_000, channels: 2 })
      for (let count = 0; count < 60; count++) intruder.say(intruder.media())
      expect(await intruder.closed).toBe(1008)
    })
    expect(harm).toEqual(NONE)
  })

  it('cuts off a flood of good frames; bug: one socket could take the whole process', async () => {
    const harm = await harmOf(async (telephone) => {
      const intruders = await Promise.all(Array.from({ length: 3 }, async () => Intruder.at(town.voiceUrl, await openCall(telephone))))
      for (const intruder of intruders) intruder.start()
      for (let count = 0; count < 20_000; count++) {
        for (const intruder of intruders) intruder.say(intruder.media())
        // Who measures is in this process, too, and must not stand still for its own flood.
        if (count % 100 === 0) await setImmediate()
      }
      // A reset, when the goodbye is behind what nobody reads any more.
      for (const intruder of intruders) expect([1006, 1008]).toContain(await intruder.closed)
    })
    expect(harm).toEqual(NONE)
  })

  it('lets a carrier come back whose socket broke in mid-word', async () => {
    const harm = await harmOf(async (telephone) => {
      const phone = town.ring(telephone)
      await phone.waitFor('media.first')
      phone.dropSocket()
      await phone.waitFor('media.first', { from: 1, timeoutMs: 20_000 })
      phone.hangUp()
      await callOf(town, telephone, ended)
    })
    expect(harm).toEqual(NONE)
  })

  it('waits for a carrier that reads nothing for a while', async () => {
    const harm = await harmOf(async () => {
      const telephone = await town.telephone(business, { settings: { greeting: LONG, barge_in: false } })
      const slow = standBy(telephone)
      await slow.frames(50)
      slow.phone.stall(3_000)
      await slow.frames(slow.beats.count + 100)
      slow.phone.hangUp()
      await callOf(town, telephone, ended)
    })
    expect(harm).toEqual(NONE)
  })
})

/** One moment, please; or what the rules say when no model does. */
const TOLD = /moment|colleague/
const balanced = async () => (await town.db.system('ledger', (tx) => ledger.verifyLedger(tx))).differences

describe('a supplier that falls silent in the middle', { timeout: 120_000 }, () => {
  async function greeted(): Promise<{ telephone: Telephone; phone: CallHandle }> {
    const telephone = await town.telephone(business, { settings: { greeting: GREETING } })
    const phone = town.ring(telephone)
    await hears(phone, /harbour bikes/)
    await kept(town, telephone, 1)
    return { telephone, phone }
  }
  async function over(telephone: Telephone, phone: CallHandle): Promise<Json> {
    phone.hangUp()
    return callOf(town, telephone, ended)
  }

  it('as a model: the caller is told something all the same, and the next question is answered', async () => {
    const { telephone, phone } = await greeted()
    town.sandbox.faults.add({ target: 'openai.responses', times: 1, match: { contains: 'Silence' }, action: { hang: true } })
    phone.say('Silence, when do you open?')
    await hears(phone, TOLD)
    phone.say('When do you open on Monday?')
    await hears(phone, /nine/)
    expect(await over(telephone, phone)).toMatchObject({ end_reason: 'caller_hung_up' })
    expect(await balanced()).toEqual([])
  })

  it('as a voice: another one says the sentence to its end, and both are paid', async () => {
    const { telephone, phone } = await greeted()
    town.sandbox.faults.add({ target: 'openai.audio.speech', match: { contains: 'nine' }, times: 1, action: { stallStreamAfterEvents: 5 } })
    phone.say('When do you open?')
    await kept(town, telephone, 3)
    const call = await over(telephone, phone)
    const said = await business.ok('GET', `/v1/conversations/${call.conversation_id}/messages`)
    expect(said.data.at(-1)).toMatchObject({ author: 'agent', status: 'played', content: { text: expect.stringMatching(/nine/) } })
    const voices = await town.rows<{ vendor: string }>("SELECT DISTINCT vendor FROM usage_records WHERE call_id = $1 AND purpose = 'tts' ORDER BY 1", [call.id])
    expect(voices.map(({ vendor }) => vendor)).toEqual([expect.stringMatching(/^(espeak|elevenlabs)$/), 'openai'])
  })

  it('as a recogniser: another one hears what was said', async () => {
    town.sandbox.faults.add({ target: 'deepgram.listen', times: 1, action: { stallStreamAfterEvents: 0 } })
    const { telephone, phone } = await greeted()
    phone.say('When do you open, please? I would like to bring my bicycle.')
    await hears(phone, /nine/)
    expect(await over(telephone, phone)).toMatchObject({ end_reason: 'caller_hung_up' })
    expect(await balanced()).toEqual([])
  })

  it.each([
    ['a model', () => town.sandbox.faults.add({ target: 'openai.responses', times: 1, match: { contains: 'Silence' }, action: { hang: true } })],
    ['a voice', () => town.sandbox.faults.add({ target: 'openai.audio.speech', match: { contains: 'nine' }, times: 1, action: { stallStreamAfterEvents: 5 } })],
  ].slice(0, isThorough ? 2 : 1) as [string, () => void][])('does not disturb the others, as %s', async (_, strike) => {
    const harm = await harmOf(async (telephone) => {
      const phone = town.ring(telephone)
      await hears(phone, /harbour bikes/)
      strike()
      phone.say('Silence, when do you open?')
      await hears(phone, /moment|colleague|nine/)
      phone.hangUp()
      await callOf(town, telephone, ended)
    })
    expect(harm).toEqual(NONE)
  })
})

/** Ends a thread of the process on SIGUSR2. */
const THREAD_ENDER = new URL('../harness/thread-ender.ts', import.meta.url).href

/** A thread that is in native code may not let itself be ended for many seconds: then nothing has been tried. */
const UNTRIED = { count: 2, condition: /^The thread has not ended/ }

describe('a thread that dies', { timeout: 120_000, retry: UNTRIED }, () => {
  beforeAll(async () => {
    await voice.stop()
    voice = await town.spawnVoice({ VAD: 'silero', NODE_OPTIONS: `--import=${THREAD_ENDER}` })
    await voice.line(/"began":"a thread"/)
  }, 60_000)

  const [BEGAN, ENDED] = ['"began":"a thread"', '"ended":"a thread"'] as const
  const lines = (part: string) => voice.stdout.filter((line) => line.includes(part)).length

  it('does not disturb those whom it listened to', async () => {
    const harm = await harmOf(async () => {
      const [ended, begun] = [lines(ENDED), lines(BEGAN)]
      for (let nth = 1; nth <= 2; nth++) {
        voice.signal('SIGUSR2')
        await vi.waitFor(() => {
          if (lines(ENDED) < ended + nth) throw new Error('The thread has not ended.')
        }, { timeout: 10_000 })
        await expect.poll(() => lines(BEGAN), { timeout: 10_000 }).toBeGreaterThanOrEqual(begun + nth)
      }
    })
    expect(harm).toEqual(NONE)
  })
})
