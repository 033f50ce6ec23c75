import { describe, expect, it } from 'vitest'
import {
  betaSessionResponse,
  clientSecretResponse,
  ClientSecretResponse,
  createRealtimeSession,
  isClientSecret,
  newClientSecret,
  orderedConfig,
  parseBetaSessionRequest,
  parseClientSecretRequest,
  realtimeDefaults,
  redeem,
  transcriptionDefaults,
  wireSession,
  type SecretGrant,
} from './index.ts'
import { options } from '../../testing/realtime/driver.ts'

const config = realtimeDefaults({ model: 'agent', voice: 'alloy' })
const target = { mode: 'realtime', model: 'agent' } as const
const id = '0199a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b'
const fresh: SecretGrant = { config, expiresAtMs: 1_000, tenantId: id, projectId: id, issuer: { kind: 'api_key', id }, idSeed: 'seed1' }
const shown = wireSession(createRealtimeSession(options()).state)

describe('a request for a client secret', () => {
  it('may be empty: ten minutes, for a conversation with the defaults', () => {
    expect(parseClientSecretRequest(undefined)).toEqual({ lifeSeconds: 600, session: { type: 'realtime' } })
    expect(parseClientSecretRequest({})).toEqual({ lifeSeconds: 600, session: { type: 'realtime' } })
  })

  it('says how long and for what', () => {
    const order = parseClientSecretRequest({
      expires_after: { anchor: 'created_at', seconds: 60 },
      session: { type: 'realtime', model: 'agent', instructions: 'Be brief.' },
    })
    expect(order).toEqual({ lifeSeconds: 60, session: { type: 'realtime', model: 'agent', instructions: 'Be brief.' } })
  })

  it.each([
    ['a life below ten seconds', { expires_after: { seconds: 9 } }, 'body.expires_after.seconds'],
    ['a life above ten minutes', { expires_after: { seconds: 601 } }, 'body.expires_after.seconds'],
    ['another anchor', { expires_after: { anchor: 'now' } }, 'body.expires_after.anchor'],
    ['a session without a type', { session: {} }, 'body.session.type'],
    ['a field too many', { ttl: 1 }, 'body.ttl'],
  ])('with %s is refused', (_, body, param) => {
    expect(() => parseClientSecretRequest(body)).toThrow(expect.objectContaining({ code: 'invalid_request', param }))
  })

  it('of a beta client is flat', () => {
    const order = parseBetaSessionRequest(
      {
        model: 'agent',
        voice: 'alloy',
        modalities: ['text', 'audio'],
        input_audio_format: 'g711_ulaw',
        temperature: 0.7,
        client_secret: { expires_after: { seconds: 30 } },
      },
      'realtime',
    )
    expect(order).toEqual({
      lifeSeconds: 30,
      session: {
        type: 'realtime',
        model: 'agent',
        output_modalities: ['audio'],
        audio: { input: { format: { type: 'audio/pcmu' } }, output: { voice: 'alloy' } },
      },
    })
    expect(parseBetaSessionRequest({ input_audio_transcription: { model: 'whisper-1' } }, 'transcription').session).toEqual({
      type: 'transcription',
      audio: { input: { transcription: { model: 'whisper-1' } } },
    })
    expect(() => parseBetaSessionRequest({ input_audio_format: 'mp3' }, 'realtime')).toThrow(expect.objectContaining({ code: 'invalid_request' }))
  })
})

describe('the session of a client secret', () => {
  it('has every field, and what was asked for', () => {
    expect(orderedConfig({ session: { type: 'realtime' } })).toEqual(realtimeDefaults({ model: 'gpt-realtime', voice: 'alloy' }))
    expect(orderedConfig({ session: { type: 'realtime', model: 'agent', audio: { output: { voice: 'coral' } } } }, 'Of the agent.')).toMatchObject({ model: 'agent', instructions: 'Of the agent.', audio: { output: { voice: 'coral' } } })
    expect(orderedConfig({ session: { type: 'realtime', instructions: 'Asked for.' } }, 'Of the agent.')).toMatchObject({ instructions: 'Asked for.' })
    expect(orderedConfig({ session: { type: 'transcription' } })).toMatchObject({ type: 'transcription', audio: { input: { transcription: { model: 'gpt-4o-transcribe' } } } })
  })
})

describe('a client secret', () => {
  it('looks like one and is never the same', () => {
    const secrets = Array.from({ length: 50 }, newClientSecret)
    expect(secrets.every(isClientSecret)).toBe(true)
    expect(new Set(secrets).size).toBe(50)
    expect(['ek_', 'ek_xyz', `sk_${'0'.repeat(40)}`].some(isClientSecret)).toBe(false)
  })

  it('opens the session that it was made for', () => {
    expect(redeem(fresh, target, 999)).toEqual(fresh)
    expect(redeem(fresh, null, 999)).toEqual(fresh)
    expect(redeem({ ...fresh, config: transcriptionDefaults('whisper-1') }, { mode: 'transcription' }, 0)).toMatchObject({ config: { type: 'transcription' } })
  })

  it.each([
    ['unknown or used', null],
    ['of another version', { ...fresh, config: { type: 'realtime' } }],
    ['expired', { ...fresh, expiresAtMs: 500 }],
  ])('that is %s opens nothing', (_, record) => {
    expect(() => redeem(record, target, 500)).toThrow(expect.objectContaining({ code: 'invalid_token' }))
  })

  it.each([
    ['another agent', { mode: 'realtime', model: 'other' } as const],
    ['a transcription', { mode: 'transcription' } as const],
    ["somebody else's call", { mode: 'call', callId: 'rtc_1' } as const],
  ])('does not open %s', (_, other) => {
    expect(() => redeem(fresh, other, 0)).toThrow(expect.objectContaining({ code: 'permission_denied' }))
  })

  it('is answered with the session that it opens', () => {
    const response = clientSecretResponse('ek_1', 600, shown)
    expect(ClientSecretResponse.parse(response)).toEqual(response)
    expect(betaSessionResponse('ek_1', 600, shown)).toMatchObject({
      object: 'realtime.session',
      modalities: ['text', 'audio'],
      client_secret: { value: 'ek_1', expires_at: 600 },
    })
  })
})
