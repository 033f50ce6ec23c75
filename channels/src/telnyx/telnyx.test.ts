import { generateKeyPairSync, sign } from 'node:crypto'
import Telnyx from 'telnyx'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { TELNYX_PUBLIC_KEY, telnyxSignature } from '@trunkline/app-sandbox'
import { AppError } from '@trunkline/core'
import { carrierSuite } from '../../testing/carriers.ts'
import { FIXTURE_NOW_MS } from '../../testing/fixtures.ts'
import type { CallInstructionInput, CarrierConfig } from '../carriers/index.ts'
import { telnyx } from './index.ts'
import { readState, writeState } from './state.ts'

const stranger = generateKeyPairSync('ed25519')
const strangerKey = stranger.publicKey.export({ format: 'der', type: 'spki' }).subarray(-32).toString('base64')
const config: CarrierConfig = { credentials: { api_key: 'KEY0123', public_key: TELNYX_PUBLIC_KEY }, settings: { connection_id: '1684641123236054244' } }
const withSettings = (settings: Record<string, unknown>): CarrierConfig => ({ ...config, settings: { ...config.settings, ...settings } })

const startOf = (encoding: string, rate = 8000, extra: object = {}) =>
  JSON.stringify({ event: 'start', sequence_number: '1', start: { user_id: 'u', call_control_id: 'v3:call', call_session_id: 's', from: '+14155550100', to: '+15005550007', tags: [], client_state: null, custom_parameters: {}, media_format: { encoding, sample_rate: rate, channels: 1 }, ...extra }, stream_id: 'stream-1' })
const mediaOf = (chunk: number, payload: string) => JSON.stringify({ event: 'media', sequence_number: String(chunk + 1), media: { track: 'inbound', chunk: String(chunk), timestamp: String(Math.max(0, chunk - 1) * 20), payload }, stream_id: 'stream-1' })

carrierSuite(telnyx, {
  config,
  strangerConfig: { ...config, credentials: { ...config.credentials, public_key: strangerKey } },
  url: 'https://voice.example.com/telnyx/voice',
  socketUrl: 'wss://voice.example.com/media/t0ken',
  contentType: 'application/json',
  sign: (body, _address, atMs) => telnyxSignature(body.toString('utf8'), false, atMs),
  signSocket: () => ({ headers: { 'x-telnyx-streaming-auth-token': 'a-token-for-this-stream' }, authToken: 'a-token-for-this-stream' }),
  frames: {
    connected: '{"event":"connected","version":"1.0.0"}',
    start: startOf('PCMA'),
    media: mediaOf,
    dtmf: JSON.stringify({ event: 'dtmf', stream_id: 'stream-1', occurred_at: '2026-09-14T10:26:40.000Z', sequence_number: '5', dtmf: { digit: '#' } }),
    mark: (name) => JSON.stringify({ event: 'mark', sequence_number: '4', stream_id: 'stream-1', mark: { name } }),
    stop: JSON.stringify({ event: 'stop', sequence_number: '9', stop: { user_id: 'u', call_control_id: 'v3:call' }, stream_id: 'stream-1' }),
    keys: { sequence: 'sequence_number', stream: 'stream_id' },
  },
  formats: { inbound: { encoding: 'pcma', sampleRateHz: 8000 }, outbound: { encoding: 'pcmu', sampleRateHz: 8000 } },
})

describe('signatures of Telnyx', () => {
  const sdk = new Telnyx({ apiKey: 'x', publicKey: TELNYX_PUBLIC_KEY })
  const webhook = (body: string, headers: Record<string, string>) => ({ headers, body: Buffer.from(body), query: {} })
  const url = 'https://voice.example.com/x'

  it('hold where the SDK says that they hold, and nowhere else', async () => {
    await fc.assert(
      fc.asyncProperty(fc.json({ maxDepth: 2 }), fc.boolean(), fc.integer({ min: -400, max: 400 }), async (body, isWrong, ageSeconds) => {
        const nowMs = Date.now()
        const headers = telnyxSignature(body, isWrong, nowMs - ageSeconds * 1000)
        const theirs = await sdk.webhooks.unwrap(body, { headers }).then(() => true, () => false)
        // On the edge of the tolerance a second may pass between the two.
        if (Math.abs(Math.abs(ageSeconds) - 300) > 1) expect(telnyx.verify(webhook(body, headers), config, url, nowMs)).toBe(theirs)
      }),
      { numRuns: 100, seed: 4 },
    )
  })
  it('are good for 300 seconds, in both directions', () => {
    const headers = telnyxSignature('{}', false, FIXTURE_NOW_MS)
    for (const [ageSeconds, good] of [[0, true], [300, true], [-300, true], [301, false], [-301, false]] as const) expect(telnyx.verify(webhook('{}', headers), config, url, FIXTURE_NOW_MS + ageSeconds * 1000)).toBe(good)
  })
  it('cover the timestamp: a replay cannot be made young again', () => {
    const headers = telnyxSignature('{}', false, FIXTURE_NOW_MS)
    const later = FIXTURE_NOW_MS + 3_600_000
    expect(telnyx.verify(webhook('{}', { ...headers, 'telnyx-timestamp': String(later / 1000) }), config, url, later)).toBe(false)
  })
  it('hold while keys are changed, and no longer', () => {
    const timestamp = String(FIXTURE_NOW_MS / 1000)
    const headers = { 'telnyx-timestamp': timestamp, 'telnyx-signature-ed25519': sign(null, Buffer.from(`${timestamp}|{}`), stranger.privateKey).toString('base64') }
    expect(telnyx.verify(webhook('{}', headers), { ...config, credentials: { ...config.credentials, previous_public_key: strangerKey } }, url, FIXTURE_NOW_MS)).toBe(true)
    expect(telnyx.verify(webhook('{}', headers), config, url, FIXTURE_NOW_MS)).toBe(false)
  })
})

describe('the media socket of Telnyx', () => {
  const open = (settings: Record<string, unknown>, start: string) => {
    const wire = telnyx.mediaWire(withSettings(settings))
    return { wire, start: wire.decode(start) }
  }

  it('reads the codec of each direction: the leg’s own inwards, the declared one outwards', () => {
    expect(open({ outbound_codec: 'PCMU' }, startOf('PCMA')).start).toMatchObject({ inbound: { encoding: 'pcma', sampleRateHz: 8000 }, outbound: { encoding: 'pcmu', sampleRateHz: 8000 } })
    expect(open({ outbound_codec: 'L16', outbound_sample_rate: 16_000 }, startOf('PCMU')).start).toMatchObject({ inbound: { encoding: 'pcmu' }, outbound: { encoding: 'pcm_s16be', sampleRateHz: 16_000 } })
    expect(open({}, startOf('audio/x-mulaw')).start).toMatchObject({ inbound: { encoding: 'pcmu', sampleRateHz: 8000 } })
  })
  it.each([['big', 'pcm_s16be'], ['little', 'pcm_s16le']])('takes L16 in %s endian order as %s', (order, encoding) => {
    const settings = { outbound_codec: 'L16', outbound_sample_rate: 16_000, l16_byte_order: order }
    expect(open(settings, startOf('L16', 16_000)).start).toMatchObject({ inbound: { encoding, sampleRateHz: 16_000 }, outbound: { encoding, sampleRateHz: 16_000 } })
  })
  it('refuses half a sample of L16, and rates that nobody speaks', () => {
    const { wire } = open({ outbound_codec: 'L16', outbound_sample_rate: 16_000 }, startOf('L16', 16_000))
    expect(wire.decode(mediaOf(1, Buffer.alloc(3).toString('base64')))).toEqual({ kind: 'bad', reason: 'bad_length', where: 'media.payload' })
    for (const [encoding, rate] of [['L16', 22_050], ['PCMU', 16_000], ['PCMA', 0]] as const) expect(open({}, startOf(encoding, rate)).start).toMatchObject({ kind: 'bad', reason: 'unsupported_format' })
    expect(open({}, startOf('PCMU', 8000, { media_format: { encoding: 'PCMU', sample_rate: 8000, channels: 2 } })).start).toMatchObject({ kind: 'bad', reason: 'unsupported_format' })
  })
  it.each([['PCMU', 8_000, 160, 0xff], ['PCMA', 8_000, 160, 0xd5], ['L16', 16_000, 640, 0]] as const)('fills a short tail of %s up to 20 ms of silence', (codec, rate, bytes, silence) => {
    const { wire } = open({ outbound_codec: codec, outbound_sample_rate: rate }, startOf('PCMU'))
    const sent = JSON.parse(wire.encodeMedia(Buffer.alloc(10, 7))) as { media: { payload: string } }
    expect(Buffer.from(sent.media.payload, 'base64')).toEqual(Buffer.concat([Buffer.alloc(10, 7), Buffer.alloc(bytes - 10, silence)]))
    expect(JSON.parse(wire.encodeMedia(Buffer.alloc(bytes, 7)))).toEqual({ event: 'media', media: { payload: Buffer.alloc(bytes, 7).toString('base64') } })
  })
  it('tells what came along: parameters as object or list, the reference, who called', () => {
    const state = writeState({ ref: 'call-9' })
    expect(open({}, startOf('PCMU', 8000, { custom_parameters: { a: '1' }, client_state: state })).start).toMatchObject({ parameters: { a: '1' }, reference: 'call-9', from: '+14155550100', to: '+15005550007' })
    expect(open({}, startOf('PCMU', 8000, { custom_parameters: [{ name: 'a', value: '1' }, { name: 2 }] })).start).toMatchObject({ parameters: { a: '1' } })
    expect(open({}, startOf('PCMU', 8000, { client_state: 'aGF2ZSBhIG5pY2UgZGF5ID1d' })).start).toMatchObject({ reference: null })
  })
  it('tells its complaints by code and title, without the detail that may quote us', () => {
    const { wire } = open({}, startOf('PCMU'))
    expect(wire.decode(JSON.stringify({ event: 'error', stream_id: 'stream-1', payload: { code: 100004, title: 'invalid_media', detail: 'secret' } }))).toEqual({ kind: 'failed', code: '100004', message: 'invalid_media' })
  })
})

describe('Call Control commands', () => {
  const context = { key: 'event-1', carrierCallId: 'v3:call', answered: false, reference: 'call-7' }
  const stream = { do: 'stream', url: 'wss://voice.example.com/media/t' } as const
  const commands = (steps: CallInstructionInput[], changes: object = {}, settings: Record<string, unknown> = {}) => telnyx.answer(steps, { ...context, ...changes }, withSettings(settings)).commands
  const stateOf = (body: Record<string, unknown> | undefined) => readState(body?.client_state)

  it('answer and stream in one when the answer has a field for everything', () => {
    const [command, ...more] = commands([stream])
    expect(more).toEqual([])
    expect(command).toMatchObject({ action: 'answer', body: { stream_url: stream.url, stream_bidirectional_mode: 'rtp', stream_bidirectional_codec: 'PCMU', stream_bidirectional_target_legs: 'self', send_silence_when_idle: true } })
    expect(stateOf(command?.body)).toEqual({ v: 1, ref: 'call-7' })
  })
  it('answer first, and stream when that is done, for L16 at 16 kHz, tokens and parameters', () => {
    const wide = { ...stream, authToken: 'a-token-of-16-chars', parameters: { a: 'b' } }
    const [command] = commands([wide], {}, { outbound_codec: 'L16', outbound_sample_rate: 16_000 })
    expect(command).toMatchObject({ action: 'answer' })
    expect(command?.body).not.toHaveProperty('stream_url')
    const due = stateOf(command?.body)
    expect(due).toMatchObject({ after: 'call.answered', next: [wide] })
    const [later] = commands(due!.next!, { answered: true }, { outbound_codec: 'L16', outbound_sample_rate: 16_000 })
    expect(later).toMatchObject({ action: 'streaming_start', body: { stream_codec: 'L16', stream_bidirectional_codec: 'L16', stream_bidirectional_sampling_rate: 16_000, stream_auth_token: 'a-token-of-16-chars', custom_parameters: [{ name: 'a', value: 'b' }] } })
  })
  it('carry a plan through its steps, one at a time, and never leave an old one in force', () => {
    let steps: CallInstructionInput[] = [{ do: 'say', text: 'Hello.' }, { do: 'pause', seconds: 12 }, { do: 'press', digits: '1' }, { do: 'play', url: 'https://voice.example.com/a.wav' }, { do: 'hang_up' }]
    const actions: string[] = []
    for (let round = 0; round < 10 && steps.length > 0; round++) {
      const given = commands(steps, { answered: true, key: `event-${round}` })
      actions.push(...given.map(({ action }) => action))
      const state = stateOf(given.at(-1)?.body)
      expect(state?.ref).toBe('call-7')
      steps = state?.next ?? []
    }
    expect(actions).toEqual(['speak', 'speak', 'send_dtmf', 'playback_start', 'hangup'])
  })
  it('hold a long pause in breaks that a voice can make', () => {
    const [command] = commands([{ do: 'pause', seconds: 25 }], { answered: true })
    expect(command?.body).toMatchObject({ payload_type: 'ssml', payload: '<speak><break time="10s"/><break time="10s"/><break time="5s"/></speak>' })
  })
  it('turn a call away without answering it', () => {
    expect(commands([{ do: 'reject', reason: 'busy' }])).toMatchObject([{ action: 'reject', body: { cause: 'USER_BUSY' } }])
    expect(commands([{ do: 'reject', reason: 'rejected' }])).toMatchObject([{ action: 'reject', body: { cause: 'CALL_REJECTED' } }])
  })
  it('have the same id under the same key, so that a replayed webhook does nothing twice', () => {
    expect(commands([stream])).toEqual(commands([stream]))
    expect(commands([stream], { key: 'event-2' })[0]?.body.command_id).not.toBe(commands([stream])[0]?.body.command_id)
  })
  it('have ids of their own within one answer', () => {
    const given = commands([{ do: 'press', digits: '1' }, { do: 'press', digits: '1' }, { do: 'hang_up' }], { answered: true })
    expect(given.map(({ action }) => action)).toEqual(['send_dtmf', 'send_dtmf', 'hangup'])
    expect(new Set(given.map(({ body }) => body.command_id)).size).toBe(3)
  })
  it('refuse a plan that is too long to come back', () => {
    const long = Array.from({ length: 12 }, () => ({ do: 'say', text: 'x'.repeat(3_000) }) as const)
    expect(() => commands(long, { answered: true })).toThrow(expect.objectContaining({ code: 'invalid_request', param: 'instructions' }) as AppError)
  })
  it('refuse what only TeXML can, wherever it stands in the plan', () => {
    for (const step of [{ do: 'redirect', url: 'https://voice.example.com/x' }, { do: 'conference', name: 'c' }] as const) {
      expect(() => commands([{ do: 'say', text: 'x' }, step])).toThrow(AppError)
      expect(telnyx.answer([step], context, withSettings({ mode: 'texml', account_sid: 'account' })).document?.body).toContain('<Response>')
    }
  })
  it('are a document in TeXML, with the stream’s own attributes', () => {
    const { document, commands: none } = telnyx.answer([stream], context, withSettings({ mode: 'texml', account_sid: 'account', outbound_codec: 'L16', outbound_sample_rate: 16_000 }))
    expect(none).toEqual([])
    expect(document?.body).toBe('<?xml version="1.0" encoding="UTF-8"?><Response><Connect><Stream url="wss://voice.example.com/media/t" track="inbound_track" codec="L16" bidirectionalMode="rtp" bidirectionalCodec="L16" bidirectionalSamplingRate="16000"/></Connect></Response>')
  })
})

describe('client_state', () => {
  it('comes back as it went, and is nobody else’s', () => {
    const state = { ref: 'call-7', next: [{ do: 'hang_up' } as const], after: 'call.answered' as const, of: 'v3:x' }
    expect(readState(writeState(state))).toEqual({ v: 1, ...state })
    fc.assert(fc.property(fc.string({ maxLength: 200 }), (text) => readState(Buffer.from(text).toString('base64')) === null), { numRuns: 200, seed: 5 })
    for (const value of [null, undefined, 5, '', 'x'.repeat(100_000), writeState({ next: [{ do: 'fly' } as never] })]) expect(readState(value)).toBeNull()
  })
})
