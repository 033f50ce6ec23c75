import fc from 'fast-check'
import type { MediaRef, OutboundContent } from '@trunkline/core'

/** Any content a caller may hand to `render`, with a liking for what hurts: limits, emoji, halves of characters, repeats. For tests. */

const letter = fc.constantFrom('a', 'Z', ' ', '\n', '.', '*', '_', '~', '`', '#', 'ß', '–', '語', '👩‍👩‍👧‍👦', '🇳🇴', 'é', '\ud83d', '\u0000', '[x](https://a.example/b)', '\r\n', '\u200d')
const text = (maxLength: number) => fc.oneof(fc.string({ maxLength, unit: 'grapheme' }), fc.array(letter, { maxLength }).map((letters) => letters.join('').slice(0, maxLength)))
/** Words of a length around a platform's limits, up to the dictionary's own. */
export const longText = fc.oneof(
  text(60),
  fc.tuple(text(12), fc.integer({ min: 1, max: 600 })).map(([word, times]) => word.repeat(times).slice(0, 65_536)),
  fc.array(fc.tuple(text(40), fc.constantFrom(' ', '\n\n', '. ', '')), { maxLength: 120 }).map((pieces) => pieces.flat().join('')),
)
const nonEmpty = (maxLength: number) => text(maxLength).map((value) => value || 'x')
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
const button = fc.record({ id: nonEmpty(256), title: fc.oneof(nonEmpty(18), nonEmpty(255)) })
const cardButton = fc.record({ id: nonEmpty(60), title: nonEmpty(22), url: some(url) })
const card = fc.record({
  title: fc.oneof(nonEmpty(30), nonEmpty(255)),
  text: some(fc.oneof(text(60), text(1024))),
  imageUrl: some(url),
  buttons: fc.array(cardButton, { maxLength: 4 }),
})
const row = fc.record({ id: nonEmpty(210), title: fc.oneof(nonEmpty(20), nonEmpty(255)), description: some(text(200)) })
const body = longText.map((value) => value || 'x')

const mediaOf = <K extends 'image' | 'video' | 'document' | 'sticker' | 'audio'>(kind: K) =>
  fc.record({ kind: fc.constant(kind), media, caption: some(fc.oneof(text(100), text(4096))), voice: some(fc.boolean()) })

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
  fc.record({ kind: fc.constant('buttons' as const), text: body, buttons: fc.array(button, { minLength: 1, maxLength: 14 }) }),
  fc.record({
    kind: fc.constant('list' as const),
    text: body,
    buttonLabel: nonEmpty(40),
    sections: fc.array(fc.record({ title: some(text(40)), rows: fc.array(row, { minLength: 1, maxLength: 5 }) }), { minLength: 1, maxLength: 4 }),
  }),
  fc.record({ kind: fc.constant('link' as const), text: body, label: fc.oneof(nonEmpty(20), nonEmpty(255)), url: anyUrl }),
  fc.record({ kind: fc.constant('cards' as const), cards: fc.array(card, { minLength: 1, maxLength: 10 }) }),
  fc.record({ kind: fc.constant('template' as const), name: fc.constant('order_ready'), language: fc.constantFrom('en', 'pt_BR'), parameters: fc.array(text(300), { maxLength: 4 }) }),
)
