import { createHmac } from 'node:crypto'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { AppError, InboundEvent, type Channel, type NumberConfig, type OutboundContent, type RawWebhook, type RenderContext } from '@trunkline/core'
import type { ZodType } from 'zod'
import { longText, outboundContent } from './arbitraries.ts'
import { EVENTS_MAX } from '../src/events.ts'
import { FIXTURE_NOW_MS, type Fixture } from './fixtures.ts'
import { fuzzBodies } from './fuzz.ts'
import { measure } from '../src/text.ts'
import { refusal } from './refusal.ts'

/** The one conformance suite: what every channel promises, run over each. A channel that cannot keep a promise names it and says why. */

export type SuiteOptions = {
  fixtures: Fixture[]
  /** Whom to write to on this channel. */
  to: RenderContext['to']
  /** A number with credentials that work. */
  number: NumberConfig
  /** The platform's own request, strict. */
  accepts: ZodType
  /** What the channel shows of a text, when it changes it. */
  asShown?: (text: string) => string
  skip?: { reason: string; tests: string[] }[]
}

const FUZZ_SEED = 20_261_120
/** Three channels: 105,000 bodies in a normal run. */
const FUZZ_BODIES = 35_000
/** Fixed, so that a run is a run; fast-check prints the counterexample. */
const PROPERTY = { numRuns: 1000, seed: FUZZ_SEED }

type Check = (name: string, run: () => void) => void

/** `it`, but a skipped check says why and is counted. A skip of a check that does not exist is a mistake. */
function checker(skip: SuiteOptions['skip'] = []): { check: Check; unknownSkips: () => string[] } {
  const reasons = new Map(skip.flatMap(({ reason, tests }) => tests.map((name) => [name, reason] as const)))
  const known = new Set<string>()
  const check: Check = (name, run) => {
    known.add(name)
    const reason = reasons.get(name)
    // oxlint-disable-next-line vitest/expect-expect -- what is run asserts
    it.skipIf(reason !== undefined)(reason === undefined ? name : `${name} (${reason})`, run)
  }
  return { check, unknownSkips: () => [...reasons.keys()].filter((name) => !known.has(name)) }
}

export function channelSuite(channel: Channel, options: SuiteOptions): void {
  describe(`${channel.id} keeps the channel contract`, () => {
    const { check, unknownSkips } = checker(options.skip)
    describe('normalise', () => {
      normaliseChecks(channel, options, check)
    })
    describe('verify and challenge', () => {
      verifyChecks(channel, options, check)
    })
    describe('render', () => {
      renderChecks(channel, options, check)
    })
    describe('description', () => {
      descriptionChecks(channel, options, check)
    })
    it('skips only checks that exist', () => expect(unknownSkips()).toEqual([]))
  })
}

const NOT_A_BODY: unknown[] = [null, undefined, 0, '', 'text', true, [], [{}], {}, { object: 'page' }, { object: null, entry: [] }, { entry: [] }]

function normaliseChecks(channel: Channel, { fixtures }: SuiteOptions, check: Check): void {
  const normalise = (body: unknown) => channel.normalise(body, FIXTURE_NOW_MS)
  for (const { name, about, body, events } of fixtures) check(`reads fixture ${name}: ${about}`, () => expect(normalise(body)).toEqual(events))

  check('gives events of the dictionary, unchanged by it', () => {
    for (const event of fixtures.flatMap(({ body }) => normalise(body))) expect(InboundEvent.parse(event)).toEqual(event)
  })
  check('does not change the body', () => {
    for (const { body } of fixtures) {
      const before = JSON.stringify(body)
      normalise(body)
      expect(JSON.stringify(body)).toBe(before)
    }
  })
  check('numbers a redelivery the same at any time', () => {
    const ids = (body: unknown, nowMs: number) => channel.normalise(body, nowMs).map((event) => ('eventId' in event ? event.eventId : event.providerMessageId))
    for (const { body } of fixtures) expect(ids(structuredClone(body), FIXTURE_NOW_MS + 8 * 86_400_000)).toEqual(ids(body, FIXTURE_NOW_MS))
  })
  check('refuses what is not its body, naming the place', () => {
    for (const body of NOT_A_BODY) expect(refusal(() => normalise(body))).toMatchObject({ code: 'invalid_request', param: expect.stringMatching(/^body/) as string })
  })
  check(`takes ${EVENTS_MAX} events in a body and refuses one more`, () => {
    const { body } = fixtures.find(({ name }) => name === 'text')!
    const entry = (body as { entry: unknown[] }).entry[0]
    const flood = (count: number) => ({ ...(body as object), entry: Array.from({ length: count }, () => entry) })
    expect(normalise(flood(EVENTS_MAX))).toHaveLength(EVENTS_MAX)
    expect(refusal(() => normalise(flood(EVENTS_MAX + 1)))).toMatchObject({ code: 'invalid_request', param: 'body.entry' })
  })
  check(`answers ${FUZZ_BODIES} broken bodies with events or a clear refusal`, () => {
    const report = fuzzBodies(channel, FUZZ_SEED, FUZZ_BODIES)
    expect(report.bodies).toBe(FUZZ_BODIES)
    // Both happen: a fuzzer that only ever meets one wall tests that wall.
    expect(report.events).toBeGreaterThan(FUZZ_BODIES / 20)
    expect(report.refused).toBeGreaterThan(FUZZ_BODIES / 20)
  })
}

const sign = (body: Buffer, secret: unknown): string => `sha256=${createHmac('sha256', String(secret)).update(body).digest('hex')}`
const webhook = (body: Buffer, signature?: string): RawWebhook => ({ headers: { 'x-hub-signature-256': signature }, body, query: {} })

/** The last hex digit changed: one to four bits of the signature. */
const flipped = (signature: string): string => signature.slice(0, -1) + (signature.endsWith('0') ? '1' : '0')

function verifyChecks(channel: Channel, { fixtures, number }: SuiteOptions, check: Check): void {
  const body = Buffer.from(JSON.stringify(fixtures[0]!.body))
  const good = sign(body, number.credentials.app_secret)
  const withCredentials = (changes: Record<string, unknown>): NumberConfig => ({ ...number, credentials: { ...number.credentials, ...changes } })

  check('accepts the right signature', () => expect(channel.verify(webhook(body, good), number)).toBe(true))
  check('accepts the previous secret during a rotation, and only then', () => {
    const old = sign(body, 'the-previous-secret')
    expect(channel.verify(webhook(body, old), withCredentials({ previous_app_secret: 'the-previous-secret' }))).toBe(true)
    expect(channel.verify(webhook(body, old), number)).toBe(false)
  })
  check('refuses any other signature', () => {
    const wrong = [undefined, '', 'sha256=', good.slice(0, -1), `${good}0`, good.slice(7), `sha1=${good.slice(7)}`, flipped(good), sign(body, 'another-secret'), 'sha256=zz', ` ${good}`, `${good},${good}`]
    for (const signature of wrong) expect(channel.verify(webhook(body, signature), number)).toBe(false)
  })
  check('refuses a body that changed by one bit', () => {
    for (let at = 0; at < body.length; at += 7) {
      const changed = Buffer.from(body)
      changed[at] = changed[at]! ^ 1
      expect(channel.verify(webhook(changed, good), number)).toBe(false)
    }
  })
  check('refuses a body that was parsed and written again', () => {
    const written = Buffer.from(JSON.stringify(JSON.parse(body.toString()), null, 1))
    expect(channel.verify(webhook(written, good), number)).toBe(false)
  })
  check('refuses everything while no secret is set', () => {
    for (const secret of [undefined, '', null, 0]) {
      const bare = withCredentials({ app_secret: secret })
      expect(channel.verify(webhook(body, sign(body, secret ?? '')), bare)).toBe(false)
      expect(channel.verify(webhook(body, undefined), bare)).toBe(false)
    }
  })
  check('answers the handshake with the challenge and refuses every other', () => {
    const query = { 'hub.mode': 'subscribe', 'hub.verify_token': String(number.credentials.verify_token), 'hub.challenge': '1158201444' }
    expect(channel.challenge(query, number)).toBe('1158201444')
    const wrong = [{ 'hub.mode': 'unsubscribe' }, { 'hub.verify_token': 'nope' }, { 'hub.verify_token': undefined }, { 'hub.challenge': undefined }, { 'hub.challenge': '<script>' }, { 'hub.challenge': 'x'.repeat(1000) }]
    for (const change of wrong) expect(channel.challenge({ ...query, ...change }, number)).toBeNull()
    expect(channel.challenge({ ...query, 'hub.verify_token': '' }, withCredentials({ verify_token: '' }))).toBeNull()
  })
  check('has shut doors: no handshake, no signature', () => {
    expect(channel.verify(webhook(body, good), number)).toBe(false)
    expect(channel.challenge({ 'hub.mode': 'subscribe', 'hub.verify_token': '', 'hub.challenge': '1' }, number)).toBeNull()
  })
}

/** Render, or the refusal by name that the contract allows (a template where there are none). */
function rendered(channel: Channel, content: OutboundContent, context: RenderContext) {
  try {
    return channel.render(content, context)
  } catch (error) {
    if (error instanceof AppError && error.code === 'invalid_request' && error.param && !channel.can.native.has(content.kind)) return null
    throw error
  }
}

const squeeze = (text: string): string => text.replace(/\s+/g, '')

function renderChecks(channel: Channel, { to, accepts, asShown = (text) => text }: SuiteOptions, check: Check): void {
  const { can } = channel
  check('makes only requests the platform accepts, whatever the content', () => {
    fc.assert(
      fc.property(outboundContent, (content) => {
        for (const request of rendered(channel, content, { to })?.requests ?? []) {
          const verdict = accepts.safeParse(request.body)
          expect(verdict.success, JSON.stringify({ request, issues: verdict.error?.issues })).toBe(true)
          expect(request.text.trim()).not.toBe('')
        }
      }),
      PROPERTY,
    )
  })
  check('sends every text whole: the parts joined are the text', () => {
    fc.assert(
      fc.property(longText, (text) => {
        const { requests } = channel.render({ kind: 'text', text }, { to })
        const clean = text.toWellFormed().replaceAll('\u0000', '')
        expect(squeeze(requests.map((request) => request.text).join(''))).toBe(squeeze(asShown(clean)))
        for (const request of requests) {
          expect(measure(request.text, can.textUnit)).toBeLessThanOrEqual(can.textMax)
          expect(request.text.isWellFormed()).toBe(true)
        }
      }),
      PROPERTY,
    )
  })
  check('keeps the words above buttons, lists and links whole, wherever they are split', () => {
    fc.assert(
      fc.property(outboundContent, (content) => {
        if (content.kind !== 'buttons' && content.kind !== 'list' && content.kind !== 'link') return
        const sent = channel.render(content, { to }).requests.map((request) => request.text).join('')
        expect(squeeze(sent)).toContain(squeeze(asShown(content.text.toWellFormed().replaceAll('\u0000', ''))))
      }),
      PROPERTY,
    )
  })
  check('says nothing was lost of what it shows natively', () => {
    for (const [kind, content] of Object.entries(PLAIN_CONTENT)) {
      if (can.native.has(kind as OutboundContent['kind'])) expect({ kind, degradations: rendered(channel, content, { to })!.degradations }).toEqual({ kind, degradations: [] })
    }
  })
  check('says what it did with everything else, and why', () => {
    for (const [kind, content] of Object.entries(PLAIN_CONTENT)) {
      const result = can.native.has(kind as OutboundContent['kind']) ? null : rendered(channel, content, { to })
      for (const { from, to: became, reason } of result?.degradations ?? []) expect([from, became, reason].every((word) => word.length > 0)).toBe(true)
      if (result) expect(result.degradations.length, kind).toBeGreaterThan(0)
    }
  })
  check('sends nothing for nothing to see, and says so', () => {
    for (const text of ['', ' ', '\n\n\t', '\u0000']) {
      const { requests, degradations } = channel.render({ kind: 'text', text }, { to })
      expect(requests).toEqual([])
      expect(degradations).toHaveLength(1)
    }
  })
  check('quotes once, in the first request', () => {
    const { requests } = channel.render({ kind: 'text', text: 'word '.repeat(can.textMax > 10_000 ? 10 : can.textMax) }, { to, replyTo: 'quoted-id' })
    expect(requests.map((request) => JSON.stringify(request.body).includes('quoted-id'))).toEqual(requests.map((_, index) => index === 0))
  })
  check('does not change the content', () => {
    for (const content of Object.values(PLAIN_CONTENT)) {
      const before = structuredClone(content)
      rendered(channel, content, { to })
      expect(content).toEqual(before)
    }
  })
  check('refuses an address of another channel', () => {
    for (const wrong of [{ kind: 'email', value: 'nora@example.com' }, { kind: to.kind, value: '' }, { kind: 'phone', value: 'not a phone' }]) {
      expect(refusal(() => channel.render(PLAIN_CONTENT.text, { to: wrong }))).toMatchObject({ code: 'invalid_request', param: 'to' })
    }
  })
}

const file = (mimeType: string) => ({ url: 'https://files.example.com/f', mimeType, sizeBytes: 1000 })

/** One modest content of every kind. */
const PLAIN_CONTENT = {
  text: { kind: 'text', text: 'We are open until six.' },
  image: { kind: 'image', media: file('image/png') },
  video: { kind: 'video', media: file('video/mp4') },
  audio: { kind: 'audio', media: file('audio/mp4') },
  document: { kind: 'document', media: file('application/pdf') },
  sticker: { kind: 'sticker', media: file('image/webp') },
  location: { kind: 'location', latitude: 59.9, longitude: 10.7, name: 'Harbour Cafe' },
  contacts: { kind: 'contacts', contacts: [{ name: 'Ida Lund', phones: ['+15005550777'], emails: [] }] },
  buttons: { kind: 'buttons', text: 'When?', buttons: [{ id: 'am', title: 'Morning' }, { id: 'pm', title: 'Afternoon' }] },
  list: { kind: 'list', text: 'Which one?', buttonLabel: 'Choose', sections: [{ rows: [{ id: 'a', title: 'Blue' }, { id: 'b', title: 'Red' }] }] },
  link: { kind: 'link', text: 'All chairs', label: 'Open', url: 'https://shop.example.com/chairs' },
  cards: { kind: 'cards', cards: [1, 2].map((n) => ({ title: `Chair ${n}`, text: 'Oak', imageUrl: `https://files.example.com/${n}.png`, buttons: [{ id: `buy-${n}`, title: 'Buy' }] })) },
  template: { kind: 'template', name: 'order_ready', language: 'en', parameters: ['42'] },
} satisfies { [K in OutboundContent['kind']]: Extract<OutboundContent, { kind: K }> }

function descriptionChecks(channel: Channel, { number }: SuiteOptions, check: Check): void {
  check('describes itself with sane numbers', () => {
    const { can } = channel
    expect(can.textMax).toBeGreaterThan(0)
    expect(can.native.has('text')).toBe(true)
    for (const bytes of Object.values(can.mediaBytesMax)) expect(bytes).toBeGreaterThan(0)
    expect(can.templates).toBe(can.native.has('template'))
  })
  check('accepts good credentials and settings', () => {
    expect(channel.credentials.safeParse(number.credentials).success).toBe(true)
    expect(channel.settings.safeParse(number.settings).success).toBe(true)
    expect(channel.settings.safeParse({}).success).toBe(true)
  })
  check('names the credential that is missing or malformed', () => {
    for (const field of ['access_token', 'app_secret', 'verify_token']) {
      for (const value of [undefined, '', 7, 'x'.repeat(5000), 'a\nb']) {
        const verdict = channel.credentials.safeParse({ ...number.credentials, [field]: value })
        expect(verdict.error?.issues[0]?.path, `${field}=${JSON.stringify(value)}`).toEqual([field])
      }
    }
  })
}
