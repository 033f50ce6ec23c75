import { XMLParser } from 'fast-xml-parser'
import fc from 'fast-check'
import twilioSdk from 'twilio'
import { describe, expect, it } from 'vitest'
import { twilioSignature } from '@trunkline/app-sandbox'
import { carrierSuite } from '../../testing/carriers.ts'
import type { CallInstructionInput, CarrierConfig } from '../carriers/index.ts'
import { twilio } from './index.ts'
import { twiml } from './outbound.ts'

const AUTH_TOKEN = 'a-token-for-tests'
const config: CarrierConfig = { credentials: { account_sid: `AC${'0'.repeat(32)}`, auth_token: AUTH_TOKEN }, settings: {} }
const url = 'https://voice.example.com/twilio/voice?number=7&x=%20y'
const streamSid = `MZ${'3'.repeat(32)}`

const fieldsOf = (body: Buffer): Record<string, string> => Object.fromEntries(new URLSearchParams(body.toString('utf8')))

carrierSuite(twilio, {
  config,
  strangerConfig: { ...config, credentials: { ...config.credentials, auth_token: 'another-token' } },
  url,
  socketUrl: 'wss://voice.example.com/media/t0ken',
  contentType: 'application/x-www-form-urlencoded; charset=UTF-8',
  sign: (body, address) => ({ 'x-twilio-signature': twilioSignature(AUTH_TOKEN, address, fieldsOf(body)) }),
  signSocket: (address) => ({ headers: { 'x-twilio-signature': twilioSignature(AUTH_TOKEN, address) } }),
  frames: {
    connected: '{"event":"connected","protocol":"Call","version":"1.0.0"}',
    start: JSON.stringify({ event: 'start', sequenceNumber: '1', start: { accountSid: 'AC1', streamSid, callSid: 'CA1', tracks: ['inbound'], mediaFormat: { encoding: 'audio/x-mulaw', sampleRate: 8000, channels: 1 }, customParameters: { a: 'b' } }, streamSid }),
    media: (chunk, payload) => JSON.stringify({ event: 'media', sequenceNumber: String(chunk + 1), media: { track: 'inbound', chunk: String(chunk), timestamp: String((chunk - 1) * 20 || 0), payload }, streamSid }).replace('"timestamp":"-20"', '"timestamp":"0"'),
    dtmf: JSON.stringify({ event: 'dtmf', streamSid, sequenceNumber: '5', dtmf: { track: 'inbound_track', digit: '1' } }),
    mark: (name) => JSON.stringify({ event: 'mark', sequenceNumber: '4', streamSid, mark: { name } }),
    stop: JSON.stringify({ event: 'stop', sequenceNumber: '9', streamSid, stop: { accountSid: 'AC1', callSid: 'CA1' } }),
    keys: { sequence: 'sequenceNumber', stream: 'streamSid' },
  },
  formats: { inbound: { encoding: 'pcmu', sampleRateHz: 8000 }, outbound: { encoding: 'pcmu', sampleRateHz: 8000 } },
})

describe('signatures of Twilio', () => {
  const form = (text: string) => ({ headers: { 'content-type': 'application/x-www-form-urlencoded' }, body: Buffer.from(text), query: {} })
  const fields = fc.dictionary(fc.string({ minLength: 1, maxLength: 20 }), fc.string({ maxLength: 50, unit: 'grapheme' }), { maxKeys: 10 })

  it('hold for whatever the SDK itself would sign', () => {
    fc.assert(
      fc.property(fields, (values) => {
        const raw = form(new URLSearchParams(values).toString())
        const signature = twilioSdk.getExpectedTwilioSignature(AUTH_TOKEN, url, values)
        expect(twilioSignature(AUTH_TOKEN, url, values)).toBe(signature)
        expect(twilio.verify({ ...raw, headers: { ...raw.headers, 'x-twilio-signature': signature } }, config, url)).toBe(true)
      }),
      { numRuns: 200, seed: 1 },
    )
  })
  it('hold while a token is rotated, and no longer', () => {
    const raw = form('CallSid=CA1')
    const signed = { ...raw, headers: { ...raw.headers, 'x-twilio-signature': twilioSignature('the-old-token', url, { CallSid: 'CA1' }) } }
    expect(twilio.verify(signed, { ...config, credentials: { ...config.credentials, previous_auth_token: 'the-old-token' } }, url)).toBe(true)
    expect(twilio.verify(signed, config, url)).toBe(false)
  })
  it('are over the address as Twilio knows it: another path, query or host is another signature', () => {
    const raw = form('CallSid=CA1')
    const signed = { ...raw, headers: { ...raw.headers, 'x-twilio-signature': twilioSignature(AUTH_TOKEN, url, { CallSid: 'CA1' }) } }
    expect(twilio.verify(signed, config, url.replace('voice.', 'voice2.'))).toBe(false)
    expect(twilio.verify(signed, config, url.replace('number=7', 'number=8'))).toBe(false)
    expect(twilio.verify(signed, config, url.replace('/twilio/voice', ':443/twilio/voice'))).toBe(true)
  })
  it('of a JSON body are by its digest in the address; a body without one is vouched for by nobody', () => {
    const body = Buffer.from('{"a":1}')
    const address = `https://voice.example.com/x?bodySHA256=${twilioSdk.getExpectedBodyHash('{"a":1}')}`
    const signed = (at: string, bytes = body) => ({ headers: { 'content-type': 'application/json', 'x-twilio-signature': twilioSignature(AUTH_TOKEN, at) }, body: bytes, query: {} })
    expect(twilio.verify(signed(address), config, address)).toBe(true)
    expect(twilio.verify(signed(address, Buffer.from('{"a":2}')), config, address)).toBe(false)
    expect(twilio.verify(signed('https://voice.example.com/x'), config, 'https://voice.example.com/x')).toBe(false)
  })
})

describe('TwiML', () => {
  const parser = new XMLParser({ preserveOrder: true, ignoreAttributes: false, attributeNamePrefix: '', parseTagValue: false, parseAttributeValue: false, trimValues: false, ignoreDeclaration: true, htmlEntities: true })
  const read = (document: string): unknown => parser.parse(document)

  it('is what the SDK writes for the same wish', () => {
    const response = new twilioSdk.twiml.VoiceResponse()
    response.say({ language: 'en-GB', voice: 'Polly.Amy' }, 'One & two < three')
    const stream = response.connect().stream({ url: 'wss://voice.example.com/media/t' })
    stream.parameter({ name: 'call', value: 'a "b" & c' })
    const after = 'https://voice.example.com/after'
    response.dial({ callerId: '+15005550006', timeout: 20, answerOnBridge: true, action: after, method: 'POST' }).number({ statusCallback: after, statusCallbackMethod: 'POST', statusCallbackEvent: ['initiated', 'answered'] }, '+14155550100')
    response.play({ digits: '1ww2' })
    response.pause({ length: 2 })
    response.play({ loop: 3 }, 'https://voice.example.com/a.wav')
    response.redirect({ method: 'POST' }, 'https://voice.example.com/more?a=1&b=2')
    response.hangup()
    const ours: CallInstructionInput[] = [
      { do: 'say', text: 'One & two < three', language: 'en-GB', voice: 'Polly.Amy' },
      { do: 'stream', url: 'wss://voice.example.com/media/t', parameters: { call: 'a "b" & c' } },
      { do: 'dial', to: '+14155550100', from: '+15005550006', timeoutSeconds: 20, resultUrl: 'https://voice.example.com/after' },
      { do: 'press', digits: '1W2' },
      { do: 'pause', seconds: 2 },
      { do: 'play', url: 'https://voice.example.com/a.wav', times: 3 },
      { do: 'redirect', url: 'https://voice.example.com/more?a=1&b=2' },
      { do: 'hang_up' },
    ]
    expect(read(twiml(ours))).toEqual(read(response.toString()))
  })
  it('refuses and turns away in Twilio’s words', () => {
    expect(twiml([{ do: 'reject', reason: 'busy' }])).toContain('<Reject reason="busy"/>')
    expect(twiml([{ do: 'dial', to: 'sip:desk@example.com' }])).toContain('<Sip>sip:desk@example.com</Sip>')
    expect(twiml([{ do: 'conference', name: 'room-1' }])).toContain('endConferenceOnExit="true"')
  })
  it('holds any text as it is: a parser gets back what was said', () => {
    fc.assert(
      fc.property(fc.string({ minLength: 1, maxLength: 200, unit: 'binary' }), (text) => {
        const [root] = read(twiml([{ do: 'say', text }])) as { Response: { Say: { '#text'?: string }[] }[] }[]
        // What XML 1.0 cannot write is left out; nothing else changes.
        const writable = text.toWellFormed().replaceAll(/[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]/g, '')
        expect(root!.Response[0]!.Say.map((part) => part['#text'] ?? '').join('')).toBe(writable)
      }),
      { numRuns: 500, seed: 2 },
    )
  })
  it('lets nobody out of a parameter', () => {
    fc.assert(
      fc.property(fc.string({ maxLength: 100, unit: 'binary' }), (value) => {
        const document = twiml([{ do: 'stream', url: 'wss://voice.example.com/m', parameters: { p: value } }])
        const [root] = read(document) as { Response: { Connect: { Stream: { ':@': { value: string } }[] }[] }[] }[]
        const writable = value.toWellFormed().replaceAll(/[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]/g, '')
        expect(root!.Response).toHaveLength(1)
        expect(root!.Response[0]!.Connect[0]!.Stream[0]![':@'].value).toBe(writable)
      }),
      { numRuns: 300, seed: 3 },
    )
  })
})
