import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { NumberConfig, RejectionPolicy } from '@trunkline/core'
import { json, openStage, plain, silence, type Stage } from '../../testing/platform.ts'
import { client } from './client.ts'
import { instagram } from './index.ts'
import { SenderAction, SendRequest } from './wire.ts'

const number: NumberConfig = {
  numberId: '019aa000-0000-7000-8000-000000000001',
  address: '17840000000000001',
  credentials: { access_token: 'IGAAtest', app_secret: '0123456789abcdef', verify_token: 'a-verify-token' },
  settings: {},
}
const to = { kind: 'igsid', value: '900000000000001' }
const [request] = instagram.render({ kind: 'text', text: 'Hello' }, { to, replyTo: 'mid-1' }).requests
const options = { callbackData: 'attempt-1', signal: new AbortController().signal }

let stage: Stage
beforeEach(async () => {
  stage = await openStage()
})
afterEach(() => stage.close())

const make = (timeoutMs = 2_000) => client({ baseUrl: stage.baseUrl, timeoutMs })

describe('sending', () => {
  it('posts what the platform accepts, with our mark for the echo, and keeps the mid', async () => {
    stage.play(json(200, { recipient_id: '900000000000001', message_id: 'mid-2' }))
    expect(await make().send(number, request!, options)).toEqual({ status: 'accepted', providerMessageId: 'mid-2' })
    expect(stage.seen[0]).toMatchObject({ method: 'POST', path: '/v23.0/17840000000000001/messages', headers: { authorization: 'Bearer IGAAtest' } })
    expect(SendRequest.parse(stage.seen[0]!.body)).toEqual({
      recipient: { id: '900000000000001' },
      messaging_type: 'RESPONSE',
      message: { text: 'Hello', metadata: 'attempt-1' },
      reply_to: { mid: 'mid-1' },
    })
  })

  it('leaves the mark out where the API refuses it', async () => {
    stage.play(json(200, { message_id: 'mid-2' }))
    await make().send({ ...number, settings: { echo_metadata: false } }, request!, options)
    expect(stage.seen[0]!.body).toMatchObject({ message: { text: 'Hello' } })
    expect(JSON.stringify(stage.seen[0]!.body)).not.toContain('metadata')
  })

  it.each<[number, number, number | undefined, RejectionPolicy]>([
    [400, 10, 2018278, 'window_closed'],
    [400, 10, 2534022, 'window_closed'],
    [400, 100, 1545041, 'window_closed'],
    [400, 10, undefined, 'reconnect'],
    [400, 10, 1893063, 'stop_number'],
    [401, 190, 463, 'reconnect'],
    [403, 200, undefined, 'reconnect'],
    [400, 4, undefined, 'number_rate'],
    [400, 613, undefined, 'number_rate'],
    [400, 551, undefined, 'final'],
    [400, 100, 2018001, 'final'],
    [400, 100, 2018047, 'media_fault'],
    [500, 2, undefined, 'retry'],
    [500, 1200, undefined, 'retry'],
    [400, 100, undefined, 'final'],
  ])('answers HTTP %i with code %i and subcode %s by the policy %s', async (status, code, subcode, policy) => {
    stage.play(json(status, { error: { message: 'x', type: 'OAuthException', code, ...(subcode && { error_subcode: subcode }) } }))
    expect(await make().send(number, request!, options)).toMatchObject({ status: 'rejected', policy })
  })

  it('does not know what became of a request nobody answered', async () => {
    stage.play(silence)
    expect(await make(150).send(number, request!, options)).toMatchObject({ status: 'unknown' })
    stage.play(json(200, { recipient_id: '900000000000001' }))
    expect(await make().send(number, request!, options)).toMatchObject({ status: 'unknown' })
  })
})

describe('the rest', () => {
  it('shows that somebody writes', async () => {
    stage.play(json(200, { recipient_id: '900000000000001' }))
    await make().typing(number, to, 'mid-1', options.signal)
    expect(SenderAction.parse(stage.seen[0]!.body)).toEqual({ recipient: { id: '900000000000001' }, sender_action: 'typing_on' })
  })

  it('fetches a file from its signed address without the token', async () => {
    stage.play(plain(200, 'bytes', { 'content-type': 'image/png' }))
    const file = await make().fetchMedia(number, { url: `${stage.baseUrl}/cdn/1` }, 100, options.signal)
    expect([Buffer.from(file.bytes).toString(), file.mimeType]).toEqual(['bytes', 'image/png'])
    expect(stage.seen[0]!.headers.authorization).toBeUndefined()
  })

  it('fetches from no other host', async () => {
    for (const url of ['http://169.254.169.254/latest/meta-data', 'https://evil.example/x', 'http://localhost:1/']) {
      await expect(make().fetchMedia(number, { url }, 100, options.signal)).rejects.toMatchObject({ code: 'upstream_rejected' })
    }
  })

  it('names what is wrong with the credentials', async () => {
    stage.play(json(200, { id: '17840000000000001', username: 'chairs' }))
    await expect(make().check(number, options.signal)).resolves.toBeUndefined()
    stage.play(json(400, { error: { message: 'x', code: 190 } }))
    await expect(make().check(number, options.signal)).rejects.toMatchObject({ code: 'invalid_credentials', param: 'credentials.access_token' })
    stage.play(json(400, { error: { message: 'x', code: 100, error_subcode: 33 } }))
    await expect(make().check(number, options.signal)).rejects.toMatchObject({ code: 'invalid_credentials', param: 'address' })
  })
})
