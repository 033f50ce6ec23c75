import { describe, expect, it } from 'vitest'
import type { OutboundContent } from '@trunkline/core'
import { instagram } from './index.ts'
import { SendRequest } from './wire.ts'

const to = { kind: 'igsid', value: '900000000000001' }

function show(content: OutboundContent) {
  const { requests, degradations } = instagram.render(content, { to })
  return { messages: requests.map((request) => SendRequest.parse(request.body).message), degradations: degradations.map(({ from, to: became }) => `${from} -> ${became}`) }
}

describe('instagram', () => {
  it('counts bytes: 500 of ß fit, 501 do not', () => {
    expect(show({ kind: 'text', text: 'ß'.repeat(500) }).messages).toHaveLength(1)
    expect(show({ kind: 'text', text: 'ß'.repeat(501) }).degradations).toEqual(['text -> 2 texts'])
  })

  it('takes formatting away and says so', () => {
    expect(show({ kind: 'text', text: 'Open **now**' })).toEqual({ messages: [{ text: 'Open now' }], degradations: ['formatting -> plain text'] })
  })

  it('offers up to 13 quick replies, then numbers', () => {
    const buttons = (count: number): OutboundContent => ({ kind: 'buttons', text: 'Which?', buttons: Array.from({ length: count }, (_, index) => ({ id: `b${index}`, title: `Nr ${index}` })) })
    expect(show(buttons(13))).toMatchObject({ messages: [{ text: 'Which?', quick_replies: { length: 13 } }], degradations: [] })
    expect(show(buttons(14)).degradations).toEqual(['buttons -> numbered text'])
  })

  it('numbers choices whose titles would be cut off', () => {
    expect(show({ kind: 'buttons', text: 'Which?', buttons: [{ id: 'a', title: 'x'.repeat(21) }] }).messages).toEqual([{ text: `Which?\n\n1. ${'x'.repeat(21)}` }])
  })

  it('shows a list as quick replies', () => {
    const list: OutboundContent = { kind: 'list', text: 'Which?', buttonLabel: 'Choose', sections: [{ rows: [{ id: 'a', title: 'Blue', description: 'Sky' }] }] }
    expect(show(list)).toMatchObject({ messages: [{ quick_replies: [{ title: 'Blue', payload: 'a' }] }], degradations: ['list -> quick replies'] })
  })

  it('sends a caption after the picture', () => {
    expect(show({ kind: 'image', media: { url: 'https://files.example.com/a.png' }, caption: 'Look' })).toEqual({
      messages: [{ attachment: { type: 'image', payload: { url: 'https://files.example.com/a.png' } } }, { text: 'Look' }],
      degradations: ['caption -> text'],
    })
  })

  it('sends PDF as a file and any other document as a link', () => {
    const document = (mimeType: string): OutboundContent => ({ kind: 'document', media: { url: 'https://files.example.com/a', mimeType } })
    expect(show(document('application/pdf')).messages).toMatchObject([{ attachment: { type: 'file' } }])
    expect(show(document('application/zip'))).toEqual({ messages: [{ text: 'https://files.example.com/a' }], degradations: ['document -> link'] })
  })

  it('turns a place into a map link and a contact into text', () => {
    expect(show({ kind: 'location', latitude: 59.9, longitude: 10.7, name: 'Cafe' }).messages).toEqual([{ text: 'Cafe\nhttps://www.openstreetmap.org/?mlat=59.9&mlon=10.7#map=16/59.9/10.7' }])
    expect(show({ kind: 'contacts', contacts: [{ name: 'Ida', phones: ['+1500'], emails: [] }] }).messages).toEqual([{ text: 'Ida\n+1500' }])
  })

  it('sends cards as a generic template while all fit, else a bubble for each', () => {
    const card = (text: string) => ({ title: 'Chair', text, buttons: [{ id: 'buy', title: 'Buy' }, { id: 'x', title: 'See', url: 'https://a.example/c' }] })
    expect(show({ kind: 'cards', cards: [card('Oak')] })).toMatchObject({ messages: [{ attachment: { payload: { template_type: 'generic', elements: [{ title: 'Chair', subtitle: 'Oak', buttons: [{ type: 'postback' }, { type: 'web_url' }] }] } } }], degradations: [] })
    expect(show({ kind: 'cards', cards: [card('x'.repeat(81))] }).degradations).toEqual(['cards -> 1 messages'])
  })

  it('refuses a template: there is none that could stand for it', () => {
    expect(() => show({ kind: 'template', name: 'a', language: 'en', parameters: [] })).toThrow(expect.objectContaining({ code: 'invalid_request', param: 'content.kind' }) as Error)
  })
})
