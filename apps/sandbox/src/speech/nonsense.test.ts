import { once } from 'node:events'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { WebSocket } from 'ws'
import type { Sandbox } from '../index.ts'
import { startSandbox } from '../index.ts'

let sandbox: Sandbox

beforeAll(async () => {
  sandbox = await startSandbox({ speechPace: { firstSoundMs: 0 } })
})
afterAll(() => sandbox.close())

const value = fc.jsonValue({ maxDepth: 3 })
/** Sound requests with some fields replaced by nonsense. */
const mutated = (sound: Record<string, unknown>) => fc.record(Object.fromEntries(Object.entries(sound).map(([key, good]) => [key, fc.oneof({ weight: 3, arbitrary: fc.constant(good) }, { weight: 1, arbitrary: value })])), { requiredKeys: [] })
const aws = `AWS4-HMAC-SHA256 Credential=AKIAOTHER/20261121/eu-central-1/polly/aws4_request, SignedHeaders=host, Signature=${'0'.repeat(64)}`
const headers = { 'content-type': 'application/json', authorization: 'Bearer k', 'xi-api-key': 'k' }
const google = { 'x-goog-api-key': 'k' }

describe('nonsense for suppliers of speech', () => {
  it.each([
    ['/v1/audio/speech', mutated({ model: 'tts-1', voice: 'alloy', input: 'Hi', response_format: 'pcm', speed: 1, stream_format: 'audio' }), {}],
    ['/v1/audio/transcriptions', value, {}],
    ['/google/v1/speech:recognize', mutated({ config: { languageCode: 'en', encoding: 'LINEAR16', sampleRateHertz: 8_000 }, audio: { content: 'AAAA' } }), google],
    ['/google/v1beta1/text:synthesize', mutated({ input: { ssml: '<speak>Hi</speak>' }, voice: { languageCode: 'en' }, audioConfig: { audioEncoding: 'PCM' }, enableTimePointing: ['SSML_MARK'] }), google],
    ['/elevenlabs/v1/text-to-speech/sbxRachel0000000001x/stream/with-timestamps?output_format=pcm_8000', mutated({ text: 'Hi', model_id: 'm', voice_settings: { speed: 1 } }), {}],
    ['/polly/v1/speech', mutated({ Text: 'Hi', TextType: 'text', VoiceId: 'Joanna', OutputFormat: 'pcm', SampleRate: '8000', SpeechMarkTypes: [] }), { authorization: aws }],
    ['/sandbox/speech/script', mutated({ lines: ['Hi'] }), {}],
  ] as [string, fc.Arbitrary<unknown>, Record<string, string>][])('at %s is refused with a 4xx, never a crash', async (path, body, more) => {
    await fc.assert(
      fc.asyncProperty(fc.oneof(body, value), async (content) => {
        const answer = await fetch(sandbox.url + path, { method: 'POST', headers: { ...headers, ...more }, body: JSON.stringify(content) })
        await answer.arrayBuffer()
        expect(answer.status).toBeLessThan(500)
      }),
      { numRuns: 120 },
    )
  })

  it.each(['/deepgram/v1/listen?encoding=linear16&sample_rate=8000&interim_results=true', '/elevenlabs/v1/text-to-speech/sbxRachel0000000001x/stream-input?output_format=pcm_8000'])('on the socket %s leaves the others alone', async (path) => {
    const message = fc.oneof(fc.string(), fc.uint8Array({ maxLength: 64 }), value.map((json) => JSON.stringify(json)), mutated({ text: 'Hi.', flush: true, type: 'Finalize' }).map((json) => JSON.stringify(json)))
    await fc.assert(
      fc.asyncProperty(fc.array(message, { maxLength: 6 }), async (messages) => {
        const socket = new WebSocket(sandbox.url.replace('http', 'ws') + path, { headers: { authorization: 'Token k', 'xi-api-key': 'k' } })
        const closed = once(socket, 'close')
        await once(socket, 'open')
        for (const one of messages) socket.send(one)
        socket.close()
        await closed
        expect((await fetch(`${sandbox.url}/health`)).status).toBe(200)
      }),
      { numRuns: 60 },
    )
  })
})
