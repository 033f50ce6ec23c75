import fc from 'fast-check'
import type { MediaRef, OutboundContent } from '@trunkline/core'

/** Any content a caller may hand to `render`, with a liking for what hurts: limits, emoji, halves of characters, repeats. For tests. */

const letter = fc.constantFrom('a', 'Z', ' ', '\n', '.', '*', '_', '~', '`', '#', 'ß', '–', '語', '👩‍👩‍👧‍👦', '🇳🇴', 'é', '\ud83d', '\u0000', '[x](https://a.example/b)', '\r\n', '\u200d')
/** Lengths at which some platform changes its mind, one below and one above. */
const EDGES = [1, 20, 24, 72, 80, 160, 200, 240, 256, 512, 640, 1000, 1024, 2000, 4096, 20_000, 65_536].flatMap((length) => [length - 1, length, length + 1])

/** Text of an interesting length up to `maxLength`: some pieces over and over, cut wherever it falls. */
const text = (maxLength: number): fc.Arbitrary<string> =>
  fc
    .tuple(fc.array(letter, { minLength: 1, maxLength: 12, size: 'max' }), fc.oneof(fc.integer({ min: 0, max: Math.min(maxLength, 60) }), fc.constantFrom(maxLength, ...EDGES.filter((length) => length <= maxLength))))
    .map(([pieces, length]) => {
      const unit = pieces.join('')
      return unit.repeat(Math.ceil(length / unit.length)).slice(0, length)
    })
/** Up to the dictionary's own limit; the longest ones are rare because they are slow. */
export const longText = fc.oneof({ weight: 9, arbitrary: text(5_000) }, { weight: 1, arbitrary: text(65_536) })
const nonEmpty = (maxLength: number): fc.Arbitrary<string> => text(maxLength).map((value) => value || 'x')
const some = <T>(arbitrary: fc.Arbitrary<T>) => fc.option(arbitrary, { nil: undefined })
const url = fc.oneof(
  fc.webUrl({ withQueryParameters: true }).filter((value) => value.length <= 4096),
  fc.integer({ min: 1, max: 3_000 }).map((length) => `https://files.example.com/${'p'.repeat(length)}.png`),
)
const anyUrl = fc.oneof({ weight: 8, arbitrary: url }, { weight: 1, arbitrary: fc.constantFrom('tel:+15005550123', 'mailto:a@example.com') })

const media: fc.Arbitrary<MediaRef> = fc.record({
  url: fc.constantFrom('https://files.example.com/a.png', 'https://files.example.com/b?x=1'),
  mimeType: some(fc.constantFrom('image/jpeg', 'image/png', 'image/webp', 'video/mp4', 'audio/ogg; codecs=opus', 'audio/mpeg', 'application/pdf', 'text/plain', 'IMAGE/PNG')),
  sizeBytes: some(fc.constantFrom(10, 600_000, 6_000_000, 20_000_000, 200_000_000)),
  filename: some(nonEmpty(400)),
})
/** Ids and titles that mostly differ and mostly fit. */
const label = (fits: number, most: number) => fc.oneof({ weight: 6, arbitrary: fc.string({ minLength: 3, maxLength: fits, unit: 'grapheme-ascii', size: 'max' }) }, { weight: 2, arbitrary: nonEmpty(fits + 2) }, { weight: 1, arbitrary: nonEmpty(most) })
const button = fc.record({ id: label(30, 256), title: label(20, 255) })
const cardButton = fc.record({ id: label(40, 256), title: label(20, 30), url: some(url) })
const card = fc.record({
  title: label(60, 255),
  text: some(label(75, 1024)),
  imageUrl: some(url),
  buttons: fc.array(cardButton, { maxLength: 4 }),
})
const row = fc.record({ id: label(100, 210), title: label(24, 255), description: some(text(200)) })
const body = longText.map((value) => value || 'x')

const mediaOf = <K extends 'image' | 'video' | 'document' | 'sticker' | 'audio'>(kind: K) =>
  fc.record({ kind: fc.constant(kind), media, caption: some(text(4096)), voice: some(fc.boolean()) })

export const outboundContent: fc.Arbitrary<OutboundContent> = fc.oneof(
  fc.record({ kind: fc.constant('text' as const), text: longText }),
  mediaOf('image'),
  mediaOf('video'),
  mediaOf('document'),
  mediaOf('sticker'),
  mediaOf('audio'),
  fc.record({
    kind: fc.constant('location' as const),
    latitude: fc.double({ min: -90, max: 90, noNaN: true }),
    longitude: fc.double({ min: -180, max: 180, noNaN: true }),
    name: some(text(1024)),
    address: some(text(1024)),
  }),
  fc.record({
    kind: fc.constant('contacts' as const),
    contacts: fc.array(fc.record({ name: text(512), phones: fc.array(text(64), { maxLength: 3 }), emails: fc.array(text(320), { maxLength: 3 }), organisation: some(text(512)) }), { maxLength: 4 }),
  }),
  fc.record({ kind: fc.constant('buttons' as const), text: body, buttons: fc.oneof(fc.array(button, { minLength: 1, maxLength: 3, size: 'max' }), fc.array(button, { minLength: 1, maxLength: 15, size: 'max' })) }),
  fc.record({
    kind: fc.constant('list' as const),
    text: body,
    buttonLabel: label(20, 40),
    sections: fc.array(fc.record({ title: some(text(40)), rows: fc.array(row, { minLength: 1, maxLength: 4, size: 'max' }) }), { minLength: 1, maxLength: 4, size: 'max' }),
  }),
  fc.record({ kind: fc.constant('link' as const), text: body, label: label(20, 255), url: anyUrl }),
  fc.record({ kind: fc.constant('cards' as const), cards: fc.array(card, { minLength: 1, maxLength: 10, size: 'max' }) }),
  fc.record({ kind: fc.constant('template' as const), name: fc.constant('order_ready'), language: fc.constantFrom('en', 'pt_BR'), parameters: fc.array(text(300), { maxLength: 4 }) }),
)
