import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { startSandbox, TWILIO_ACCOUNT_SID, TWILIO_AUTH_TOKEN, type CallHandle, type Sandbox } from '@trunkline/app-sandbox'
import type { CarrierClient, CarrierConfig, PlaceCallInput } from '../carriers/index.ts'
import { numberChecks } from '../../testing/numbers.ts'
import { spoken, wordsOf } from '../../testing/speech.ts'
import { heard, openBusiness, type Business } from '../../testing/business.ts'
import { twilio } from './index.ts'

const config: CarrierConfig = { credentials: { account_sid: TWILIO_ACCOUNT_SID, auth_token: TWILIO_AUTH_TOKEN }, settings: {} }
const OURS = '+15005550006'
const CALLER = '+14155550100'
const COLLEAGUE = '+14155550177'
const context = { key: 'wish-1' }
const soon = () => AbortSignal.timeout(10_000)

let sandbox: Sandbox
let client: CarrierClient
let business: Business

beforeAll(async () => {
  sandbox = await startSandbox()
  client = twilio.client({ baseUrl: `${sandbox.url}/twilio`, timeoutMs: 5_000 })
})
beforeEach(async () => {
  business = await openBusiness({ carrier: twilio, config, client })
  sandbox.carriers.twilio.register({ number: OURS, voice_url: `${business.url}/voice`, status_url: `${business.url}/status` })
})
afterEach(async () => {
  sandbox.reset()
  await business.close()
})
afterAll(async () => {
  await client.close()
  await sandbox.close()
})

const stream = (token?: string) => ({ do: 'stream', url: business.mediaUrl(token) }) as const
const ring = (says: Parameters<CallHandle['say']>[0][] = []) => sandbox.carriers.twilio.ring({ from: CALLER, to: OURS, says: says.map((one) => (typeof one === 'string' ? { text: one } : one)) })
const onCall = (...steps: Parameters<Business['instruct']>[0] extends (event: never) => infer Steps ? NonNullable<Steps> : never) => business.instruct((event) => (event.kind === 'call.initiated' ? steps : null))
const order = (changes: Partial<PlaceCallInput> = {}): PlaceCallInput => ({ to: COLLEAGUE, from: OURS, instructions: [stream('out')], statusUrl: `${business.url}/status/call-7`, reference: 'call-7', ...changes })
const moments = (phone: CallHandle) => phone.moments().map(({ kind }) => kind)

describe('a call to a number of Twilio', () => {
  it('is answered with TwiML, streams, and ends with its duration', async () => {
    onCall({ ...stream('abc'), parameters: { call: '<42> & "so"' } })
    const phone = ring(['hello there'])
    const line = await business.line()
    expect(line.token).toBe('abc')
    expect(line.wire.start).toMatchObject({ carrierCallId: phone.id, parameters: { call: '<42> & "so"' } })
    await phone.waitFor('person.silent')
    phone.hangUp()
    await heard(line, 'stop')
    const frames = line.events.filter((event) => event.kind === 'media')
    expect(frames.map(({ chunk }) => chunk)).toEqual(frames.map((_, index) => index + 1))
    expect(frames.map(({ timestampMs }) => timestampMs)).toEqual(frames.map((_, index) => index * 20))
    expect(new Set(frames.map(({ payload }) => payload.length))).toEqual(new Set([160]))
    expect(await business.event((event) => event.kind === 'call.ended')).toMatchObject({ carrierCallId: phone.id, cause: 'completed', durationSeconds: expect.any(Number) as number })
    expect(line.events.filter((event) => event.kind === 'bad')).toEqual([])
  })

  it('plays what we send at the pace of a phone, gives marks back when their sound was heard, and keeps both sides', async () => {
    onCall(stream())
    const phone = ring(['good morning'])
    const line = await business.line()
    const { bytes, ms } = spoken('how can I help', 'pcmu', 8_000)
    line.send(line.wire.encodeMedia(bytes))
    line.send(line.wire.encodeMark('asked'))
    await heard(line, 'mark', ({ name }) => name === 'asked')
    const [first, played] = [await phone.waitFor('media.first'), await phone.waitFor('mark.played')]
    // All of it was there at once; the mark came when it had been played, not before.
    expect(played.atMs - first.atMs).toBeGreaterThan(ms - 40)
    await phone.waitFor('person.silent')
    phone.hangUp()
    expect(wordsOf(phone.agentPcm())).toBe('how can I help')
    expect(wordsOf(phone.callerPcm())).toBe('good morning')
    expect(phone.streams()[0]!.stats).toMatchObject({ underruns: 0, faults: 0, marksReturned: 1 })
  })

  it('throws away what waits at clear, and gives its marks back at once', async () => {
    onCall(stream())
    const phone = ring()
    const line = await business.line()
    const { bytes } = spoken('this is a very long sentence that nobody will hear to its end', 'pcmu', 8_000)
    line.send(line.wire.encodeMedia(bytes))
    line.send(line.wire.encodeMark('one'))
    line.send(line.wire.encodeMark('two'))
    await phone.waitFor('media.first')
    line.send(line.wire.encodeClear())
    await heard(line, 'mark', ({ name }) => name === 'two')
    expect(moments(phone).filter((kind) => kind.startsWith('mark'))).toEqual(['mark.cleared', 'mark.cleared'])
    line.send(line.wire.encodeMark('empty'))
    await heard(line, 'mark', ({ name }) => name === 'empty')
    phone.hangUp()
    expect(phone.agentPcm().filter((sample) => Math.abs(sample) > 500).length).toBeLessThan(8_000 * 2)
  })

  it('tells keys by the socket', async () => {
    onCall(stream())
    const phone = ring()
    const line = await business.line()
    phone.press('12#')
    await heard(line, 'dtmf', ({ digit }) => digit === '#')
    expect(line.events.filter((event) => event.kind === 'dtmf').map(({ digit }) => digit)).toEqual(['1', '2', '#'])
  })

  it('goes on with the next instruction when our socket closes: that is how a call is handed over', async () => {
    sandbox.carriers.describe({ number: COLLEAGUE, says: [{ text: 'desk here' }] })
    onCall(stream(), { do: 'dial', to: COLLEAGUE, from: OURS, resultUrl: `${business.url}/after` })
    const phone = ring()
    const line = await business.line()
    line.socket.close(1000)
    await phone.waitFor('bridged')
    const colleague = sandbox.carriers.twilio.calls().find(({ id }) => id !== phone.id)!
    await colleague.waitFor('person.silent')
    colleague.hangUp()
    expect(await business.event((event) => event.kind === 'call.transfer' && event.outcome !== 'ringing')).toMatchObject({ carrierCallId: phone.id, outcome: 'answered', otherCallId: colleague.id })
    await phone.waitFor('ended')
    expect(wordsOf(phone.agentPcm())).toBe('desk here')
  })

  it('opens another socket after one broke in the middle of a word', async () => {
    onCall(stream('first'), stream('second'))
    const phone = ring([{ silence_ms: 400 }])
    const first = await business.line(0)
    await heard(first, 'media', ({ chunk }) => chunk === 3)
    phone.dropSocket()
    const second = await business.line(1)
    expect([first.token, second.token]).toEqual(['first', 'second'])
    expect(second.wire.start?.streamId).not.toBe(first.wire.start?.streamId)
    await heard(second, 'media', ({ chunk }) => chunk === 1)
    expect(first.events.some(({ kind }) => kind === 'stop')).toBe(false)
    expect(phone.state()).toBe('answered')
  })

  it('is turned away without being answered', async () => {
    onCall({ do: 'reject', reason: 'busy' })
    const phone = ring()
    await phone.waitFor('ended')
    expect(moments(phone)).not.toContain('answered')
    expect(await business.event((event) => event.kind === 'call.ended')).toMatchObject({ cause: 'busy', durationSeconds: 0 })
  })

  it('hears an announcement and a pause before it is hung up', async () => {
    onCall({ do: 'say', text: 'we are closed' }, { do: 'pause', seconds: 1 }, { do: 'hang_up' })
    const phone = ring()
    await phone.waitFor('ended')
    expect(wordsOf(phone.agentPcm())).toBe('we are closed')
  })

  it('is not answered by whoever signs wrongly, and cannot reach our socket without a signature', async () => {
    sandbox.faults.add({ target: 'twilio.webhook', times: 1, action: { badSignature: true } })
    onCall(stream())
    const phone = ring()
    await phone.waitFor('ended')
    expect(business.refused).toEqual(['/voice'])
    const socket = new WebSocket(business.mediaUrl())
    await new Promise((resolve) => socket.addEventListener('error', resolve))
    expect(business.lines).toEqual([])
  })

  it('is told once by its id when Twilio delivers twice', async () => {
    sandbox.faults.add({ target: 'twilio.webhook', match: { contains: 'CallStatus=completed' }, times: 1, action: { copies: 2 } })
    onCall({ do: 'hang_up' })
    const phone = ring()
    await phone.waitFor('ended')
    await sandbox.waitForCount(({ target, kind }) => target === 'twilio.webhook' && kind === 'completed', 3)
    const ended = business.events.filter((event) => event.kind === 'call.ended')
    expect(ended).toHaveLength(3)
    expect(new Set(ended.map(({ eventId }) => eventId)).size).toBe(1)
  })

  it('asks the fallback address when the first one fails', async () => {
    sandbox.carriers.twilio.register({ number: OURS, voice_url: `${sandbox.url}/tools/fail/503`, voice_fallback_url: `${business.url}/voice` })
    onCall(stream('fallback'))
    ring()
    expect((await business.line()).token).toBe('fallback')
  })
})

describe('a call that we place with Twilio', () => {
  it('rings, is answered, streams, and tells every step in order', async () => {
    sandbox.carriers.describe({ number: COLLEAGUE, says: [{ text: 'who is there' }] })
    const placed = await client.place(config, order(), soon())
    expect(placed).toEqual({ status: 'accepted', carrierCallId: expect.stringMatching(/^CA[0-9a-f]{32}$/) as string })
    const line = await business.line()
    expect(line.token).toBe('out')
    const phone = sandbox.carriers.twilio.call(line.wire.start!.carrierCallId)
    await phone.waitFor('person.silent')
    expect(await client.find(config, phone.id, soon())).toMatchObject({ isAlive: true, status: 'in-progress' })
    expect(await client.hangUp(config, phone.id, soon())).toBe('ended')
    await business.event((event) => event.kind === 'call.ended')
    expect(business.events.map(({ kind }) => kind)).toEqual(['call.initiated', 'call.ringing', 'call.answered', 'call.ended'])
    expect(business.events[0]).toMatchObject({ direction: 'outbound', from: OURS, to: COLLEAGUE })
    expect(await client.find(config, phone.id, soon())).toMatchObject({ isAlive: false, status: 'completed', durationSeconds: expect.any(Number) as number })
  })

  it.each([['busy', 'busy'], ['no_answer', 'no_answer'], ['fail', 'unreachable'], ['unknown', 'unreachable']] as const)('ends as it is: %s', async (does, cause) => {
    sandbox.carriers.describe({ number: COLLEAGUE, does })
    await client.place(config, order({ timeoutSeconds: 5 }), soon())
    expect(await business.event((event) => event.kind === 'call.ended', 9_000)).toMatchObject({ cause })
    expect(business.events.map(({ kind }) => kind)).not.toContain('call.answered')
  }, 20_000)

  it('finds a machine, and the end of its greeting', async () => {
    sandbox.carriers.describe({ number: COLLEAGUE, machine: true, says: [{ text: 'leave a message' }] })
    await client.place(config, order({ machineDetection: 'greeting_end' }), soon())
    expect(await business.event((event) => event.kind === 'call.machine')).toMatchObject({ phase: 'greeting_ended', verdict: 'machine' })
    sandbox.carriers.describe({ number: COLLEAGUE, says: [{ text: 'hello' }] })
    await client.place(config, order({ machineDetection: 'detect' }), soon())
    expect(await business.event((event) => event.kind === 'call.machine' && event.verdict === 'human')).toMatchObject({ phase: 'detected' })
  })

  it('is hung up twice without an error, and a call that Twilio never had is no error either', async () => {
    const placed = await client.place(config, order(), soon())
    const id = placed.status === 'accepted' ? placed.carrierCallId : ''
    expect(await client.hangUp(config, id, soon())).toBe('ended')
    expect(await client.hangUp(config, id, soon())).toBe('already_over')
    expect(await client.hangUp(config, `CA${'0'.repeat(32)}`, soon())).toBe('already_over')
    expect(await client.find(config, `CA${'0'.repeat(32)}`, soon())).toBeNull()
    await expect(client.redirect(config, id, [{ do: 'hang_up' }], context, soon())).rejects.toMatchObject({ code: 'invalid_state' })
    await expect(client.hangUp(config, 'not-a-sid/../..', soon())).rejects.toMatchObject({ code: 'not_found', param: 'carrierCallId' })
  })

  it('is refused by name, before it rings', async () => {
    expect(await client.place(config, order({ to: 'tomorrow' }), soon())).toMatchObject({ status: 'rejected', code: 'invalid_request' })
    expect(await client.place(config, order({ from: '+15005550001' }), soon())).toMatchObject({ status: 'rejected', code: 'invalid_request', carrierCode: '21210' })
    expect(await client.place(config, order({ instructions: [] }), soon())).toMatchObject({ status: 'rejected', code: 'invalid_request', carrierCode: 'input' })
    expect(await client.place({ ...config, credentials: { ...config.credentials, auth_token: 'wrong' } }, order(), soon())).toMatchObject({ status: 'rejected', code: 'invalid_credentials', carrierCode: '20003' })
    expect(await client.place({ credentials: {}, settings: {} }, order(), soon())).toMatchObject({ status: 'rejected', code: 'invalid_credentials', carrierCode: 'input' })
  })

  it('is unknown, not refused, when no answer came: the phone may be ringing', async () => {
    for (const action of [{ acceptThenReset: true }, { status: 503 }, { garbage: true }]) {
      sandbox.faults.add({ target: 'twilio.calls.create', times: 1, action })
      expect((await client.place(config, order(), soon())).status, JSON.stringify(action)).toBe('unknown')
    }
    sandbox.faults.add({ target: 'twilio.calls.create', times: 1, action: { status: 429, errorCode: 20429, retryAfter: 3 } })
    expect(await client.place(config, order(), soon())).toMatchObject({ status: 'rejected', code: 'rate_limited', retryAfterMs: 3_000 })
    const nowhere = twilio.client({ baseUrl: 'http://127.0.0.1:9', timeoutMs: 1_000 })
    expect(await nowhere.place(config, order(), soon())).toMatchObject({ status: 'rejected', code: 'upstream_failed', carrierCode: 'not_sent' })
    await nowhere.close()
  })

  it('gives up at its deadline, and when it is told to', async () => {
    const hasty = twilio.client({ baseUrl: `${sandbox.url}/twilio`, timeoutMs: 200 })
    sandbox.faults.add({ target: 'twilio.calls.*', action: { hang: true } })
    expect(await hasty.place(config, order(), soon())).toMatchObject({ status: 'unknown' })
    await expect(client.hangUp(config, `CA${'0'.repeat(32)}`, AbortSignal.timeout(100))).rejects.toMatchObject({ code: 'upstream_timeout' })
    await hasty.close()
  })
})

describe('a running call of Twilio', () => {
  const talking = async (): Promise<CallHandle> => {
    onCall(stream())
    const phone = ring()
    await business.line()
    return phone
  }

  it('is handed to somebody else, and we are told how it went', async () => {
    const phone = await talking()
    sandbox.carriers.describe({ number: COLLEAGUE, does: 'busy' })
    await client.transfer(config, phone.id, { to: COLLEAGUE, from: OURS, resultUrl: `${business.url}/after` }, context, soon())
    expect(await business.event((event) => event.kind === 'call.transfer' && event.outcome !== 'ringing')).toMatchObject({ carrierCallId: phone.id, outcome: 'busy' })
    await heard(business.lines[0]!, 'stop')
  })

  it('was handed over once when the answer to that got lost: the leg that it opened tells', async () => {
    const phone = await talking()
    sandbox.carriers.describe({ number: COLLEAGUE, does: 'no_answer' })
    sandbox.faults.add({ target: 'twilio.calls.update', times: 1, action: { acceptThenReset: true } })
    await client.transfer(config, phone.id, { to: COLLEAGUE, from: OURS }, context, soon())
    expect(phone.moments().filter(({ kind }) => kind === 'dialed')).toHaveLength(1)
  })

  it.each([
    ['was not handed over: there is no such leg', {}, false],
    ['may have been handed over: Twilio does not say', { list: { status: 503 } }, null],
  ] as const)('%s', async (_name, { list }: { list?: { status: number } }, carriedOut) => {
    const phone = await talking()
    sandbox.faults.add({ target: 'twilio.calls.update', times: 1, action: { status: 504 } })
    if (list) sandbox.faults.add({ target: 'twilio.calls.list', action: list })
    await expect(client.transfer(config, phone.id, { to: COLLEAGUE, from: OURS }, context, soon())).rejects.toMatchObject({ code: 'upstream_failed', details: { carried_out: carriedOut, status: 504 } })
    expect(phone.moments().filter(({ kind }) => kind === 'dialed')).toEqual([])
  })

  it('is connected with a second leg that was briefed', async () => {
    const phone = await talking()
    sandbox.carriers.describe({ number: COLLEAGUE, says: [{ silence_ms: 1_500 }, { text: 'I take over' }] })
    const placed = await client.place(config, order({ instructions: [stream('briefing')] }), soon())
    const briefing = await business.line(1)
    expect(briefing.token).toBe('briefing')
    const other = placed.status === 'accepted' ? placed.carrierCallId : ''
    await client.bridge(config, phone.id, other, context, soon())
    await phone.waitFor('bridged')
    await sandbox.carriers.twilio.call(other).waitFor('person.silent')
    phone.hangUp()
    await sandbox.carriers.twilio.call(other).waitFor('ended')
    expect(wordsOf(phone.agentPcm())).toBe('I take over')
  })

  it('presses keys, and comes back to its stream', async () => {
    const phone = await talking()
    await client.sendDtmf(config, phone.id, '42W#', [stream('again')], context, soon())
    expect((await business.line(1)).token).toBe('again')
    expect(phone.moments().filter(({ kind }) => kind === 'person.hears_key').map(({ text }) => text)).toEqual(['4', '2', '#'])
  })
})

describe('numbers of Twilio', () => {
  numberChecks(() => ({ sandbox, client, business, config }), { carrier: 'twilio', sold: OURS, answerWith: (token) => onCall(stream(token)), areaCode: '415', free: '+14155550155' })

  it('have ids of Twilio, and are written in full', async () => {
    const routing = { voiceUrl: `${business.url}/voice` }
    expect((await client.buyNumber(config, '+14155550156', routing, soon())).carrierNumberId).toMatch(/^PN/)
    await expect(client.buyNumber(config, '0800', routing, soon())).rejects.toMatchObject({ code: 'invalid_request', param: 'number' })
  })

  it('need credentials that Twilio accepts', async () => {
    await client.check(config, soon())
    await client.check({ ...config, credentials: { ...config.credentials, api_key_sid: `SK${'1'.repeat(32)}`, api_key_secret: 'good' } }, soon())
    await expect(client.check({ ...config, credentials: { ...config.credentials, auth_token: 'wrong' } }, soon())).rejects.toMatchObject({ code: 'invalid_credentials', param: 'credentials.auth_token' })
    sandbox.faults.add({ target: 'twilio.account', action: { reset: true } })
    await expect(client.check(config, soon())).rejects.toMatchObject({ code: 'upstream_timeout' })
  })
})

describe('bad networks', () => {
  it('delay, lose and stall without a bad frame, and stop the sound for nobody else', async () => {
    onCall(stream())
    const phone = ring([{ silence_ms: 2_000 }])
    const line = await business.line()
    phone.setNetwork({ delay_ms: 60, jitter_ms: 40, loss: 0.2, seed: 7 })
    const { bytes } = spoken('hold on', 'pcmu', 8_000)
    phone.stall(150)
    line.send(line.wire.encodeMedia(bytes))
    line.send(line.wire.encodeMark('end'))
    await heard(line, 'mark')
    await heard(line, 'media', ({ chunk }) => chunk > 60)
    phone.hangUp()
    const chunks = line.events.filter((event) => event.kind === 'media').map(({ chunk }) => chunk)
    expect(chunks).toEqual(chunks.toSorted((a, b) => a - b))
    expect(new Set(chunks).size).toBe(chunks.length)
    expect(chunks.length).toBeLessThan(chunks.at(-1)!)
    expect(line.events.filter((event) => event.kind === 'bad')).toEqual([])
    expect(wordsOf(phone.agentPcm())).toBe('hold on')
  })
})
