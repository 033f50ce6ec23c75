import { once } from 'node:events'
import OpenAI, { toFile } from 'openai'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { WebSocket } from 'ws'
import type { Sandbox } from '../index.ts'
import { startSandbox } from '../index.ts'
import { Ear } from './ear.ts'
import { fromLinear16, fromMulaw, readWav, toLinear16, toMulaw, wavHeader } from './sound.ts'
import { speak } from './voice.ts'

let sandbox: Sandbox
let openai: OpenAI

beforeAll(async () => {
  sandbox = await startSandbox({ speechPace: { firstSoundMs: 0 } })
  openai = new OpenAI({ apiKey: 'k', baseURL: `${sandbox.url}/v1`, maxRetries: 0 })
})
afterEach(() => sandbox.reset())
afterAll(() => sandbox.close())

const SAID = 'Hello there, my number is 42.'
const wav = (text: string, rate = 16_000) => {
  const { pcm } = speak(text, { sampleRateHz: rate })
  return toFile(Buffer.concat([wavHeader(rate, pcm.length * 2), toLinear16(pcm)]), 'a.wav', { type: 'audio/wav' })
}
/** Sound that is no sandbox voice: a buzz with many harmonics. */
const buzz = (ms: number, rate: number) => Int16Array.from({ length: (rate * ms) / 1_000 }, (_, n) => 6_000 * Math.sign(Math.sin((2 * Math.PI * 120 * n) / rate)))
const hear = (pcm: Int16Array, rate: number) => {
  const words: string[] = []
  const ear = new Ear(rate, ({ text }) => words.push(text ?? '?'))
  ear.push(pcm)
  ear.flush()
  return words.join(' ')
}
const post = (path: string, body: unknown, headers: Record<string, string> = {}) => fetch(sandbox.url + path, { method: 'POST', headers: { 'content-type': 'application/json', ...headers }, body: JSON.stringify(body) })

describe('OpenAI\'s sound, through its own SDK', () => {
  it.each([['pcm', (bytes: Buffer) => fromLinear16(bytes)], ['wav', (bytes: Buffer) => readWav(bytes)!.pcm]] as const)('speaks %s that can be understood', async (format, decode) => {
    const answer = await openai.audio.speech.create({ model: 'gpt-4o-mini-tts', voice: 'alloy', input: SAID, response_format: format })
    expect(hear(decode(Buffer.from(await answer.arrayBuffer())), 24_000)).toBe(SAID)
    expect(sandbox.journal.query({ target: 'openai.audio.speech' })).toMatchObject([{ outcome: 'accepted', text: SAID, number: 'alloy' }])
  })

  it('speaks in events too', async () => {
    const answer = await openai.audio.speech.create({ model: 'gpt-4o-mini-tts', voice: 'alloy', input: SAID, response_format: 'pcm', stream_format: 'sse' })
    const events = (await answer.text()).trim().split('\n\n').map((event) => JSON.parse(event.slice('data: '.length)) as { type: string; audio?: string })
    expect(events.at(-1)).toMatchObject({ type: 'speech.audio.done', usage: { total_tokens: expect.any(Number) as number } })
    expect(hear(fromLinear16(Buffer.concat(events.map(({ audio = '' }) => Buffer.from(audio, 'base64')))), 24_000)).toBe(SAID)
  })

  it('hears: json, text, and times of words', async () => {
    expect(await openai.audio.transcriptions.create({ model: 'gpt-4o-transcribe', file: await wav(SAID), include: ['logprobs'] })).toMatchObject({ text: SAID, logprobs: { length: 6 }, usage: { type: 'tokens' } })
    expect(await openai.audio.transcriptions.create({ model: 'whisper-1', file: await wav(SAID), response_format: 'text' })).toBe(`${SAID}\n`)
    const verbose = await openai.audio.transcriptions.create({ model: 'whisper-1', file: await wav(SAID), response_format: 'verbose_json', timestamp_granularities: ['word'] })
    expect(verbose.words!.map(({ word }) => word)).toEqual(['Hello', 'there', 'my', 'number', 'is', '42'])
    expect(verbose.words![0]).toMatchObject({ start: 0 })
  })

  it('streams text', async () => {
    const events = []
    for await (const event of await openai.audio.transcriptions.create({ model: 'gpt-4o-transcribe', file: await wav(SAID), stream: true })) events.push(event)
    expect(events.map((event) => ('delta' in event ? event.delta : '')).join('')).toBe(SAID)
    expect(events.at(-1)).toMatchObject({ type: 'transcript.text.done', text: SAID })
  })

  it('refuses as OpenAI refuses', async () => {
    const file = await wav(SAID)
    await expect(openai.audio.transcriptions.create({ model: 'gpt-4o-transcribe', file, response_format: 'verbose_json' })).rejects.toMatchObject({ status: 400, code: 'unsupported_value' })
    await expect(openai.audio.transcriptions.create({ model: 'gpt-4', file })).rejects.toMatchObject({ status: 404, code: 'model_not_found' })
    await expect(openai.audio.transcriptions.create({ model: 'whisper-1', file: await toFile(Buffer.from('x'), 'a.wav') })).rejects.toMatchObject({ status: 400, param: 'file' })
    await expect(openai.audio.speech.create({ model: 'tts-1', voice: 'alloy', input: 'x'.repeat(4_097) })).rejects.toMatchObject({ status: 400 })
    await expect(new OpenAI({ apiKey: 'invalid', baseURL: `${sandbox.url}/v1`, maxRetries: 0 }).audio.speech.create({ model: 'tts-1', voice: 'alloy', input: 'x' })).rejects.toMatchObject({ status: 401 })
  })

  it('a foreign voice is answered by the script, else with doubt', async () => {
    const pcm = buzz(1_500, 16_000)
    const file = await toFile(Buffer.concat([wavHeader(16_000, pcm.length * 2), toLinear16(pcm)]), 'a.wav')
    sandbox.speech.script('I would like a table for two')
    expect((await openai.audio.transcriptions.create({ model: 'gpt-4o-transcribe', file })).text).toBe('I would like a table for two')
    const doubtful = await openai.audio.transcriptions.create({ model: 'gpt-4o-transcribe', file, include: ['logprobs'] })
    expect(Math.exp(doubtful.logprobs![0]!.logprob!)).toBeLessThan(0.6)
  })

  it('is cut in mid-stream by a fault', async () => {
    sandbox.faults.add({ target: 'openai.audio.speech', action: { cutStreamAfterEvents: 1 } })
    const answer = await openai.audio.speech.create({ model: 'tts-1', voice: 'alloy', input: SAID, response_format: 'pcm' })
    await expect(answer.arrayBuffer()).rejects.toThrow(/terminated|abort/)
  })
})

type Message = { type: string; is_final?: boolean; from_finalize?: boolean; speech_final?: boolean; channel: { alternatives: { transcript: string; words: { start: number }[] }[] } }
async function listen(query: string, run: (socket: WebSocket) => void | Promise<void>): Promise<Message[]> {
  const socket = new WebSocket(`${sandbox.url.replace('http', 'ws')}/deepgram/v1/listen?${query}`, { headers: { authorization: 'Token k' } })
  const messages: Message[] = []
  socket.on('message', (data: Buffer) => messages.push(JSON.parse(data.toString()) as Message))
  const closed = once(socket, 'close')
  await once(socket, 'open')
  await run(socket)
  await closed
  return messages
}
const frames = (socket: WebSocket, bytes: Buffer, size: number) => {
  for (let at = 0; at < bytes.length; at += size) socket.send(bytes.subarray(at, at + size))
}
const finals = (messages: Message[]) => messages.filter(({ is_final }) => is_final).map(({ channel }) => channel.alternatives[0]!.transcript).filter((text) => text !== '')

describe('Deepgram\'s socket', () => {
  it('hears mu-law in frames of 20 ms: interim words, finals, speech started, end of the utterance, summary', async () => {
    const { pcm } = speak(`${SAID} `, { sampleRateHz: 8_000 })
    const sound = toMulaw(Int16Array.from([...pcm, ...new Int16Array(12_000)]))
    const messages = await listen('model=nova-3&encoding=mulaw&sample_rate=8000&interim_results=true&endpointing=300&utterance_end_ms=1000&vad_events=true&punctuate=true', (socket) => {
      frames(socket, sound, 160)
      socket.send('{"type":"CloseStream"}')
    })
    expect(finals(messages)).toEqual([SAID])
    expect(messages.map(({ type }) => type).filter((type, index, all) => type !== all[index - 1])).toEqual(['SpeechStarted', 'Results', 'UtteranceEnd', 'Results', 'Metadata'])
    expect(messages.filter(({ is_final }) => is_final === false).map(({ channel }) => channel.alternatives[0]!.transcript)).toEqual(['Hello', 'Hello there,', 'Hello there, my', 'Hello there, my number', 'Hello there, my number is', SAID])
  })

  it('finalizes on request', async () => {
    const { pcm } = speak('yes', { sampleRateHz: 16_000 })
    const messages = await listen('encoding=linear16&sample_rate=16000&endpointing=false', (socket) => {
      socket.send(toLinear16(pcm))
      socket.send('{"type":"KeepAlive"}')
      socket.send('{"type":"Finalize"}')
      socket.once('message', () => socket.send('{"type":"CloseStream"}'))
    })
    expect(messages[0]).toMatchObject({ is_final: true, from_finalize: true, channel: { alternatives: [{ transcript: 'yes' }] } })
  })

  it.each([
    ['', {}, 401],
    ['encoding=linear16&sample_rate=16000', { authorization: 'Token invalid' }, 401],
    ['encoding=flac&sample_rate=16000', { authorization: 'Token k' }, 400],
    ['encoding=linear16', { authorization: 'Token k' }, 400],
  ])('refuses %j with %j before the upgrade', async (query, headers, status) => {
    const socket = new WebSocket(`${sandbox.url.replace('http', 'ws')}/deepgram/v1/listen?${query}`, { headers })
    const [, response] = (await once(socket, 'unexpected-response')) as [unknown, { statusCode: number; headers: Record<string, string> }]
    expect(response).toMatchObject({ statusCode: status, headers: { 'dg-error': expect.any(String) as string } })
  })

  it('stalls, is cut and talks nonsense when a fault says so', async () => {
    const query = 'encoding=linear16&sample_rate=8000&interim_results=true&endpointing=false'
    const sound = toLinear16(speak('one two three four', { sampleRateHz: 8_000 }).pcm)
    sandbox.faults.add({ target: 'deepgram.listen', times: 1, action: { cutStreamAfterEvents: 2 } })
    expect(await listen(query, (socket) => frames(socket, sound, 320))).toHaveLength(2)
    sandbox.faults.add({ target: 'deepgram.listen', times: 1, action: { stallStreamAfterEvents: 1 } })
    expect(await listen(query, async (socket) => {
      frames(socket, sound, 320)
      await once(socket, 'message')
      socket.ping()
      await once(socket, 'pong')
      socket.terminate()
    })).toHaveLength(1)
    sandbox.faults.add({ target: 'deepgram.listen', times: 1, action: { hang: true } })
    await expect(once(new WebSocket(`${sandbox.url.replace('http', 'ws')}/deepgram/v1/listen?${query}`, { handshakeTimeout: 50, headers: { authorization: 'Token k' } }), 'open')).rejects.toThrow('timed out')
  })
})

describe('ElevenLabs', () => {
  const VOICE = 'sbxRachel0000000001x'
  const key = { 'xi-api-key': 'k' }

  it('streams sound with the times of characters', async () => {
    const answer = await post(`/elevenlabs/v1/text-to-speech/${VOICE}/stream/with-timestamps?output_format=pcm_16000`, { text: SAID, model_id: 'eleven_flash_v2_5' }, key)
    const pieces = (await answer.text()).trim().split('\n').map((line) => JSON.parse(line) as { audio_base64: string; alignment: { characters: string[]; character_start_times_seconds: number[] } | null })
    expect(hear(fromLinear16(Buffer.concat(pieces.map(({ audio_base64 }) => Buffer.from(audio_base64, 'base64')))), 16_000)).toBe(SAID)
    expect(pieces.flatMap(({ alignment }) => alignment?.characters ?? []).join('')).toBe(SAID)
    const times = pieces.flatMap(({ alignment }) => alignment?.character_start_times_seconds ?? [])
    expect(times).toEqual(times.toSorted((a, b) => a - b))
  })

  it('takes text in pieces over its socket', async () => {
    const socket = new WebSocket(`${sandbox.url.replace('http', 'ws')}/elevenlabs/v1/text-to-speech/${VOICE}/stream-input?model_id=eleven_flash_v2_5&output_format=ulaw_8000`, { headers: key })
    const messages: { audio: string | null; isFinal: boolean | null; alignment: { chars: string[] } | null }[] = []
    socket.on('message', (data: Buffer) => messages.push(JSON.parse(data.toString()) as (typeof messages)[number]))
    await once(socket, 'open')
    for (const text of [' ', 'Hello there, ', 'my number ', 'is 42.', '']) socket.send(JSON.stringify({ text, ...(text === 'my number ' ? { flush: true } : {}) }))
    expect(await once(socket, 'close')).toMatchObject([1000, expect.anything()])
    expect(messages.at(-1)).toMatchObject({ isFinal: true, audio: null })
    expect(hear(fromMulaw(Buffer.concat(messages.map(({ audio }) => Buffer.from(audio ?? '', 'base64')))), 8_000)).toBe(SAID)
    expect(messages.flatMap(({ alignment }) => alignment?.chars ?? []).join('')).toBe(SAID)
    expect(sandbox.journal.query({ target: 'elevenlabs.generation' }).map(({ text }) => text)).toEqual(['Hello there, my number ', 'is 42.'])
  })

  it('lists its voices, and refuses in its own words', async () => {
    expect(await (await fetch(`${sandbox.url}/elevenlabs/v1/voices`, { headers: key })).json()).toMatchObject({ voices: [{ voice_id: VOICE, labels: { gender: 'female' } }, {}, {}] })
    const path = `/elevenlabs/v1/text-to-speech/${VOICE}/stream?output_format=pcm_8000`
    for (const [body, headers, status, detail] of [
      [{ text: 'x' }, {}, 401, { status: 'needs_authorization' }],
      [{ text: '' }, key, 422, [{ loc: ['body', 'text'] }]],
      [{ text: 'x', voice_settings: { speed: 3 } }, key, 400, { status: 'invalid_voice_settings' }],
    ] as const) {
      const answer = await post(path, body, headers)
      expect([answer.status, await answer.json()]).toMatchObject([status, { detail }])
    }
  })
})

describe('Google', () => {
  it('speaks and hears in one JSON each', async () => {
    const spoken = (await (await post('/google/v1beta1/text:synthesize?key=k', { input: { ssml: '<speak><mark name="0"/>Hello <mark name="1"/>there &amp; you</speak>' }, voice: { languageCode: 'en-US' }, audioConfig: { audioEncoding: 'LINEAR16', sampleRateHertz: 8_000 }, enableTimePointing: ['SSML_MARK'] })).json()) as { audioContent: string; timepoints: { markName: string; timeSeconds: number }[] }
    expect(spoken.timepoints).toEqual([{ markName: '0', timeSeconds: 0 }, { markName: '1', timeSeconds: expect.closeTo(0.41, 1) as number }])
    const heard = await post('/google/v1/speech:recognize?key=k', { config: { encoding: 'LINEAR16', languageCode: 'en-US', enableWordTimeOffsets: true }, audio: { content: spoken.audioContent } })
    expect(await heard.json()).toMatchObject({ results: [{ alternatives: [{ transcript: 'Hello there & you', words: [{ startTime: '0.000s', word: 'Hello' }, {}, {}, {}] }] }], totalBilledTime: '2s' })
  })

  it('refuses in its own words', async () => {
    expect(await (await post('/google/v1/speech:recognize', {})).json()).toMatchObject({ error: { code: 403, status: 'PERMISSION_DENIED' } })
    expect(await (await post('/google/v1/speech:recognize?key=k', { config: { encoding: 'LINEAR16' } })).json()).toMatchObject({ error: { code: 400, status: 'INVALID_ARGUMENT' } })
    expect((await fetch(`${sandbox.url}/google/v1/voices?key=k&languageCode=de`)).status).toBe(200)
  })
})

describe('Polly', () => {
  const authorization = `AWS4-HMAC-SHA256 Credential=AKIAOTHER/20261121/eu-central-1/polly/aws4_request, SignedHeaders=host;x-amz-date, Signature=${'0'.repeat(64)}`

  it('speaks pcm, and tells words by their place in bytes', async () => {
    const text = 'Grüße, Ada!'
    const sound = await post('/polly/v1/speech', { Text: text, VoiceId: 'Vicki', OutputFormat: 'pcm', SampleRate: '8000', Engine: 'neural' }, { authorization })
    expect(sound.headers.get('x-amzn-requestcharacters')).toBe('11')
    expect(hear(fromLinear16(Buffer.from(await sound.arrayBuffer())), 8_000)).toBe(text)
    const marks = (await (await post('/polly/v1/speech', { Text: text, VoiceId: 'Vicki', OutputFormat: 'json', SpeechMarkTypes: ['word'] }, { authorization })).text()).trim().split('\n').map((line) => JSON.parse(line) as Record<string, unknown>)
    expect(marks).toMatchObject([{ time: 0, start: 0, end: 7, value: 'Grüße' }, { start: 9, end: 12, value: 'Ada' }])
  })

  it('refuses what is not signed or not possible', async () => {
    const refused = async (body: unknown, headers: Record<string, string>) => {
      const answer = await post('/polly/v1/speech', body, headers)
      return [answer.status, answer.headers.get('x-amzn-errortype')]
    }
    expect(await refused({}, {})).toEqual([403, 'MissingAuthenticationTokenException'])
    expect(await refused({ Text: 'x', VoiceId: 'Vicki', OutputFormat: 'pcm', SampleRate: '44100' }, { authorization })).toEqual([400, 'InvalidSampleRateException'])
    expect(await refused({ Text: 'x', VoiceId: 'Vicki', OutputFormat: 'pcm', SpeechMarkTypes: ['word'] }, { authorization })).toEqual([400, 'MarksNotSupportedForFormatException'])
    expect(await refused({ Text: 'x' }, { authorization: authorization.replace('AKIAOTHER', 'AKIASANDBOX000000000') })).toEqual([403, 'InvalidSignatureException'])
  })
})

describe('the control of speech', () => {
  it('takes lines and a pace over HTTP, and says where a mistake is', async () => {
    expect(await (await post('/sandbox/speech/script', { lines: ['yes', { text: 'no', confidence: 0.4, target: 'google.*' }] })).json()).toEqual({ lines: 2 })
    const answer = await post('/sandbox/speech/script', { lines: [{ txt: 'no' }] })
    expect([answer.status, await answer.json()]).toMatchObject([400, { error: { param: expect.stringContaining('lines') as string } }])
    const pace = await fetch(`${sandbox.url}/sandbox/speech/pace`, { method: 'PUT', headers: { 'content-type': 'application/json' }, body: '{"chunk_ms":50}' })
    expect(await pace.json()).toMatchObject({ chunk_ms: 50, per_chunk_ms: 0 })
  })
})
