import { describe, expect, it } from 'vitest'
import { AppError, type NumberConfig } from '@trunkline/core'
import { client } from './client.ts'
import { webchat } from './index.ts'
import { isOriginAllowed, Settings, WidgetMessage, WidgetTyping } from './wire.ts'

const number: NumberConfig = { numberId: '019aa000-0000-7000-8000-000000000001', address: '019aa000-0000-7000-8000-000000000001', credentials: {}, settings: {} }
const to = { kind: 'visitor', value: 'v_8f2Kd03' }
const [request] = webchat.render({ kind: 'text', text: 'Hello **there**' }, { to, replyTo: 'web:v_8f2Kd03:c1' }).requests
const options = { callbackData: 'attempt-1', signal: new AbortController().signal }

type Delivery = [string, string, Record<string, unknown>]
function make(fail?: Error) {
  const delivered: Delivery[] = []
  const chat = client({
    baseUrl: '',
    timeoutMs: 1_000,
    deliverLocal: async (...delivery: Delivery) => {
      if (fail) throw fail
      delivered.push(delivery)
    },
  })
  return { chat, delivered }
}

describe('web chat', () => {
  it('hands the message to the sockets of the visitor, as the widget reads it', async () => {
    const { chat, delivered } = make()
    const outcome = await chat.send(number, request!, options)
    expect(outcome).toEqual({ status: 'accepted', providerMessageId: 'web-out:attempt-1' })
    expect(delivered.map(([numberId, visitorId]) => [numberId, visitorId])).toEqual([[number.numberId, 'v_8f2Kd03']])
    expect(WidgetMessage.parse(delivered[0]![2])).toEqual({ type: 'message', id: 'web-out:attempt-1', content: { kind: 'text', text: 'Hello **there**' }, reply_to: 'web:v_8f2Kd03:c1' })
  })

  it('gives the same attempt the same id, so that the widget shows it once', async () => {
    const { chat, delivered } = make()
    await chat.send(number, request!, options)
    await chat.send(number, request!, options)
    expect(new Set(delivered.map(([, , payload]) => payload.id)).size).toBe(1)
  })

  it('tries again what could not be handed over, unless that is for ever', async () => {
    expect(await make(new Error('redis is away')).chat.send(number, request!, options)).toMatchObject({ status: 'rejected', policy: 'retry' })
    expect(await make(new AppError('not_found')).chat.send(number, request!, options)).toMatchObject({ status: 'rejected', policy: 'final', code: 'not_found' })
  })

  it('shows that somebody writes, and swallows a failure of that', async () => {
    const { chat, delivered } = make()
    await chat.typing(number, to, 'web:v_8f2Kd03:c1', options.signal)
    expect(WidgetTyping.parse(delivered[0]![2])).toEqual({ type: 'typing', in_reply_to: 'web:v_8f2Kd03:c1' })
    await expect(make(new Error('x')).chat.typing(number, to, 'm', options.signal)).resolves.toBeUndefined()
  })

  it('names the place of what does not fit in a visitor\'s body', () => {
    const body = { number_id: 'n1', visitor_id: 'v1', client_message_id: 'c1', text: 'Hi' }
    const param = (change: object) => {
      try {
        webchat.normalise({ ...body, ...change }, 1)
      } catch (error) {
        return (error as AppError).param
      }
    }
    expect(param({})).toBeUndefined()
    expect(param({ visitor_id: 'a b' })).toBe('body.visitor_id')
    expect(param({ client_message_id: 7 })).toBe('body.client_message_id')
    expect(param({ text: undefined })).toBe('body.text')
    expect(param({ text: ' ' })).toBe('body.text')
    expect(param({ choice: { id: 'a', title: 'A' } })).toBe('body.text')
    expect(param({ text: undefined, choice: { id: '', title: 'A' } })).toBe('body.choice.id')
    expect(param({ page_url: 'javascript:alert(1)' })).toBe('body.page_url')
    expect(param({ type: 'nonsense' })).toBe('body.type')
    expect(param({ at_ms: 1.5 })).toBe('body.at_ms')
  })

  it('never makes an identity of what a visitor claims', () => {
    const [event] = webchat.normalise({ number_id: 'n1', visitor_id: 'v1', client_message_id: 'c1', text: 'Hi', pre_chat: { email: 'somebody@example.com' } }, 1)
    expect(event).toMatchObject({ from: { identities: [{ kind: 'visitor', value: 'v1' }] }, providerData: { pre_chat: { email: 'somebody@example.com' } } })
  })
})

describe('allowed origins', () => {
  const allowed = ['https://shop.example.com', 'https://*.example.org', 'http://localhost:3000']

  it.each(['https://shop.example.com', 'HTTPS://SHOP.EXAMPLE.COM', 'https://a.example.org', 'https://a.b.example.org', 'http://localhost:3000'])('lets %s in', (origin) => {
    expect(isOriginAllowed(origin, allowed)).toBe(true)
  })

  it.each([undefined, '', 'null', 'https://example.org', 'http://shop.example.com', 'https://shop.example.com.evil.test', 'https://evilexample.org', 'https://evil.test/.example.org', 'https://evil.test#.example.org', 'https://user@a.example.org', 'https://shop.example.com:8443', 'http://localhost:3001'])('keeps %s out', (origin) => {
    expect(isOriginAllowed(origin, allowed)).toBe(false)
  })

  it('lets nobody in while the list is empty', () => {
    expect(isOriginAllowed('https://shop.example.com', Settings.parse({}).allowed_origins)).toBe(false)
  })

  it('accepts only entries that mean what they look like', () => {
    for (const entry of allowed) expect(Settings.safeParse({ allowed_origins: [entry] }).success, entry).toBe(true)
    for (const entry of ['*', 'https://*', 'https://*.com', 'shop.example.com', 'https://shop.example.com/', 'https://shop.example.com/path', 'http://shop.example.com', 'https://shop.*.com', 'null']) {
      expect(Settings.safeParse({ allowed_origins: [entry] }).error?.issues[0]?.path, entry).toEqual(['allowed_origins', 0])
    }
  })
})
