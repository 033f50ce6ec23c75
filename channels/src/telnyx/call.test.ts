import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { fromPcm, speak, startSandbox, TELNYX_ACCOUNT_SID, TELNYX_CONNECTION_ID, TELNYX_PUBLIC_KEY, TELNYX_TEXML_CONNECTION_ID, toPcm, type CallHandle, type LineFormat, type Sandbox } from '@trunkline/app-sandbox'
import type { CallInstructionInput, CarrierClient, CarrierConfig, MediaFormat, PlaceCallInput } from '../carriers/index.ts'
import { heard, openBusiness, type Business } from '../../testing/business.ts'
import { numberChecks } from '../../testing/numbers.ts'
import { spoken, wordsOf } from '../../testing/speech.ts'
import { telnyx } from './index.ts'

const TOKEN = 'a-token-for-this-stream'
const credentials = { api_key: 'KEY0123', public_key: TELNYX_PUBLIC_KEY }
const config: CarrierConfig = { credentials, settings: { connection_id: TELNYX_CONNECTION_ID } }
const OURS = '+15005550007'
const CALLER = '+4722334455'
const COLLEAGUE = '+14155550177'
const context = { key: 'wish-1', reference: 'call-7' }
const soon = () => AbortSignal.timeout(10_000)

let sandbox: Sandbox
let client: CarrierClient
let business: Business

beforeAll(async () => {
  sandbox = await startSandbox()
  client = telnyx.client({ baseUrl: `${sandbox.url}/telnyx`, timeoutMs: 5_000 })
})
afterEach(async () => {
  sandbox.reset()
  await business.close()
})
afterAll(async () => {
  await client.close()
  await sandbox.close()
})

const open = async (settings: Record<string, unknown> = {}, number: object = {}): Promise<CarrierConfig> => {
  const own = { credentials, settings: { ...config.settings, ...settings } }
  business = await openBusiness({ carrier: telnyx, config: own, client, authToken: TOKEN })
  sandbox.carriers.telnyx.register({ number: OURS, webhook_url: `${business.url}/voice`, ...number })
  return own
}

const stream = (token?: string) => ({ do: 'stream', url: business.mediaUrl(token), authToken: TOKEN }) as const
const onCall = (...steps: CallInstructionInput[]) => business.instruct((event) => (event.kind === 'call.initiated' && event.direction === 'inbound' ? steps : null))
const ring = (...says: string[]) => sandbox.carriers.telnyx.ring({ from: CALLER, to: OURS, says: says.map((text) => ({ text })) })
const order = (changes: Partial<PlaceCallInput> = {}): PlaceCallInput => ({ to: COLLEAGUE, from: OURS, instructions: [stream('out')], statusUrl: `${business.url}/voice`, reference: 'call-7', ...changes })
const kinds = (id: string) => business.events.filter((event) => event.carrierCallId === id).map(({ kind }) => kind)

const LINE: Readonly<Record<MediaFormat['encoding'], LineFormat['encoding']>> = { pcmu: 'pcmu', pcma: 'pcma', pcm_s16be: 'l16be', pcm_s16le: 'l16le', opus: 'pcmu' }
const lineFormat = ({ encoding, sampleRateHz }: MediaFormat): LineFormat => ({ encoding: LINE[encoding], sampleRateHz })

describe('a call to a number of Telnyx, by Call Control', () => {
  beforeEach(async () => void (await open()))

  it('is answered by command, streams, and ends', async () => {
    onCall(stream('abc'))
    const phone = ring('hello there')
    const line = await business.line()
    expect(line.token).toBe('abc')
    expect(line.wire.start).toMatchObject({ carrierCallId: phone.id, from: CALLER, to: OURS, inbound: { encoding: 'pcmu', sampleRateHz: 8000 } })
    await phone.waitFor('person.silent')
    phone.press('7#')
    await heard(line, 'dtmf', ({ digit }) => digit === '#')
    phone.hangUp()
    await heard(line, 'stop')
    expect(await business.event((event) => event.kind === 'call.ended')).toMatchObject({ carrierCallId: phone.id, cause: 'completed', endedBy: 'caller' })
    expect(kinds(phone.id).filter((kind) => kind !== 'call.stream')).toEqual(['call.initiated', 'call.answered', 'call.next', 'call.ended'])
    expect(line.events.filter((event) => event.kind === 'bad')).toEqual([])
  })

  it('plays what we send, gives marks back when it was heard, and drops the rest at clear', async () => {
    onCall(stream())
    const phone = ring()
    const line = await business.line()
    const { bytes, ms } = spoken('how can I help', 'pcmu', 8_000)
    line.send(line.wire.encodeMedia(bytes))
    line.send(line.wire.encodeMark('asked'))
    await heard(line, 'mark', ({ name }) => name === 'asked')
    expect((await phone.waitFor('mark.played')).atMs - (await phone.waitFor('media.first')).atMs).toBeGreaterThan(ms - 40)
    line.send(line.wire.encodeMedia(spoken('nobody hears all of this any more', 'pcmu', 8_000).bytes))
    line.send(line.wire.encodeMark('cut'))
    line.send(line.wire.encodeClear())
    await heard(line, 'mark', ({ name }) => name === 'cut')
    phone.hangUp()
    expect(wordsOf(phone.agentPcm())).toMatch(/^how can I help( \?)?$/)
    expect(phone.streams()[0]!.stats).toMatchObject({ clears: 1, faults: 0 })
  })

  it('puts frames that come in any order back into theirs', async () => {
    onCall(stream())
    const phone = sandbox.carriers.telnyx.ring({ from: CALLER, to: OURS, network: { reorder: 0.4, seed: 3 } })
    const line = await business.line()
    // Not before: what is said while the stream is still being opened is heard by nobody.
    phone.say('out of order')
    await phone.waitFor('person.silent')
    phone.hangUp()
    await heard(line, 'stop')
    const frames = line.events.filter((event) => event.kind === 'media')
    const sorted = frames.toSorted((a, b) => a.chunk - b.chunk)
    expect(frames.map(({ chunk }) => chunk)).not.toEqual(sorted.map(({ chunk }) => chunk))
    expect(phone.streams()[0]!.stats.framesSwapped).toBeGreaterThan(3)
    expect(wordsOf(toPcm(Buffer.concat(sorted.map(({ payload }) => payload)), { encoding: 'pcmu', sampleRateHz: 8_000 }))).toBe('out of order')
  })

  it('is told in Telnyx’s words what is wrong with what we send, and stays up', async () => {
    onCall(stream())
    const phone = ring()
    const line = await business.line()
    for (const text of ['{', '{"event":"media","media":{"payload":"!!!"}}', '{"event":"media","media":{"payload":"AAAA"}}', '{"event":"dance"}']) line.send(text)
    await heard(line, 'failed', ({ code }) => code === '100003')
    await heard(line, 'failed', ({ code }) => code === '100004')
    line.send(line.wire.encodeMark('alive'))
    await heard(line, 'mark')
    expect(phone.streams()[0]!.stats.faults).toBe(4)
    // Our own wire never sends less than Telnyx takes.
    line.send(line.wire.encodeMedia(Buffer.alloc(8)))
    line.send(line.wire.encodeMark('again'))
    await heard(line, 'mark', ({ name }) => name === 'again')
    expect(phone.streams()[0]!.stats.faults).toBe(4)
  })

  it('speaks, waits, plays and hangs up by a plan that waits with Telnyx', async () => {
    onCall({ do: 'say', text: 'we are closed' }, { do: 'pause', seconds: 1 }, { do: 'press', digits: '9' }, { do: 'say', text: 'good bye' }, { do: 'hang_up' })
    const phone = ring()
    await phone.waitFor('ended')
    expect(wordsOf(phone.agentPcm())).toBe('we are closed good bye')
    expect(phone.moments().filter(({ kind }) => kind === 'person.hears_key').map(({ text }) => text)).toEqual(['9'])
    expect(await business.event((event) => event.kind === 'call.ended')).toMatchObject({ cause: 'completed', endedBy: 'callee' })
  })

  it('goes on with the plan when our socket closes', async () => {
    onCall(stream(), { do: 'say', text: 'one more thing' }, { do: 'hang_up' })
    const phone = ring()
    const line = await business.line()
    line.socket.close(1000)
    await phone.waitFor('ended')
    expect(wordsOf(phone.agentPcm())).toBe('one more thing')
  })

  it('tells a socket that broke, and takes another stream', async () => {
    onCall(stream('first'))
    const phone = ring()
    await business.line(0)
    phone.dropSocket()
    expect(await business.event((event) => event.kind === 'call.stream' && event.state === 'failed')).toMatchObject({ reason: 'connection lost' })
    await client.redirect(config, phone.id, [stream('second')], context, soon())
    expect((await business.line(1)).token).toBe('second')
    expect(phone.state()).toBe('answered')
  })

  it('is turned away without being answered', async () => {
    onCall({ do: 'reject', reason: 'busy' })
    const phone = ring()
    await phone.waitFor('ended')
    expect(await business.event((event) => event.kind === 'call.ended')).toMatchObject({ cause: 'busy' })
    expect(kinds(phone.id)).not.toContain('call.answered')
  })

  it('is answered once, however often Telnyx delivers; unsigned news is nobody’s', async () => {
    sandbox.faults.add({ target: 'telnyx.webhook', match: { contains: 'call.initiated' }, times: 1, action: { copies: 3 } })
    onCall(stream())
    const phone = ring()
    await business.line()
    await sandbox.waitForCount(({ target, outcome }) => target === 'telnyx.actions.answer' && outcome === 'accepted', 4)
    phone.hangUp()
    await business.event((event) => event.kind === 'call.ended')
    expect(kinds(phone.id).filter((kind) => kind === 'call.answered')).toHaveLength(1)
    expect(new Set(business.events.filter(({ kind }) => kind === 'call.initiated').map(({ eventId }) => eventId)).size).toBe(1)

    sandbox.faults.add({ target: 'telnyx.webhook', match: { contains: 'call.initiated' }, action: { badSignature: true } })
    ring()
    await sandbox.waitForCount(({ target, status }) => target === 'telnyx.webhook' && status === 403, 4)
    expect(business.refused.length).toBeGreaterThanOrEqual(4)
    expect(business.lines).toHaveLength(1)
  })

  it('opens no socket to whoever lacks the token', async () => {
    onCall({ ...stream(), authToken: 'another-token-entirely' })
    ring()
    expect(await business.event((event) => event.kind === 'call.stream')).toMatchObject({ state: 'failed' })
    expect(business.lines).toEqual([])
  })
})

describe('codecs, as each call and direction has them', () => {
  it.each([
    { name: 'a European leg: A-law inwards, mu-law outwards', settings: {}, number: { codec: 'PCMA', transcodes: false }, inbound: { encoding: 'pcma', sampleRateHz: 8000 }, outbound: { encoding: 'pcmu', sampleRateHz: 8000 } },
    { name: 'A-law both ways', settings: { outbound_codec: 'PCMA' }, number: { codec: 'PCMA' }, inbound: { encoding: 'pcma', sampleRateHz: 8000 }, outbound: { encoding: 'pcma', sampleRateHz: 8000 } },
    { name: 'L16 at 16 kHz, network order', settings: { outbound_codec: 'L16', outbound_sample_rate: 16_000 }, number: {}, inbound: { encoding: 'pcm_s16be', sampleRateHz: 16_000 }, outbound: { encoding: 'pcm_s16be', sampleRateHz: 16_000 } },
    { name: 'L16 at 16 kHz, little endian', settings: { outbound_codec: 'L16', outbound_sample_rate: 16_000, l16_byte_order: 'little' }, number: { l16_byte_order: 'little' }, inbound: { encoding: 'pcm_s16le', sampleRateHz: 16_000 }, outbound: { encoding: 'pcm_s16le', sampleRateHz: 16_000 } },
    { name: 'L16 outwards where the leg cannot be transcoded', settings: { outbound_codec: 'L16', outbound_sample_rate: 24_000 }, number: { codec: 'PCMU', transcodes: false }, inbound: { encoding: 'pcmu', sampleRateHz: 8000 }, outbound: { encoding: 'pcm_s16be', sampleRateHz: 24_000 } },
  ] as const)('are understood in both directions: $name', async ({ settings, number, inbound, outbound }) => {
    await open(settings, number)
    onCall(stream())
    const phone = ring()
    const line = await business.line()
    phone.say('good morning')
    expect(line.wire.start).toMatchObject({ inbound, outbound })
    const { pcm } = speak('and to you', { sampleRateHz: outbound.sampleRateHz })
    line.send(line.wire.encodeMedia(fromPcm(pcm, lineFormat(outbound))))
    line.send(line.wire.encodeMark('said'))
    await heard(line, 'mark')
    await phone.waitFor('person.silent')
    phone.hangUp()
    await heard(line, 'stop')
    const payload = Buffer.concat(line.events.filter((event) => event.kind === 'media').map((frame) => frame.payload))
    expect(wordsOf(toPcm(payload, lineFormat(inbound)), inbound.sampleRateHz)).toBe('good morning')
    expect(wordsOf(phone.agentPcm())).toBe('and to you')
  })
})

describe('a call that we place with Telnyx', () => {
  beforeEach(async () => void (await open()))

  it('rings, is answered, streams at once, and tells our reference with everything', async () => {
    const placed = await client.place(config, order(), soon())
    const line = await business.line()
    expect(placed).toEqual({ status: 'accepted', carrierCallId: line.wire.start!.carrierCallId })
    expect(line.wire.start?.reference).toBe('call-7')
    expect(await client.find(config, line.wire.start!.carrierCallId, soon())).toMatchObject({ isAlive: true })
    expect(await client.hangUp(config, line.wire.start!.carrierCallId, soon())).toBe('ended')
    await business.event((event) => event.kind === 'call.ended')
    expect(business.events.filter(({ kind }) => kind !== 'call.stream').map(({ kind }) => kind)).toEqual(['call.initiated', 'call.answered', 'call.ended'])
    expect(new Set(business.events.map(({ reference }) => reference))).toEqual(new Set(['call-7']))
    expect(await client.hangUp(config, line.wire.start!.carrierCallId, soon())).toBe('already_over')
    expect(await client.find(config, line.wire.start!.carrierCallId, soon())).toMatchObject({ isAlive: false })
  })

  it('says its words when it does not begin with a stream', async () => {
    await client.place(config, order({ instructions: [{ do: 'say', text: 'your table is ready' }, { do: 'hang_up' }] }), soon())
    const ended = await business.event((event) => event.kind === 'call.ended')
    expect(wordsOf(sandbox.carriers.telnyx.call(ended.carrierCallId).agentPcm())).toBe('your table is ready')
  })

  it.each([['busy', 'busy'], ['reject', 'rejected'], ['unknown', 'unreachable'], ['no_answer', 'no_answer']] as const)('ends as it is: %s', async (does, cause) => {
    sandbox.carriers.describe({ number: COLLEAGUE, does })
    await client.place(config, order({ timeoutSeconds: 5 }), soon())
    expect(await business.event((event) => event.kind === 'call.ended', 9_000)).toMatchObject({ cause })
  }, 20_000)

  it('finds a machine, and the end of its greeting', async () => {
    sandbox.carriers.describe({ number: COLLEAGUE, machine: true, says: [{ text: 'leave a message' }] })
    await client.place(config, order({ machineDetection: 'greeting_end' }), soon())
    expect(await business.event((event) => event.kind === 'call.machine' && event.phase === 'detected')).toMatchObject({ verdict: 'machine' })
    expect(await business.event((event) => event.kind === 'call.machine' && event.phase === 'greeting_ended')).toMatchObject({ detail: 'beep_detected' })
  })

  it('is refused by name, unknown when no answer came, and placed once under one reference', async () => {
    expect(await client.place(config, order({ from: '+15005550001' }), soon())).toMatchObject({ status: 'rejected', code: 'permission_denied', carrierCode: '10010' })
    expect(await client.place({ ...config, credentials: { ...credentials, api_key: 'invalid' } }, order(), soon())).toMatchObject({ status: 'rejected', code: 'invalid_credentials', carrierCode: '10009' })
    expect(await client.place({ ...config, settings: {} }, order(), soon())).toMatchObject({ status: 'rejected', code: 'invalid_request' })
    expect(await client.place(config, order({ instructions: [{ do: 'conference', name: 'x' }] }), soon())).toMatchObject({ status: 'rejected', code: 'invalid_request' })
    sandbox.faults.add({ target: 'telnyx.calls.dial', times: 1, action: { acceptThenReset: true } })
    expect(await client.place(config, order(), soon())).toMatchObject({ status: 'unknown' })
    // The same reference is the same call: Telnyx knows the command.
    const again = await client.place(config, order(), soon())
    expect(again.status).toBe('accepted')
    expect(sandbox.carriers.telnyx.calls()).toHaveLength(1)
    sandbox.faults.add({ target: 'telnyx.calls.dial', times: 1, action: { status: 429, retryAfter: 2 } })
    expect(await client.place(config, order({ reference: 'call-8' }), soon())).toMatchObject({ status: 'rejected', code: 'rate_limited', retryAfterMs: 2_000 })
  })
})

describe('a running call of Telnyx', () => {
  const talking = async (): Promise<CallHandle> => {
    await open()
    onCall(stream())
    const phone = ring()
    await business.line()
    return phone
  }

  it.each([['answer', 'answered'], ['busy', 'busy']] as const)('is handed to somebody else who does %s', async (does, outcome) => {
    const phone = await talking()
    sandbox.carriers.describe({ number: COLLEAGUE, does, says: [{ text: 'desk here' }] })
    await client.transfer(config, phone.id, { to: COLLEAGUE, from: OURS }, context, soon())
    expect(await business.event((event) => event.kind === 'call.transfer' && event.outcome !== 'ringing')).toMatchObject({ carrierCallId: phone.id, outcome, reference: 'call-7' })
    await heard(business.lines[0]!, 'stop')
    if (outcome === 'busy') return expect(phone.state()).toBe('answered')
    const other = sandbox.carriers.telnyx.calls().find(({ id }) => id !== phone.id)!
    await other.waitFor('person.silent')
    phone.hangUp()
    await other.waitFor('ended')
    expect(wordsOf(phone.agentPcm())).toBe('desk here')
  })

  it.each([
    ['once when the answer to that got lost: the same command again is the same command', { times: 1, action: { acceptThenReset: true } }],
    ['at the next attempt when Telnyx did not take the first', { times: 2, action: { status: 504 } }],
  ])('is handed over %s', async (_name, fault) => {
    const phone = await talking()
    sandbox.carriers.describe({ number: COLLEAGUE, does: 'no_answer' })
    sandbox.faults.add({ target: 'telnyx.actions.transfer', ...fault })
    await client.transfer(config, phone.id, { to: COLLEAGUE, from: OURS }, context, soon())
    expect(phone.moments().filter(({ kind }) => kind === 'dialed')).toHaveLength(1)
  })

  it.each([
    ['may have been handed over: Telnyx does not say', [{ action: { status: 504 } }], null],
    ['was not handed over: Telnyx refuses what it lost before', [{ times: 1, action: { status: 504 } }, { action: { status: 422, errorCode: '10016' } }], false],
  ])('%s', async (_name, faults, carriedOut) => {
    const phone = await talking()
    for (const fault of faults) sandbox.faults.add({ target: 'telnyx.actions.transfer', ...fault })
    await expect(client.transfer(config, phone.id, { to: COLLEAGUE, from: OURS }, context, soon())).rejects.toMatchObject({ details: { carried_out: carriedOut } })
    expect(phone.moments().filter(({ kind }) => kind === 'dialed')).toEqual([])
  })

  it('is connected with a second leg that was briefed', async () => {
    const phone = await talking()
    sandbox.carriers.describe({ number: COLLEAGUE, says: [{ silence_ms: 1_000 }, { text: 'I take over' }] })
    const placed = await client.place(config, order({ instructions: [stream('briefing')] }), soon())
    expect((await business.line(1)).token).toBe('briefing')
    const other = placed.status === 'accepted' ? placed.carrierCallId : ''
    await client.bridge(config, phone.id, other, context, soon())
    await business.event((event) => event.kind === 'call.bridged' && event.carrierCallId === other)
    await sandbox.carriers.telnyx.call(other).waitFor('person.silent')
    phone.hangUp()
    expect(wordsOf(phone.agentPcm())).toBe('I take over')
  })

  it('presses keys while its stream goes on', async () => {
    const phone = await talking()
    await client.sendDtmf(config, phone.id, '42#', [], context, soon())
    expect(phone.moments().filter(({ kind }) => kind === 'person.hears_key').map(({ text }) => text)).toEqual(['4', '2', '#'])
    const line = business.lines[0]!
    line.send(line.wire.encodeMark('still here'))
    await heard(line, 'mark')
    expect(business.lines).toHaveLength(1)
  })

  it('refuses commands by the state that it is in', async () => {
    const phone = await talking()
    phone.hangUp()
    await expect(client.redirect(config, phone.id, [{ do: 'say', text: 'x' }], context, soon())).rejects.toMatchObject({ code: 'invalid_state' })
    await expect(client.sendDtmf(config, phone.id, '1', [], context, soon())).rejects.toMatchObject({ code: 'invalid_state' })
    await expect(client.sendDtmf(config, 'v3:nobody', '1', [], context, soon())).rejects.toMatchObject({ code: 'not_found' })
    await expect(client.sendDtmf(config, phone.id, 'x', [], context, soon())).rejects.toMatchObject({ code: 'invalid_request', param: 'digits' })
    business.instruct(() => null)
    const ringing = ring()
    await expect(client.sendDtmf(config, ringing.id, '1', [], { key: 'early' }, soon())).rejects.toMatchObject({ code: 'invalid_state', message: 'The call is not answered yet.' })
  })
})

describe('TeXML', () => {
  const texml = () => open({ mode: 'texml', connection_id: TELNYX_TEXML_CONNECTION_ID, account_sid: TELNYX_ACCOUNT_SID }, { texml: true })

  it('answers with a document, streams, and hands over', async () => {
    const own = await texml()
    onCall({ do: 'say', text: 'one moment' }, { do: 'stream', url: business.mediaUrl('texml') }, { do: 'hang_up' })
    const phone = ring()
    // A document cannot ask for a token: the path has it.
    expect(await sandbox.waitFor(({ target, kind }) => target === 'telnyx.media' && kind === 'closed')).toMatchObject({ outcome: 'fault' })
    await phone.waitFor('ended')
    expect(wordsOf(phone.agentPcm())).toBe('one moment')
    expect(own.settings.mode).toBe('texml')
  })

  it('places a call, changes its mind, presses keys, and ends it', async () => {
    const own = await texml()
    const placed = await client.place(own, order({ instructions: [{ do: 'pause', seconds: 30 }] }), soon())
    expect(placed.status).toBe('accepted')
    const id = placed.status === 'accepted' ? placed.carrierCallId : ''
    const phone = sandbox.carriers.telnyx.call(id)
    await business.event((event) => event.kind === 'call.answered')
    await client.redirect(own, id, [{ do: 'say', text: 'changed my mind' }, { do: 'pause', seconds: 30 }], context, soon())
    await phone.waitFor('say')
    await client.sendDtmf(own, id, '5', [{ do: 'pause', seconds: 30 }], context, soon())
    await phone.waitFor('person.hears_key')
    expect(await client.find(own, id, soon())).toMatchObject({ isAlive: true, status: 'in-progress' })
    expect(await client.hangUp(own, id, soon())).toBe('ended')
    expect(await client.hangUp(own, id, soon())).toBe('already_over')
    expect(await client.find(own, id, soon())).toMatchObject({ isAlive: false, status: 'completed', durationSeconds: expect.any(Number) as number })
    expect(await client.find(own, 'v3:nobody', soon())).toBeNull()
    expect(await business.event((event) => event.kind === 'call.ended')).toMatchObject({ carrier: 'telnyx', carrierCallId: id, cause: 'completed' })
  })

  it('connects two legs, and hands one over', async () => {
    const own = await texml()
    sandbox.carriers.describe({ number: COLLEAGUE, says: [{ silence_ms: 600 }, { text: 'I take over' }] })
    onCall({ do: 'pause', seconds: 30 })
    const phone = ring()
    await phone.waitFor('answered')
    const placed = await client.place(own, order({ instructions: [{ do: 'pause', seconds: 30 }] }), soon())
    const other = placed.status === 'accepted' ? placed.carrierCallId : ''
    await sandbox.carriers.telnyx.call(other).waitFor('answered')
    await client.bridge(own, phone.id, other, context, soon())
    await phone.waitFor('bridged')
    await sandbox.carriers.telnyx.call(other).waitFor('person.silent')
    sandbox.carriers.telnyx.call(other).hangUp()
    await phone.waitFor('ended')
    expect(wordsOf(phone.agentPcm())).toBe('I take over')

    sandbox.carriers.describe({ number: COLLEAGUE, does: 'busy' })
    const second = ring()
    await second.waitFor('answered')
    await client.transfer(own, second.id, { to: COLLEAGUE, resultUrl: `${business.url}/after` }, context, soon())
    expect(await business.event((event) => event.kind === 'call.transfer' && event.outcome !== 'ringing')).toMatchObject({ carrierCallId: second.id, outcome: 'busy' })
  })
})

describe('numbers of Telnyx', () => {
  beforeEach(async () => void (await open()))
  numberChecks(() => ({ sandbox, client, business, config }), { carrier: 'telnyx', sold: OURS, answerWith: (token) => onCall(stream(token)), areaCode: '312', free: '+13125550155' })

  it('are found by their digits, with their region and what they can do', async () => {
    const [offer] = await client.searchNumbers(config, { country: 'US', areaCode: '312', contains: '555', limit: 3 }, soon())
    expect(offer).toMatchObject({ number: expect.stringMatching(/^\+1312/) as string, region: 'CA', features: ['voice', 'sms'] })
  })

  it('cannot be bought without a connection to bind them to', async () => {
    const routing = { voiceUrl: `${business.url}/voice` }
    await expect(client.buyNumber({ ...config, settings: {} }, '+13125550156', routing, soon())).rejects.toMatchObject({ code: 'invalid_request', param: 'settings.connection_id' })
  })

  it('need credentials that Telnyx accepts', async () => {
    await client.check(config, soon())
    await expect(client.check({ ...config, credentials: { ...credentials, api_key: 'invalid' } }, soon())).rejects.toMatchObject({ code: 'invalid_credentials', param: 'credentials.api_key' })
    await expect(client.check({ ...config, credentials: {} }, soon())).rejects.toMatchObject({ code: 'invalid_credentials', param: 'credentials.api_key' })
  })
})
