import { Ear as WordEar, speak } from '@trunkline/app-sandbox'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { Caller, findWorker } from '../../media/src/plane/webrtc/testing.ts'
import type { Business } from './business.ts'
import { callOf, hears, kept, openPhoneTown, type PhoneTown } from './phone-town.ts'

// A person of the business in a telephone call: by WebRTC into the call's room, and by notes to the agent.

const worker = findWorker()
let town: PhoneTown
let business: Business
const people: Caller[] = []

beforeAll(async () => {
  town = await openPhoneTown(worker.path === null ? {} : { MEDIASOUP_WORKER_BIN: worker.path })
  business = await town.business()
})
afterAll(async () => {
  await Promise.all(people.map((person) => person.close()))
  await town?.close()
})

async function talk(settings: Record<string, unknown> = {}) {
  const telephone = await town.telephone(business, { settings: { greeting: 'Hello, harbour bikes.', ...settings } })
  const phone = town.ring(telephone)
  await hears(phone, /harbour bikes/)
  await kept(town, telephone, 1)
  const { id } = await callOf(town, telephone, (call) => call.status === 'in_progress')
  return { telephone, phone, id: id as string }
}

async function supervisor(callId: string, mode: 'listen' | 'barge') {
  const person = await Caller.create('opus')
  people.push(person)
  const words: string[] = []
  const ear = new WordEar(person.rateHz, (sound) => void (sound.text !== null && words.push(sound.text)))
  person.onHeard = (pcm) => ear.push(pcm.slice())
  const { sdp, leg_id: legId } = await business.ok('POST', `/v1/calls/${callId}/supervise`, { sdp: await person.offer(), mode })
  await person.accept(sdp)
  return { person, words, legId }
}

const eventually = (check: () => void) => vi.waitFor(check, { timeout: 15_000, interval: 100 })

describe.skipIf(worker.path === null)(worker.path === null ? `supervision (skipped: ${worker.reason})` : 'supervision', { timeout: 60_000 }, () => {
  it('hears both sides of a call, and is written into the audit', async () => {
    const { phone, id } = await talk()
    const { words } = await supervisor(id, 'listen')
    phone.say('When do you open?')
    await eventually(() => expect(words.join(' ')).toMatch(/open/))
    await eventually(() => expect(words.join(' ')).toMatch(/nine/))
    const entries = await town.rows<{ action: string }>("SELECT action FROM audit_entries WHERE tenant_id = $1 AND action = 'call.supervised'", [business.tenantId])
    expect(entries).toHaveLength(1)
    phone.hangUp()
  })

  it('barges in: the caller hears the person and no agent, until the person leaves', async () => {
    const { phone, id, telephone } = await talk()
    const { person, legId } = await supervisor(id, 'barge')
    person.play(speak('This is the manager speaking', { sampleRateHz: person.rateHz }).pcm)
    await hears(phone, /manager/)
    await business.ok('DELETE', `/v1/calls/${id}/supervise/${legId}`)
    await town.until("SELECT 1 FROM call_events WHERE call_id = $1 AND data->>'supervisor' = 'left'", [id], (rows) => rows.length === 1)
    phone.say('When do you open?')
    await hears(phone, /nine/)
    phone.hangUp()
    expect(await callOf(town, telephone, (call) => call.ended_at !== null)).toMatchObject({ end_reason: 'caller_hung_up' })
  })
})

describe('without a media worker', { timeout: 60_000 }, () => {
  it('the agent reads a note before its next answer, and the caller never hears of it', async () => {
    const { phone, id, telephone } = await talk()
    expect((await business.call('POST', `/v1/calls/${id}/note`, { text: 'The shop closes at seven today.' })).status).toBe(202)
    const asked = town.sandbox.waitFor(({ body }) => JSON.stringify(body ?? '').includes('closes at seven today'), 20_000)
    phone.say('When do you open?')
    await asked
    phone.hangUp()
    await callOf(town, telephone, (call) => call.ended_at !== null)
    const said = await business.ok('GET', `/v1/calls/${id}/transcript`)
    expect(JSON.stringify(said)).not.toContain('Note for you')
  })

  it('a recording pauses and goes on, which is confirmed before it is answered', async () => {
    const { phone, id, telephone } = await talk({ recording: { enabled: true } })
    await business.ok('POST', `/v1/calls/${id}/recording/pause`)
    await business.ok('POST', `/v1/calls/${id}/recording/resume`)
    phone.hangUp()
    await callOf(town, telephone, (call) => call.recording_state === 'stored')
    const states = await town.rows<{ state: string | null }>("SELECT data->>'state' AS state FROM call_events WHERE call_id = $1 AND kind = 'recording' ORDER BY id", [id])
    expect(states.map(({ state }) => state).slice(0, 2)).toEqual(['paused', 'resumed'])
    expect((await business.call('POST', `/v1/calls/${id}/recording/pause`)).status).toBe(409)
  })
})
