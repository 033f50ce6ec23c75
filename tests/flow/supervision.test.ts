import { readFile } from 'node:fs/promises'
import { Ear as WordEar, speak, type CallHandle } from '@trunkline/app-sandbox'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { wordsOf } from '../../channels/testing/speech.ts'
import { Caller, findWorker } from '../../media/src/plane/webrtc/testing.ts'
import type { Business, Json } from './business.ts'
import { callOf, hears, kept, openPhoneTown, type PhoneTown } from './phone-town.ts'

// A person of the business in a telephone call: by WebRTC into the call's room, by whispers and by notes to the agent.

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

async function talk(settings: Record<string, unknown> = {}, prompt: Record<string, unknown> = {}) {
  const telephone = await town.telephone(business, { settings: { greeting: 'Hello, harbour bikes.', ...settings }, prompt })
  const phone = town.ring(telephone)
  await hears(phone, /harbour bikes/)
  await kept(town, telephone, 1)
  const { id } = await callOf(town, telephone, (call) => call.status === 'in_progress')
  return { telephone, phone, id: id as string }
}

type Mode = 'listen' | 'whisper' | 'barge'
const says = (person: Caller, text: string) => person.play(speak(text, { sampleRateHz: person.rateHz }).pcm)
/** Does it again when a network or a machine that stalls has torn a word, as people do. */
async function again(act: () => void, check: () => unknown): Promise<void> {
  for (let times = 0; times < 5; times++) {
    act()
    const failed = await vi.waitFor(check, { timeout: 8_000, interval: 100 }).then(() => null, (error: unknown) => ({ error }))
    if (!failed) return
  }
  await check()
}
const saysUntilHeard = (person: Caller, text: string, phone: CallHandle, fits: RegExp) => again(() => says(person, text), () => expect(wordsOf(phone.agentPcm())).toMatch(fits))
const whispersUntilNoted = (person: Caller, text: string, callId: string, fits: RegExp) => again(() => says(person, text), async () => expect((await notesOf(callId)).map(({ data }) => data.text).join('\n')).toMatch(fits))
const notesOf = async (callId: string): Promise<Json[]> => (await business.ok('GET', `/v1/calls/${callId}/events?kind=note`)).data

async function supervisor(callId: string, mode: Mode) {
  const person = await Caller.create('opus')
  people.push(person)
  const words: string[] = []
  const ear = new WordEar(person.rateHz, (sound) => void (sound.text !== null && words.push(sound.text)))
  person.onHeard = (pcm) => ear.push(pcm.slice())
  const { sdp, leg_id: legId } = await business.ok('POST', `/v1/calls/${callId}/supervise`, { sdp: await person.offer(), mode })
  await person.accept(sdp)
  await eventually(() => expect(person.pc.connectionState).toBe('connected'))
  return { person, words, legId }
}

async function listenerOf(): Promise<Caller> {
  const person = await Caller.create('opus')
  people.push(person)
  return person
}

const eventually = (check: () => unknown) => vi.waitFor(check, { timeout: 15_000, interval: 100 })

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

describe.skipIf(worker.path === null)('a whisper', { timeout: 120_000 }, () => {
  it('is followed by the agent in its next answer; the caller hears nothing of it, nor has the recording or the transcript', async () => {
    const { phone, id, telephone } = await talk({ recording: { enabled: true } })
    const { person, words } = await supervisor(id, 'whisper')
    const asked = town.sandbox.waitFor(({ target, body }) => target.startsWith('openai') && JSON.stringify(body ?? '').includes('closes at seven today'), 90_000)
    await whispersUntilNoted(person, 'Colleague speaking. The shop closes at seven today.', id, /closes at seven today/)
    for (const note of await notesOf(id)) expect(note).toMatchObject({ kind: 'note', at_ms: expect.any(Number), data: { by: 'whisper' } })
    person.hush()
    expect(wordsOf(phone.agentPcm())).not.toMatch(/seven/)
    phone.say('When do you open?')
    await asked
    await again(() => phone.say('When do you close?'), () => expect(wordsOf(phone.agentPcm())).toMatch(/seven/))
    // The supervisor hears the caller, and the agent.
    for (const side of [/when|close/i, /seven|nine|morning/]) expect(words.join(' ')).toMatch(side)
    phone.hangUp()
    const call = await callOf(town, telephone, (row) => row.recording_state === 'stored')
    expect(wordsOf(phone.agentPcm())).not.toMatch(/colleague/i)
    const wav = await readFile(`${town.mediaDir}/${call.recording_key}`)
    const samples = new Int16Array(wav.buffer.slice(wav.byteOffset + 44, wav.byteOffset + wav.length))
    for (const side of [0, 1]) expect(wordsOf(samples.filter((_, index) => index % 2 === side))).not.toMatch(/colleague/i)
    const { data: said } = await business.ok('GET', `/v1/calls/${id}/transcript`)
    expect(JSON.stringify(said)).not.toMatch(/colleague/i)
    expect(said.map((item: Json) => item.by)).not.toContain('human')
    // Two are heard by a recogniser in this call: the caller, and what was whispered; both are paid.
    const used = await town.rows<{ audio_ms: number; cost: number }>("SELECT audio_ms::int, cost_micros::int AS cost FROM usage_records WHERE call_id = $1 AND purpose = 'stt' ORDER BY audio_ms", [id])
    expect(used.length).toBeGreaterThanOrEqual(2)
    const whisperedMs = speak('Colleague speaking. The shop closes at seven today.', { sampleRateHz: 8_000 }).durationMs
    expect(used[0]!.audio_ms).toBeLessThan(whisperedMs + 2_500)
    expect(used[0]!.cost).toBeGreaterThan(0)
    expect(call.cost_stt_micros).toBe(used.reduce((sum, { cost }) => sum + cost, 0))
  })

  it('begins and ends on a connection that listens, and so does barging in', async () => {
    const { phone, id } = await talk()
    const { person, legId } = await supervisor(id, 'listen')
    const as = (mode: Mode) => business.ok('PATCH', `/v1/calls/${id}/supervise/${legId}`, { mode })
    expect(await as('whisper')).toEqual({ leg_id: legId, mode: 'whisper' })
    await whispersUntilNoted(person, 'Be short.', id, /short/)
    const noted = (await notesOf(id)).length
    person.hush()
    await as('barge')
    await saysUntilHeard(person, 'This is the manager speaking.', phone, /manager/)
    await as('listen')
    says(person, 'Nobody hears this.')
    await again(() => phone.say('When do you open?'), () => expect(wordsOf(phone.agentPcm())).toMatch(/nine/))
    expect(wordsOf(phone.agentPcm())).not.toMatch(/nobody|short/i)
    expect(await notesOf(id)).toHaveLength(noted)
    const modes = await town.rows<{ mode: string }>("SELECT data->>'supervisor' AS mode FROM call_events WHERE call_id = $1 AND data ? 'supervisor' ORDER BY id", [id])
    expect(modes.map(({ mode }) => mode)).toEqual(['listen', 'whisper', 'barge', 'listen'])
    phone.hangUp()
  })

  it('needs a connection that sends sound, and a leg that is there', async () => {
    const { phone, id } = await talk()
    const deaf = await Caller.create('opus', 'recvonly')
    people.push(deaf)
    const offer = await deaf.offer()
    expect(await business.call('POST', `/v1/calls/${id}/supervise`, { sdp: offer, mode: 'whisper' })).toMatchObject({ status: 400, body: { error: { param: 'sdp' } } })
    const { leg_id: legId } = await business.ok('POST', `/v1/calls/${id}/supervise`, { sdp: offer })
    expect(await business.call('PATCH', `/v1/calls/${id}/supervise/${legId}`, { mode: 'whisper' })).toMatchObject({ status: 409, body: { error: { message: expect.stringContaining('sendrecv') } } })
    expect((await business.call('PATCH', `/v1/calls/${id}/supervise/nobody`, { mode: 'whisper' })).status).toBe(404)
    expect((await business.call('PATCH', `/v1/calls/${id}/supervise/${legId}`, { mode: 'shout' })).status).toBe(400)
    phone.hangUp()
  })

  it('is for the colleague while they are told about a caller who waits, who goes on hearing music', async () => {
    const colleague = '+14155550871'
    const { phone, id, telephone } = await talk({ transfer_to: colleague, transfer_mode: 'warm' }, { tools: [{ type: 'builtin', name: 'handover_to_human' }] })
    phone.say('I want to speak to a human about my blue bike.')
    const other = await town.called('twilio', colleague)
    await hears(other, /press one/)
    const [briefing] = await town.until<{ id: string }>('SELECT id FROM calls WHERE to_address = $1 AND lease_owner IS NOT NULL', [colleague], (rows) => rows.length === 1)
    const refused = await business.call('POST', `/v1/calls/${id}/supervise`, { sdp: await (await listenerOf()).offer(), mode: 'whisper' })
    expect(refused).toMatchObject({ status: 409, body: { error: { code: 'invalid_state', details: { call_id: briefing!.id } } } })
    const { person, words } = await supervisor(briefing!.id, 'whisper')
    await saysUntilHeard(person, 'She is a good customer.', other, /good customer/)
    // Whoever goes to the caller meanwhile is heard instead of the music, not with it; the agent does not come back for that.
    const manager = await supervisor(id, 'barge')
    await saysUntilHeard(manager.person, 'One moment, we have not forgotten you.', phone, /not forgotten you/)
    await business.ok('DELETE', `/v1/calls/${id}/supervise/${manager.legId}`)
    // Whoever whispers hears the colleague, and what the colleague is told.
    await again(() => other.say('Who is she then?'), () => expect([/who|she|then/i, /take|call|press|one/].every((side) => side.test(words.join(' ')))).toBe(true))
    other.press('1')
    await town.until("SELECT 1 FROM calls WHERE number_id = $1 AND wish = 'transfer' AND lease_owner IS NULL AND epoch > 0", [telephone.id], (rows) => rows.length === 2)
    // Now the carrier connects both, and none of it passes here.
    for (const callId of [id, briefing!.id]) {
      expect(await business.call('POST', `/v1/calls/${callId}/supervise`, { sdp: await (await listenerOf()).offer(), mode: 'whisper' })).toMatchObject({ status: 409, body: { error: { code: 'invalid_state', message: expect.stringContaining('put through') } } })
    }
    expect(wordsOf(phone.agentPcm())).not.toMatch(/customer|nobody is there/)
    phone.hangUp()
    other.hangUp()
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
    expect(JSON.stringify(said)).not.toContain('Note from a colleague')
    expect(await notesOf(id)).toMatchObject([{ data: { by: 'note', text: 'The shop closes at seven today.' } }])
    const rows = await town.rows<{ data: Json }>("SELECT data FROM call_events WHERE call_id = $1 AND kind = 'note'", [id])
    expect(JSON.stringify(rows)).not.toContain('seven')
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
