import { createReadStream } from 'node:fs'
import { ledger } from '@trunkline/db'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { wordsOf } from '../../channels/testing/speech.ts'
import type { Business, Json } from './business.ts'
import { openPhoneTown, type PhoneTown, type Telephone } from './phone-town.ts'

const GREETING = 'Harbour bikes, how can we help?'
const INSTRUCTIONS = 'You are the receptionist of Harbour Bikes. We open at nine in the morning. We repair bicycles of every make in our workshop at Pier 4, and we rent city bikes for 18 euros a day and cargo bikes for 39 euros a day.'
/** The level that callers are brought to: apps/voice/src/simulation/voice.ts. */
const VOICE_RMS = 2_600
/** Quick, and still understood. */
const voice = { speed: 1.5 }

let town: PhoneTown
let business: Business
let telephone: Telephone
beforeAll(async () => {
  town = await openPhoneTown()
  business = await town.business()
  telephone = await town.telephone(business, { settings: { greeting: GREETING, voice: { speed: 1.5 } }, prompt: { instructions: INSTRUCTIONS } })
})
afterAll(() => town?.close())

async function simulated(spec: Record<string, unknown>, of = telephone): Promise<Json> {
  const made = await business.ok('POST', '/v1/simulations', { agent_id: of.agentId, ...spec })
  expect(made).toMatchObject({ agent_id: of.agentId, number_id: of.id, passed: null, failure: null })
  const read = () => business.ok('GET', `/v1/simulations/${made.id}`)
  await expect.poll(async () => (await read()).ended_at, { timeout: 80_000, interval: 200 }).not.toBeNull()
  return read()
}

describe('a simulated caller', { timeout: 90_000 }, () => {
  it('rings, waits, asks, interrupts and hangs up; what was heard passes, by transcript and by ear', async () => {
    const done = await simulated({
      callers: [{ name: 'Hasty', voice, script: [{ wait_for: 'how can we help' }, { say: 'What does it cost to rent a bike?' }, { interrupt_after_ms: 1_500, say: 'Fine. And when do you open?' }, { wait_for: '/nine/' }, { hang_up: true }] }],
      assertions: [{ heard: 'nine in the morning' }, { not_heard: 'elephant' }, { max_response_ms: 10_000 }, { interrupted_within_ms: 5_000 }, { ended_by: 'caller' }, { max_turns: 3 }],
    })
    const [result] = done.results
    expect(result.failed_step).toBeNull()
    expect(result.assertions.map(({ passed, evidence }: Json) => (passed ? true : evidence))).toEqual([true, true, true, true, true, true])
    expect(done).toMatchObject({ status: 'completed', passed: true, progress: { calls: 1, done: 1 } })
    expect(result).toMatchObject({ passed: true, ended_by: 'caller', reason: 'caller_hung_up', intelligibility: expect.any(Number) })
    expect(result.intelligibility).toBeGreaterThan(0.8)
    expect(result.transcript.some(({ by, interrupted }: Json) => by === 'agent' && interrupted)).toBe(true)
    expect(result.response.each_ms.length).toBeGreaterThanOrEqual(2)
    expect(result.waterfall[0]).toMatchObject({ turn: 1, endpoint_ms: expect.any(Number), first_heard_ms: expect.any(Number) })

    const call = await business.ok('GET', `/v1/calls/${result.call_id}`)
    expect(call).toMatchObject({ placed_by: `simulation:${done.id}`, metadata: { simulation: done.id }, status: 'completed', number_id: telephone.id, agent_id: telephone.agentId })
    expect(call.cost.carrier.micros).toBe('0')
    for (const part of ['stt', 'tts', 'model']) expect(Number(call.cost[part].micros), part).toBeGreaterThan(0)
    expect((await town.db.system('ledger', (tx) => ledger.verifyLedger(tx))).differences).toEqual([])
    expect(town.sandbox.carriers.twilio.calls()).toEqual([])
    expect(await town.rows('SELECT 1 FROM conversations WHERE id = $1 AND (extraction_due_at IS NOT NULL OR first_unextracted_at IS NOT NULL)', [call.conversation_id])).toEqual([])
    expect(await town.rows('SELECT 1 FROM calls WHERE id = $1 AND summary_due_at IS NOT NULL', [result.call_id])).toEqual([])

    const { left, right } = await sides(result.recording_key)
    expect(wordsOf(left)).toMatch(/cost.*open/s)
    expect(wordsOf(right)).toMatch(/help.*nine/s)
  })

  it('fails with evidence when an assertion does not hold, and when the script cannot go on', async () => {
    const done = await simulated({
      callers: [{ voice, script: [{ say: 'When do you open?' }, { hang_up: true }] }, { voice, script: [{ wait_for: 'good evening', within_ms: 4_000 }, { say: 'Never said' }] }],
      assertions: [{ heard: 'ten in the evening' }, { not_heard: 'nine' }, { max_response_ms: 1 }, { interrupted_within_ms: 500 }, { ended_by: 'agent' }, { tool_called: 'look_up_order' }],
    })
    expect(done).toMatchObject({ status: 'completed', passed: false, progress: { calls: 2, done: 2 } })
    const [asked, lost] = done.results.toSorted((a: Json, b: Json) => a.caller - b.caller)
    expect(asked.assertions.map(({ passed }: Json) => passed)).toEqual([false, false, false, false, false, false])
    expect(asked.assertions[0].evidence).toMatch(/nine/)
    expect(asked.assertions[1].evidence).toMatch(/said: ".*nine/)
    expect(asked.assertions[2].evidence).toMatch(/\d+ ms/)
    expect(asked.assertions[4].evidence).toMatch(/ended by caller/)
    expect(asked).toMatchObject({ failed_step: null, passed: false })
    expect(lost.failed_step).toMatchObject({ step: 0, why: expect.stringMatching(/good evening was not heard.*how can we help/s) })
    expect(lost.passed).toBe(false)
  })

  it('stands in noise and loses packets: the sound that arrives is another one', async () => {
    const quiet = { voice, script: [{ say: 'When do you open?' }, { hang_up: true }] }
    const noisy = { ...quiet, noise: { kind: 'white', snr_db: 30 } }
    const lossy = { ...quiet, packet_loss: 0.3 }
    const done = await simulated({ callers: [quiet, noisy, lossy] })
    const sounds = await Promise.all(done.results.toSorted((a: Json, b: Json) => a.caller - b.caller).map(async ({ recording_key: key }: Json) => (await sides(key)).left)) as [Int16Array, Int16Array, Int16Array]
    const [plain, inNoise, withLoss] = sounds
    expect(wordsOf(plain)).toContain('open?')
    // 30 dB below the voice: the recogniser still understands, and nothing is ever silent.
    expect(softestSecond(inNoise) / (VOICE_RMS / 10 ** (30 / 20))).toBeCloseTo(1, 0)
    expect(wordsOf(inNoise)).toContain('open')
    expect(softestSecond(plain)).toBeLessThan(5)
    expect(wordsOf(withLoss)).not.toBe(wordsOf(plain))
  })

  it('pursues a goal: the agent’s model plays the caller, by what it hears, until it has enough', async () => {
    // The sandbox's model does what it is told in these words, and it is told by sound.
    const closed = await town.telephone(business, { settings: { greeting: 'We are closed. Please call end_conversation {}', voice: { speed: 1.5 } } })
    const done = await simulated({ callers: [{ goal: 'Find out when they open.', voice }], assertions: [{ heard: 'closed' }, { ended_by: 'caller' }] }, closed)
    const [result] = done.results
    expect(result.assertions.map(({ passed, evidence }: Json) => (passed ? true : evidence))).toEqual([true, true])
    expect(done).toMatchObject({ status: 'completed', passed: true })
    expect(await town.rows("SELECT purpose FROM usage_records WHERE call_id = $1 AND purpose NOT IN ('stt', 'tts') AND outcome = 'ok'", [result.call_id])).not.toEqual([])
  })

  it('rings again when the process that had the simulation lost it, and is judged once', async () => {
    const made = await business.ok('POST', '/v1/simulations', { agent_id: telephone.agentId, callers: [{ voice, script: [{ say: 'When do you open?' }] }], assertions: [{ heard: 'nine' }] })
    const answered = (count: number) => town.until('SELECT 1 FROM calls WHERE placed_by = $1 AND answered_at IS NOT NULL', [`simulation:${made.id}`], (rows) => rows.length === count)
    await answered(1)
    await town.db.system('test', (tx) => tx.query("UPDATE simulations SET epoch = epoch + 1, lease_until = now() - interval '1 second' WHERE id = $1", [made.id]))
    await answered(2)
    const read = () => business.ok('GET', `/v1/simulations/${made.id}`)
    await expect.poll(async () => (await read()).ended_at, { timeout: 60_000, interval: 200 }).not.toBeNull()
    expect(await read()).toMatchObject({ status: 'completed', passed: true, progress: { calls: 1, done: 1 } })
    expect(await town.rows("SELECT end_reason FROM calls WHERE placed_by = $1 ORDER BY id", [`simulation:${made.id}`])).toEqual([{ end_reason: 'cancelled' }, { end_reason: 'caller_hung_up' }])
  })

  it('is hung up when the simulation is cancelled', async () => {
    const made = await business.ok('POST', '/v1/simulations', { agent_id: telephone.agentId, callers: [{ script: [{ pause_ms: 60_000 }, { say: 'Too late' }] }] })
    await town.until('SELECT 1 FROM calls WHERE placed_by = $1 AND answered_at IS NOT NULL', [`simulation:${made.id}`], (rows) => rows.length === 1)
    expect(await business.ok('POST', `/v1/simulations/${made.id}/cancel`)).toMatchObject({ status: 'cancelled' })
    await town.until('SELECT 1 FROM calls WHERE placed_by = $1 AND ended_at IS NOT NULL', [`simulation:${made.id}`], (rows) => rows.length === 1)
    expect(await business.ok('GET', `/v1/simulations/${made.id}`)).toMatchObject({ status: 'cancelled', results: [] })
  })
})

describe('a simulation', () => {
  const refused = async (body: Json) => (await business.call('POST', '/v1/simulations', { agent_id: telephone.agentId, ...body })).body.error
  const script = [{ say: 'Hello' }]

  it('is refused before anybody is called, naming what is wrong', async () => {
    expect(await refused({ callers: [{ script: [{ wait_for: '/(/' }] }] })).toMatchObject({ code: 'invalid_request', param: 'body.callers.0.script.0.wait_for' })
    expect(await refused({ callers: [{ script }], assertions: [{ heard: '...' }] })).toMatchObject({ param: 'body.assertions.0.heard' })
    expect(await refused({ callers: [{ script, goal: 'both' }] })).toMatchObject({ code: 'invalid_request', message: expect.stringMatching(/script/) })
    expect(await refused({ callers: [{ script, packet_loss: 0.5 }] })).toMatchObject({ param: 'body.callers.0.packet_loss' })
    expect(await refused({ callers: Array.from({ length: 6 }, () => ({ script })), repeat: 9 })).toMatchObject({ param: 'body.repeat' })
    const { agentId: chat } = await business.number({ type: 'webchat', number: { coalesce_ms: 0 } })
    expect(await refused({ agent_id: chat, callers: [{ script }] })).toMatchObject({ code: 'invalid_state', param: 'body.agent_id' })
  })

  it('is made once for one Idempotency-Key, and found in the list', async () => {
    const body = { agent_id: telephone.agentId, callers: [{ script: [{ hang_up: true }] }] }
    const [first, second] = [await business.call('POST', '/v1/simulations', body, { idempotencyKey: 'once' }), await business.call('POST', '/v1/simulations', body, { idempotencyKey: 'once' })]
    expect([first.status, second.status]).toEqual([202, 202])
    expect(second.body.id).toBe(first.body.id)
    const { data } = await business.ok('GET', `/v1/simulations?agent_id=${telephone.agentId}`)
    expect(data[0]).toMatchObject({ id: first.body.id, progress: { calls: 1 } })
    expect(data[0]).not.toHaveProperty('results')
  })
})

async function sides(key: string): Promise<{ left: Int16Array; right: Int16Array }> {
  const chunks: Buffer[] = []
  for await (const chunk of createReadStream(`${town.mediaDir}/${key}`)) chunks.push(chunk as Buffer)
  const wav = Buffer.concat(chunks)
  const samples = new Int16Array(wav.buffer.slice(wav.byteOffset + 44, wav.byteOffset + wav.length))
  return { left: samples.filter((_, index) => index % 2 === 0), right: samples.filter((_, index) => index % 2 === 1) }
}

/** Root mean square of the softest of all seconds: silence, or what is always there. The first and last are not whole. */
function softestSecond(pcm: Int16Array): number {
  const levels: number[] = []
  for (let at = 8_000; at + 16_000 <= pcm.length; at += 8_000) levels.push(Math.sqrt(pcm.subarray(at, at + 8_000).reduce((sum, sample) => sum + sample ** 2, 0) / 8_000))
  return Math.min(...levels)
}
