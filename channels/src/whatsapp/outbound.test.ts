import { describe, expect, it } from 'vitest'
import type { MediaRef, OutboundContent } from '@trunkline/core'
import { fixturesOf } from '../../testing/fixtures.ts'
import { whatsapp } from './index.ts'
import { SendRequest } from './wire.ts'

const phone = { kind: 'phone', value: '+15005550123' }

/** What of a rendering matters to a reader, checked against the platform's request. */
function show(content: OutboundContent) {
  const { requests, degradations } = whatsapp.render(content, { to: phone })
  const bodies = requests.map((request) => {
    const { messaging_product: _, recipient_type: __, to: ___, ...rest } = SendRequest.parse(request.body)
    return rest
  })
  return { bodies, degradations: degradations.map(({ from, to }) => `${from} -> ${to}`) }
}

const buttons = (titles: string[], text = 'When?'): OutboundContent => ({ kind: 'buttons', text, buttons: titles.map((title, index) => ({ id: `b${index}`, title })) })
const image = (media: Partial<MediaRef>, caption?: string): OutboundContent => ({ kind: 'image', media: { url: 'https://files.example.com/a', ...media }, ...(caption && { caption }) })

describe('addressing', () => {
  it('sends to digits, or to a user id when there is no phone number', () => {
    const content: OutboundContent = { kind: 'text', text: 'Hi' }
    expect(whatsapp.render(content, { to: phone }).requests[0]!.body).toEqual({ messaging_product: 'whatsapp', recipient_type: 'individual', to: '15005550123', type: 'text', text: { body: 'Hi' } })
    const { requests } = whatsapp.render(content, { to: { kind: 'wa_user_id', value: 'US.90000000000000000001' }, replyTo: 'wamid.Q' })
    expect(requests[0]!.body).toEqual({ messaging_product: 'whatsapp', recipient_type: 'individual', recipient: 'US.90000000000000000001', context: { message_id: 'wamid.Q' }, type: 'text', text: { body: 'Hi' } })
  })

  it('can answer every identity that arrives', () => {
    for (const event of fixturesOf('whatsapp').flatMap((fixture) => fixture.events)) {
      if (event.kind !== 'message') continue
      for (const to of event.from.identities) expect(SendRequest.safeParse(whatsapp.render({ kind: 'text', text: 'Hi' }, { to }).requests[0]!.body).success).toBe(true)
    }
  })
})

describe('choices', () => {
  it('three short ones are buttons', () => {
    expect(show(buttons(['Morning', 'Noon', 'Evening']))).toMatchObject({ bodies: [{ interactive: { type: 'button', action: { buttons: [{ reply: { id: 'b0', title: 'Morning' } }, {}, {}] } } }], degradations: [] })
  })

  it('four, or one of 21 characters, are a list', () => {
    expect(show(buttons(['1', '2', '3', '4']))).toMatchObject({ bodies: [{ interactive: { type: 'list' } }], degradations: ['buttons -> list'] })
    expect(show(buttons(['x'.repeat(21), '2']))).toMatchObject({ bodies: [{ interactive: { type: 'list' } }], degradations: ['buttons -> list'] })
  })

  it('eleven, or one of 25 characters, are numbered text', () => {
    const eleven = Array.from({ length: 11 }, (_, index) => `Choice ${index + 1}`)
    const { bodies, degradations } = show(buttons(eleven))
    expect(bodies).toEqual([{ type: 'text', text: { body: `When?\n\n${eleven.map((title, index) => `${index + 1}. ${title}`).join('\n')}` } }])
    expect(degradations).toEqual(['buttons -> numbered text'])
    expect(show(buttons(['x'.repeat(25), '2'])).degradations).toEqual(['buttons -> numbered text'])
  })

  it('two with the same title are numbered, because the platform refuses them', () => {
    expect(show(buttons(['Yes', 'Yes'])).degradations).toEqual(['buttons -> numbered text'])
  })

  it('a text that is too long for a body goes ahead', () => {
    const { bodies, degradations } = show(buttons(['Yes', 'No'], 'word '.repeat(400)))
    expect(bodies).toMatchObject([{ type: 'text' }, { type: 'interactive', interactive: { type: 'button' } }])
    expect(degradations).toEqual(['text -> text ahead of the buttons'])
  })

  it('a list keeps its sections, and shortens only what is too long', () => {
    const list: OutboundContent = {
      kind: 'list',
      text: 'Which **one**?',
      buttonLabel: 'Choose one of our products',
      sections: [
        { title: 'Chairs', rows: [{ id: 'c', title: 'Blue chair', description: 'd'.repeat(100) }] },
        { title: 'Lamps', rows: [{ id: 'l', title: 'Lamp' }] },
      ],
    }
    expect(show(list)).toMatchObject({
      bodies: [{ interactive: { type: 'list', body: { text: 'Which *one*?' }, action: { button: 'Choose one of our p…', sections: [{ title: 'Chairs' }, { title: 'Lamps' }] } } }],
      degradations: ['list label -> shortened list label', 'row description -> shortened row description'],
    })
  })
})

describe('files', () => {
  it('go out as what they are, by address or by id', () => {
    expect(show(image({ mimeType: 'image/png', sizeBytes: 5 * 1024 * 1024 }, 'Look **here**')).bodies).toEqual([{ type: 'image', image: { link: 'https://files.example.com/a', caption: 'Look *here*' } }])
    expect(show(image({ url: undefined, providerMediaId: '42' })).bodies).toEqual([{ type: 'image', image: { id: '42' } }])
  })

  it('of a type or size that images may not have go out as documents, and beyond that as links', () => {
    expect(show(image({ mimeType: 'image/tiff', filename: 'plan.tiff' }))).toEqual({ bodies: [{ type: 'document', document: { link: 'https://files.example.com/a', filename: 'plan.tiff' } }], degradations: ['image -> document'] })
    expect(show(image({ sizeBytes: 5 * 1024 * 1024 + 1 })).degradations).toEqual(['image -> document'])
    expect(show(image({ sizeBytes: 101 * 1024 * 1024, filename: 'huge.png' }, 'Big'))).toEqual({
      bodies: [{ type: 'text', text: { body: 'Big\nhuge.png: https://files.example.com/a', preview_url: true } }],
      degradations: ['image -> link'],
    })
  })

  it('only Ogg/Opus is a voice message', () => {
    const voice = (mimeType: string): OutboundContent => ({ kind: 'audio', media: { url: 'https://files.example.com/a', mimeType }, voice: true })
    expect(show(voice('audio/ogg; codecs=opus'))).toEqual({ bodies: [{ type: 'audio', audio: { link: 'https://files.example.com/a', voice: true } }], degradations: [] })
    expect(show(voice('audio/mpeg'))).toEqual({ bodies: [{ type: 'audio', audio: { link: 'https://files.example.com/a' } }], degradations: ['voice message -> audio file'] })
  })

  it('a caption of more than 1,024 characters becomes a text', () => {
    const { bodies, degradations } = show(image({}, 'x'.repeat(1025)))
    expect(bodies).toMatchObject([{ image: { link: 'https://files.example.com/a' } }, { text: { body: 'x'.repeat(1025) } }])
    expect(degradations).toEqual(['caption -> text'])
  })

  it('without an address or id are refused by name', () => {
    expect(() => show(image({ url: undefined, mediaId: '019aa000-0000-7000-8000-00000000000a' }))).toThrow(expect.objectContaining({ code: 'invalid_request', param: 'content.media' }) as Error)
  })
})

describe('links, cards and templates', () => {
  it('a link is a button while its label fits', () => {
    const link = (label: string): OutboundContent => ({ kind: 'link', text: 'All chairs', label, url: 'https://shop.example.com/chairs' })
    expect(show(link('Open the shop'))).toMatchObject({ bodies: [{ interactive: { type: 'cta_url', action: { parameters: { display_text: 'Open the shop', url: 'https://shop.example.com/chairs' } } } }], degradations: [] })
    expect(show(link('Open the shop right now'))).toMatchObject({ bodies: [{ text: { body: 'All chairs\nOpen the shop right now: https://shop.example.com/chairs' } }], degradations: ['link -> text'] })
  })

  const card = (changes: object = {}) => ({ title: 'Chair', text: 'Oak', imageUrl: 'https://files.example.com/c.png', buttons: [{ id: 'buy', title: 'Buy' }], ...changes })

  it('cards of one kind are a carousel', () => {
    expect(show({ kind: 'cards', cards: [card(), card({ title: 'Lamp' })] })).toMatchObject({ bodies: [{ interactive: { type: 'carousel', body: { text: 'Chair · Lamp' }, action: { cards: [{ card_index: 0, body: { text: '*Chair*\nOak' } }, { card_index: 1 }] } } }], degradations: [] })
  })

  it.each([
    ['one has no picture', card({ imageUrl: undefined })],
    ['one has a link where the other has a reply', card({ buttons: [{ id: 'x', title: 'Open', url: 'https://a.example' }] })],
    ['one has more replies', card({ buttons: [{ id: 'x', title: 'A' }, { id: 'y', title: 'B' }] })],
    ['one is too long', card({ text: 'x'.repeat(160) })],
  ])('a bubble for each when %s', (_, odd) => {
    const { bodies, degradations } = show({ kind: 'cards', cards: [card(), odd] })
    expect(bodies).toHaveLength(2)
    expect(degradations).toEqual(['cards -> 2 messages'])
  })

  it('template parameters hold no line breaks, and are never empty', () => {
    expect(show({ kind: 'template', name: 'order_ready', language: 'en_US', parameters: ['a\n\tb', ' '] }).bodies).toEqual([
      { type: 'template', template: { name: 'order_ready', language: { code: 'en_US' }, components: [{ type: 'body', parameters: [{ type: 'text', text: 'a b' }, { type: 'text', text: '-' }] }] } },
    ])
  })
})
