import { readdirSync, readFileSync } from 'node:fs'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { AppError, type RawWebhook } from '@trunkline/core'
import { CallEvent, type Carrier, type CarrierConfig, type CarrierId, type MediaEvent, type MediaFormat } from '../src/carriers/index.ts'
import { FIXTURE_NOW_MS } from './fixtures.ts'
import { brokenTexts } from './fuzz.ts'
import { refusal } from './refusal.ts'

/** One suite that every carrier passes. What differs (how it signs, what its frames look like) is told by `options`. */

export type CarrierFixture = { name: string; about: string; body: unknown; events: CallEvent[] }

export type CarrierSuiteOptions = {
  config: CarrierConfig
  /** A config whose secrets are others'. */
  strangerConfig: CarrierConfig
  url: string
  socketUrl: string
  contentType: string
  /** Headers that make the body good, made by a signer that shares no code with `verify`. */
  sign(body: Buffer, url: string, atMs: number): Record<string, string>
  /** Headers of a good upgrade, and the token that goes along where one does. */
  signSocket(url: string): { headers: Record<string, string>; authToken?: string }
  /** The texts of a stream, as the carrier writes them. */
  frames: {
    connected: string
    start: string
    /** `chunk` counts from 1; 20 ms each. */
    media(chunk: number, payload: string): string
    dtmf: string
    mark(name: string): string
    stop: string
    /** The key of the sequence number, and that of the stream's id. */
    keys: { sequence: string; stream: string }
  }
  formats: { inbound: MediaFormat; outbound: MediaFormat }
  /** How many broken bodies and messages are tried. */
  broken?: number
}

/** Of webhooks and of media messages each; a hundred thousand and more have been run, and take minutes. */
const BROKEN = 6_000
const SEED = 20_261_121

export function carrierFixtures(id: CarrierId): CarrierFixture[] {
  const folder = new URL(`../src/${id}/fixtures/`, import.meta.url)
  const names = readdirSync(folder).filter((file) => file.endsWith('.json')).sort()
  return names.map((file) => ({ name: file.slice(0, -'.json'.length), ...(JSON.parse(readFileSync(new URL(file, folder), 'utf8')) as Omit<CarrierFixture, 'name'>) }))
}

export function carrierSuite(carrier: Carrier, options: CarrierSuiteOptions): void {
  describe(`${carrier.id} keeps the carrier contract`, () => {
    describe('webhooks', () => {
      webhookChecks(carrier, options)
    })
    describe('signatures', () => {
      signatureChecks(carrier, options)
    })
    describe('instructions', () => {
      instructionChecks(carrier, options)
    })
    describe('media', () => {
      mediaChecks(carrier, options)
    })
    describe('description', () => {
      descriptionChecks(carrier, options)
    })
  })
}

const UNSTORABLE = /(?<!\\)(?:\\\\)*\\u(?:0000|d[89a-f][0-9a-f]{2})/

function parsed(text: string): unknown {
  try {
    return JSON.parse(text) as unknown
  } catch {
    return text
  }
}

function webhookChecks(carrier: Carrier, { broken = BROKEN }: CarrierSuiteOptions): void {
  const fixtures = carrierFixtures(carrier.id)
  const normalise = (body: unknown, nowMs = FIXTURE_NOW_MS) => carrier.normaliseCall(body, nowMs)

  for (const { name, about, body, events } of fixtures) it(`reads fixture ${name}: ${about}`, () => expect(normalise(body)).toEqual(events))

  it('gives events of the dictionary, unchanged by it', () => {
    for (const event of fixtures.flatMap(({ body }) => normalise(body))) expect(CallEvent.parse(event)).toEqual(event)
  })
  it('numbers a replayed webhook the same at any time, and two different ones differently', () => {
    const ids = fixtures.map(({ body }) => normalise(body).map((event) => event.eventId))
    expect(fixtures.map(({ body }) => normalise(structuredClone(body), FIXTURE_NOW_MS + 86_400_000).map((event) => event.eventId))).toEqual(ids)
    for (const own of ids) expect(new Set(own).size).toBe(own.length)
  })
  it('does not change the body', () => {
    for (const { body } of fixtures) {
      const before = JSON.stringify(body)
      normalise(body)
      expect(JSON.stringify(body)).toBe(before)
    }
  })
  it('keeps events that are new', () => {
    const unknown = fixtures.filter(({ name }) => name.startsWith('unknown')).flatMap(({ body }) => normalise(body))
    expect(unknown.length).toBeGreaterThan(0)
    for (const event of unknown) expect(event).toMatchObject({ kind: 'call.other', data: expect.any(Object) as object })
  })
  it('refuses what is not its body, naming the place', () => {
    for (const body of [null, undefined, 0, '', 'text', true, [], [{}], {}, { data: null }, { data: [] }, { CallSid: {} }, { object: 'whatsapp_business_account', entry: [] }]) {
      expect(refusal(() => normalise(body))).toMatchObject({ code: 'invalid_request', param: expect.stringMatching(/^body/) as string })
    }
  })
  it(`answers ${broken} broken bodies with storable events or a clear refusal`, () => {
    const sources = fixtures.map(({ body }) => JSON.stringify(body))
    let [read, refused] = [0, 0]
    for (const text of brokenTexts(sources, SEED, broken)) {
      try {
        const events = normalise(parsed(text))
        for (const event of events) CallEvent.parse(event)
        if (UNSTORABLE.test(JSON.stringify(events))) throw new Error(`not storable: ${text.slice(0, 500)}`)
        read++
      } catch (error) {
        if (!(error instanceof AppError) || error.code !== 'invalid_request' || !error.param) throw new Error(`broken body: ${text.slice(0, 500)}`, { cause: error })
        refused++
      }
    }
    // Both happen: a fuzzer that only ever meets one wall tests that wall.
    expect(read).toBeGreaterThan(broken / 20)
    expect(refused).toBeGreaterThan(broken / 20)
  })
}

function signatureChecks(carrier: Carrier, { config, strangerConfig, url, socketUrl, contentType, sign, signSocket }: CarrierSuiteOptions): void {
  const nowMs = FIXTURE_NOW_MS
  const body = Buffer.from('CallSid=CA1&From=%2B1&To=%2B2&Body=caf%C3%A9+%F0%9F%98%80&Empty=')
  const raw = (changes: Partial<RawWebhook> = {}, headers: Record<string, string> = sign(body, url, nowMs)): RawWebhook => ({ headers: { 'content-type': contentType, ...headers }, body, query: {}, ...changes })
  const verify = (webhook: RawWebhook, withConfig = config, address = url, atMs = nowMs) => carrier.verify(webhook, withConfig, address, atMs)
  const names = Object.keys(sign(body, url, nowMs))

  it('accepts the right signature', () => expect(verify(raw())).toBe(true))
  it("refuses another account's signature", () => expect(verify(raw(), strangerConfig)).toBe(false))
  it('refuses a missing or malformed header', () => {
    for (const name of names) {
      const good = sign(body, url, nowMs)[name]!
      for (const value of [undefined, '', ' ', good.slice(0, -1), `${good}=`, `${good},${good}`, 'x', good.toUpperCase() === good ? `0${good}` : good.toUpperCase()]) {
        expect(verify(raw({ headers: { ...raw().headers, [name]: value } })), `${name}: ${value}`).toBe(false)
      }
    }
  })
  it('refuses a body that changed by one bit', () => {
    for (let at = 0; at < body.length; at += 3) {
      const changed = Buffer.from(body)
      changed[at] = changed[at]! ^ 1
      expect(verify(raw({ body: changed })), `byte ${at}`).toBe(false)
    }
  })
  it('refuses everything while no secret is set', () => {
    const secrets = Object.keys(config.credentials)
    for (const value of [undefined, '', null, 0, {}, []]) {
      const bare = { ...config, credentials: Object.fromEntries(secrets.map((name) => [name, value])) }
      expect(verify(raw(), bare)).toBe(false)
      expect(carrier.verifySocket({ headers: {} }, bare, socketUrl, undefined)).toBe(false)
    }
  })
  it('does not throw for headers, bodies and addresses of any kind', () => {
    fc.assert(
      fc.property(fc.dictionary(fc.constantFrom(...names, 'content-type', 'x'), fc.string({ maxLength: 200, unit: 'binary' })), fc.uint8Array({ maxLength: 200 }), fc.string(), (headers, bytes, address) => {
        expect(verify({ headers, body: Buffer.from(bytes), query: {} }, config, address)).toBe(false)
        expect(carrier.verifySocket({ headers }, config, address, 'some-token-of-ours-here')).toBe(false)
      }),
      { numRuns: 300, seed: SEED },
    )
  })
  it('accepts the upgrade of its media socket, and no other', () => {
    const { headers, authToken } = signSocket(socketUrl)
    expect(carrier.verifySocket({ headers }, config, socketUrl, authToken)).toBe(true)
    for (const [name, good] of Object.entries(headers)) {
      for (const value of [undefined, '', good.slice(1), `${good}x`]) expect(carrier.verifySocket({ headers: { ...headers, [name]: value } }, config, socketUrl, authToken)).toBe(false)
    }
    expect(carrier.verifySocket({ headers: {} }, config, socketUrl, authToken)).toBe(false)
  })
}

const STREAM = { do: 'stream', url: 'wss://voice.example.com/media/t0ken' } as const

function instructionChecks(carrier: Carrier, { config }: CarrierSuiteOptions): void {
  const context = { key: 'event-1', carrierCallId: 'call-1', answered: false }

  it('starts a media stream', () => {
    const answer = carrier.answer([STREAM], context, config)
    expect(JSON.stringify(answer)).toContain(STREAM.url)
  })
  it('refuses a stream without TLS, with a query, with credentials in its address', () => {
    for (const url of ['ws://voice.example.com/x', 'wss://voice.example.com/x?token=1', 'wss://user:secret@voice.example.com/x', 'https://voice.example.com', 'wss:', '', 'javascript:alert(1)']) {
      expect(refusal(() => carrier.answer([{ do: 'stream', url }], context, config))).toMatchObject({ code: 'invalid_request', param: 'instructions.0.url' })
    }
  })
  it('refuses what is no instruction, naming it', () => {
    const wrong: [unknown[], string][] = [[[], 'instructions'], [[{ do: 'fly' }], 'instructions.0.do'], [[STREAM, { do: 'say', text: '' }], 'instructions.1.text'], [[{ do: 'dial', to: '0800 123' }], 'instructions.0.to'], [[{ do: 'press', digits: '12x' }], 'instructions.0.digits'], [[{ do: 'pause', seconds: 0 }], 'instructions.0.seconds']]
    for (const [instructions, param] of wrong) expect(refusal(() => carrier.answer(instructions as never, context, config))).toMatchObject({ code: 'invalid_request', param })
  })
  it('says the same for the same wish', () => {
    const steps = [{ do: 'say', text: 'One moment, please.' } as const, STREAM]
    expect(carrier.answer(steps, context, config)).toEqual(carrier.answer(steps, context, config))
  })
  it('names the setting or secret that is wrong', () => {
    for (const field of Object.keys(config.credentials)) {
      for (const value of ['', 7, 'a\nb', 'x'.repeat(5_000)]) {
        expect(carrier.credentials.safeParse({ ...config.credentials, [field]: value }).error?.issues[0]?.path, `${field}=${JSON.stringify(value)}`).toEqual([field])
      }
    }
  })
}

const payloadOf = (bytes: number, fill = 1): string => Buffer.alloc(bytes, fill).toString('base64')

function mediaChecks(carrier: Carrier, { config, frames, formats, broken = BROKEN }: CarrierSuiteOptions): void {
  const open = () => {
    const wire = carrier.mediaWire(config)
    expect(wire.decode(frames.connected)).toEqual({ kind: 'connected' })
    expect(wire.decode(frames.start)).toMatchObject({ kind: 'start', ...formats })
    return wire
  }
  const bytes = (formats.inbound.sampleRateHz / 50) * (formats.inbound.encoding.startsWith('pcm_') ? 2 : 1)

  it('reads a stream from its beginning to its end', () => {
    const wire = open()
    expect(wire.start).toMatchObject(formats)
    expect(wire.decode(frames.media(1, payloadOf(bytes)))).toMatchObject({ kind: 'media', chunk: 1, timestampMs: 0, track: 'inbound', payload: Buffer.alloc(bytes, 1) })
    expect(wire.decode(frames.dtmf)).toMatchObject({ kind: 'dtmf', digit: expect.stringMatching(/^[0-9A-D*#]$/) as string })
    expect(wire.decode(frames.mark('greeting'))).toEqual({ kind: 'mark', name: 'greeting' })
    expect(wire.decode(frames.stop)).toEqual({ kind: 'stop' })
  })
  it('reads every payload exactly', () => {
    const wire = open()
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 2, maxLength: 1_000 }), fc.nat(1_000_000), (all, chunk) => {
        const payload = Buffer.from(all.length % 2 === 0 ? all : all.subarray(1))
        const event = wire.decode(frames.media(chunk, payload.toString('base64')))
        expect(event).toMatchObject({ kind: 'media', chunk, payload })
      }),
      { numRuns: 300, seed: SEED },
    )
  })
  it('tells the order of frames that come out of order', () => {
    const wire = open()
    const order = [3, 1, 2, 5, 4]
    const events = order.map((chunk) => wire.decode(frames.media(chunk, payloadOf(bytes, chunk))))
    const sorted = events.filter((event) => event.kind === 'media').toSorted((a, b) => a.chunk - b.chunk)
    expect(sorted.map(({ chunk, timestampMs, payload }) => [chunk, timestampMs, payload[0]])).toEqual([1, 2, 3, 4, 5].map((chunk) => [chunk, (chunk - 1) * 20, chunk]))
  })
  it('tells numbers and strings of digits the same', () => {
    const wire = open()
    const message = JSON.parse(frames.media(7, payloadOf(bytes))) as { media: Record<string, unknown> } & Record<string, unknown>
    const numbered = { ...message, [frames.keys.sequence]: Number(message[frames.keys.sequence]), media: { ...message.media, chunk: 7, timestamp: 120 } }
    expect(wire.decode(JSON.stringify(numbered))).toEqual(wire.decode(JSON.stringify(message)))
  })
  it('tells what is wrong with a bad frame, and goes on', () => {
    const wire = open()
    const media = JSON.parse(frames.media(1, payloadOf(bytes))) as Record<string, unknown> & { media: Record<string, unknown> }
    const changed = (changes: object) => JSON.stringify({ ...media, media: { ...media.media, ...changes } })
    const cases: [string, string, string][] = [
      ['{', 'not_json', ''], ['null', 'wrong_type', ''], ['[]', 'wrong_type', ''], ['{}', 'missing', 'event'], ['{"event":7}', 'wrong_type', 'event'],
      [JSON.stringify({ ...media, media: undefined }), 'missing', 'media'], [JSON.stringify({ ...media, media: 'x' }), 'missing', 'media'],
      [changed({ payload: undefined }), 'missing', 'media.payload'], [changed({ payload: 5 }), 'wrong_type', 'media.payload'], [changed({ payload: '' }), 'bad_base64', 'media.payload'],
      [changed({ payload: 'not base64!' }), 'bad_base64', 'media.payload'], [changed({ payload: 'AAA' }), 'bad_base64', 'media.payload'], [changed({ payload: 'AA==AAAA' }), 'bad_base64', 'media.payload'],
      [changed({ track: 'sideways' }), 'wrong_type', 'media.track'], [changed({ chunk: '1e3' }), 'wrong_type', 'media.chunk'], [changed({ chunk: -1 }), 'wrong_type', 'media.chunk'], [changed({ chunk: '9'.repeat(16) }), 'wrong_type', 'media.chunk'],
      [changed({ timestamp: 1.5 }), 'wrong_type', 'media.timestamp'], [JSON.stringify({ ...media, [frames.keys.sequence]: null }), 'wrong_type', frames.keys.sequence],
      [JSON.stringify({ ...media, [frames.keys.stream]: 'another-stream' }), 'wrong_stream', frames.keys.stream],
      [frames.start, 'second_start', 'start'], [`{"event":"media","x":"${'x'.repeat(70_000)}"}`, 'too_large', ''], [frames.mark('x'.repeat(500)), 'wrong_type', 'mark.name'],
    ]
    for (const [text, reason, where] of cases) expect(wire.decode(text), text.slice(0, 120)).toEqual({ kind: 'bad', reason, where })
    expect(wire.decode(frames.media(2, payloadOf(bytes)))).toMatchObject({ kind: 'media', chunk: 2 })
  })
  it('refuses everything before the start, and a format that nobody here decodes', () => {
    const wire = carrier.mediaWire(config)
    for (const text of [frames.media(1, payloadOf(bytes)), frames.dtmf, frames.mark('m'), frames.stop]) expect(wire.decode(text)).toEqual({ kind: 'bad', reason: 'before_start', where: 'event' })
    for (const encode of [() => wire.encodeMark('m'), () => wire.encodeClear(), () => wire.encodeMedia(new Uint8Array(160))]) expect(refusal(encode).code).toBe('invalid_state')
    for (const name of ['G722', 'AMR-WB', 'audio/x-alien', '']) {
      const odd = frames.start.replace(/"encoding":"[^"]*"/, `"encoding":"${name}"`)
      expect(wire.decode(odd)).toMatchObject({ kind: 'bad', reason: 'unsupported_format' })
    }
    expect(wire.start).toBeNull()
  })
  it('keeps kinds of messages that are new', () => expect(open().decode('{"event":"hologram","x":1}')).toEqual({ kind: 'other', name: 'hologram' }))
  it('writes media, marks and clear that its own reader would call well-formed', () => {
    const wire = open()
    const payload = Buffer.alloc((formats.outbound.sampleRateHz / 50) * 4, 9)
    expect(JSON.parse(wire.encodeMedia(payload))).toMatchObject({ event: 'media', media: { payload: payload.toString('base64') } })
    expect(JSON.parse(wire.encodeMark('a "quoted" \u2028 name'))).toMatchObject({ event: 'mark', mark: { name: 'a "quoted" \u2028 name' } })
    expect(JSON.parse(wire.encodeClear())).toMatchObject({ event: 'clear' })
    for (const encode of [() => wire.encodeMedia(new Uint8Array(0)), () => wire.encodeMedia(new Uint8Array(3 * 1024 * 1024)), () => wire.encodeMark(''), () => wire.encodeMark('x'.repeat(200))]) expect(refusal(encode).code).toBe('invalid_request')
  })
  it('writes a view of a larger buffer, and nothing beside it', () => {
    const wire = open()
    const large = Buffer.from(Array.from({ length: 4_000 }, (_, index) => index & 255))
    const view = large.subarray(1_000, 3_000)
    expect(JSON.parse(wire.encodeMedia(view))).toMatchObject({ media: { payload: view.toString('base64') } })
  })
  it(`answers ${broken} broken messages with an event, never with a throw`, () => {
    const sources = [frames.connected, frames.start, frames.media(1, payloadOf(bytes)), frames.media(2, payloadOf(bytes)), frames.dtmf, frames.mark('m'), frames.stop]
    const kinds = new Map<MediaEvent['kind'], number>()
    let wire = open()
    let count = 0
    for (const text of brokenTexts(sources, SEED, broken)) {
      if (++count % 500 === 0) wire = count % 1_000 === 0 ? carrier.mediaWire(config) : open()
      const { kind } = wire.decode(text)
      kinds.set(kind, (kinds.get(kind) ?? 0) + 1)
    }
    expect(kinds.get('bad')).toBeGreaterThan(broken / 10)
    expect(kinds.get('media')).toBeGreaterThan(broken / 100)
  })
}

function descriptionChecks(carrier: Carrier, { config }: CarrierSuiteOptions): void {
  it('accepts good credentials and settings', () => {
    expect(carrier.credentials.safeParse(config.credentials).success).toBe(true)
    expect(carrier.settings.safeParse(config.settings).success).toBe(true)
    expect(carrier.settings.safeParse({}).success).toBe(true)
  })
  it('reads forms and JSON, and says when a body is neither', () => {
    const read = (body: string, type: string) => carrier.readBody({ headers: { 'content-type': type }, body: Buffer.from(body), query: {} })
    expect(read('CallSid=CA1&Digits=%23&Digits=1', 'application/x-www-form-urlencoded; charset=UTF-8')).toEqual({ CallSid: 'CA1', Digits: ['#', '1'] })
    expect(read('{"data":{"id":"1"}}', 'application/json')).toEqual({ data: { id: '1' } })
    expect(read('{', 'application/json')).toBeUndefined()
    expect(read(`a=${'x'.repeat(300_000)}`, 'application/x-www-form-urlencoded')).toBeUndefined()
    expect(read('__proto__=x&constructor=y', 'application/x-www-form-urlencoded')).not.toHaveProperty('polluted')
    expect(refusal(() => carrier.normaliseCall(undefined, 0)).code).toBe('invalid_request')
  })
}
