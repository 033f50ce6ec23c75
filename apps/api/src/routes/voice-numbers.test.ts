import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { startSandbox, TWILIO_ACCOUNT_SID, TWILIO_AUTH_TOKEN, type Sandbox } from '../../../sandbox/src/index.ts'
import { openOffice, type Json, type Office, type Tenant } from '../../../../tests/harness/office.ts'

let sandbox: Sandbox
let office: Office
let ours: Tenant
const credentials = { account_sid: TWILIO_ACCOUNT_SID, auth_token: TWILIO_AUTH_TOKEN }
const telnyx = { api_key: 'KEY0000000000000000000000000000', public_key: `${'A'.repeat(43)}=` }

beforeAll(async () => {
  sandbox = await startSandbox({})
  office = await openOffice({ graphUrl: sandbox.url })
  ours = await office.tenant()
})
afterAll(async () => {
  await office.close()
  await sandbox.close()
})

let made = 0
const address = () => `+1500555${String(1_000 + ++made)}`
const create = (body: Json) => office.call('POST', '/v1/phone-numbers', { key: ours.key, body: { type: 'voice', name: 'Front desk', address: address(), credentials, ...body, settings: { carrier: 'twilio', ...body.settings } } })

describe('telephone numbers: what they are for', () => {
  it('are connected after the carrier accepted the credentials, with every setting filled in', async () => {
    const { status, body } = await create({ settings: { greeting: 'Good morning', voice: { tts: [{ engine: 'elevenlabs', voice_id: 'v1' }], language: 'en-GB' } } })
    expect(status).toBe(201)
    expect(body).toMatchObject({
      type: 'voice', webhook: { url: `http://api.test/webhooks/voice/${body.id}`, verify_token: null },
      settings: {
        carrier: 'twilio', carrier_settings: {}, greeting: 'Good morning', voice: { stt: [], tts: [{ engine: 'elevenlabs', voice_id: 'v1' }], speed: 1, language: 'en-GB' },
        recording: { enabled: false, announcement: null }, max_duration_seconds: 3600, silence: { prompt_after_seconds: 10, prompts: 2 }, concurrency_limit: 10, barge_in: true,
      },
    })
    expect(body.credentials_set).toContainEqual({ name: 'auth_token', last_four: TWILIO_AUTH_TOKEN.slice(-4) })
    expect(await office.routing.numberForRouting(body.id)).toMatchObject({ channel: 'voice', credentials, settings: { carrier: 'twilio' } })
  })

  it("fill in the carrier's own settings too", async () => {
    const { status, body } = await create({ credentials: telnyx, verify: false, settings: { carrier: 'telnyx', carrier_settings: { connection_id: '42' } } })
    expect(status).toBe(201)
    expect(body.settings.carrier_settings).toMatchObject({ connection_id: '42', mode: 'call_control', outbound_codec: 'PCMU' })
  })

  it('change their settings, but not their carrier', async () => {
    const { body: number } = await create({})
    const patch = (settings: Json) => office.call('PATCH', `/v1/phone-numbers/${number.id}`, { key: ours.key, body: { settings } })
    expect((await patch({ carrier: 'twilio', concurrency_limit: 3, barge_in: false })).body.settings).toMatchObject({ concurrency_limit: 3, barge_in: false, greeting: null })
    expect((await patch({ carrier: 'telnyx' })).body.error).toMatchObject({ code: 'invalid_request', param: 'body.settings.carrier' })
  })

  it('go on accepting the old signature after the token was rotated', async () => {
    const { body: number } = await create({})
    const rotated = await office.call('POST', `/v1/phone-numbers/${number.id}/credentials`, { key: ours.key, body: { credentials: { auth_token: 'a-new-token-of-this-account' }, verify: false } })
    expect(rotated.status).toBe(200)
    expect((await office.routing.numberForRouting(number.id))?.credentials).toMatchObject({ auth_token: 'a-new-token-of-this-account', previous_auth_token: TWILIO_AUTH_TOKEN })
  })

  it('are listed by type, stopped and deleted like any other', async () => {
    const { body: number } = await create({})
    expect((await office.call('GET', '/v1/phone-numbers?type=voice&limit=1', { key: ours.key })).body.data[0].id).toBe(number.id)
    expect((await office.call('POST', `/v1/phone-numbers/${number.id}/stop`, { key: ours.key })).body.status).toBe('stopped')
    expect((await office.call('DELETE', `/v1/phone-numbers/${number.id}`, { key: ours.key })).body).toMatchObject({ deleted: true })
  })

  it('have no webhook of messages, and nothing can be written from them', async () => {
    const { body: number } = await create({})
    const conversation = await office.conversation(ours, { id: number.id, agentId: null })
    expect((await office.call('GET', `/v1/conversations/${conversation.id}`, { key: ours.key })).body).toMatchObject({ channel: 'voice', window_closes_at: null })
    const written = await office.call('POST', `/v1/conversations/${conversation.id}/messages`, { key: ours.key, body: { content: { kind: 'text', text: 'Hello' } } })
    expect(written.body.error).toMatchObject({ code: 'invalid_state', details: { channel: 'voice' } })
  })
})

describe('telephone numbers: what is refused', () => {
  it.each([
    [{ address: '0722334455' }, 'invalid_request', 'body.address'],
    [{ address: undefined }, 'invalid_request', 'body.address'],
    [{ settings: { carrier: 'pigeon' } }, 'invalid_request', 'body.settings.carrier'],
    [{ settings: { concurrency_limit: 0 } }, 'invalid_request', 'body.settings.concurrency_limit'],
    [{ settings: { voice: { speed: 3 } } }, 'invalid_request', 'body.settings.voice.speed'],
    [{ settings: { voice: { tts: [{ engine: 'gramophone' }] } } }, 'invalid_request', 'body.settings.voice.tts.0.engine'],
    [{ settings: { voice: { pitch: 3 } } }, 'invalid_request', 'body.settings.voice.pitch'],
    [{ settings: { colour: 'red' } }, 'invalid_request', 'body.settings.colour'],
    [{ settings: { carrier_settings: { region: 'mars' } } }, 'invalid_request', 'body.settings.carrier_settings.region'],
    [{ settings: { carrier_settings: { planet: 'mars' } } }, 'invalid_request', 'body.settings.carrier_settings.planet'],
    [{ credentials: telnyx, settings: { carrier: 'telnyx', carrier_settings: { mode: 'texml', connection_id: '42' } } }, 'invalid_request', 'body.settings.carrier_settings.account_sid'],
    [{ credentials: { auth_token: 'x' } }, 'invalid_request', 'body.credentials.account_sid'],
    [{ credentials: telnyx }, 'invalid_request', 'body.credentials.account_sid'],
    [{ credentials: { ...credentials, auth_token: 'wrong' } }, 'invalid_credentials', 'body.credentials.auth_token'],
  ])('names the field: %j -> %s %s', async (body, code, param) => {
    const answer = await create(body)
    expect(answer.body.error).toMatchObject({ code, param })
    expect(answer.status).toBeLessThan(500)
    expect(JSON.stringify(answer.body)).not.toContain(TWILIO_AUTH_TOKEN)
  })
})
