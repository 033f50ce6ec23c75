import { getCACertificates, setDefaultCACertificates } from 'node:tls'
import { OpenAIRealtimeWebSocket, RealtimeAgent, RealtimeSession, tool } from '@openai/agents-realtime'
import OpenAI from 'openai'
import { OpenAIRealtimeWS as BetaRealtimeWS } from 'openai/beta/realtime/ws'
import { OpenAIRealtimeWebSocket as BrowserRealtime } from 'openai/realtime/websocket'
import { OpenAIRealtimeWS } from 'openai/realtime/ws'
import type { RealtimeServerEvent } from 'openai/resources/realtime/realtime'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { z } from 'zod'
import { startHost, type Host } from '../../testing/realtime/host.ts'

/** The unmodified official clients, over real sockets, against the session machine. */
type ServerEventOf<Type> = Extract<RealtimeServerEvent, { type: Type }>

const speech = (ms: number): string => Buffer.alloc(ms * 48, 7).toString('base64')
const silence = (ms: number): string => Buffer.alloc(ms * 48).toString('base64')

/** Everything that came, and a way to wait for what is to come. */
function journal<Event extends { type: string }>(listen: (take: (event: Event) => void) => void) {
  const events: Event[] = []
  const waiting: { type: string; resolve: (event: Event) => void }[] = []
  listen((event) => {
    events.push(event)
    for (const wait of waiting.filter((other) => other.type === event.type)) {
      waiting.splice(waiting.indexOf(wait), 1)
      wait.resolve(event)
    }
  })
  const next = (type: string, from = 0): Promise<Event> => {
    const known = events.slice(from).find((event) => event.type === type)
    return known ? Promise.resolve(known) : new Promise((resolve) => waiting.push({ type, resolve }))
  }
  return { events, next, types: () => events.map((event) => event.type) }
}

describe('the openai package', () => {
  let host: Host
  beforeAll(async () => {
    host = await startHost()
    setDefaultCACertificates([...getCACertificates(), host.cert])
  })
  afterAll(() => host.close())

  const client = () => new OpenAI({ apiKey: 'tl_test_key', baseURL: host.url.replace('wss:', 'https:') })

  async function connect(props: { model: string } | { intent: 'transcription' } = { model: 'agent' }) {
    const socket = new OpenAIRealtimeWS({ ...props, options: { ca: host.cert } }, client())
    const errors: string[] = []
    socket.on('error', (error) => errors.push(error.error?.code ?? error.message))
    const log = journal<RealtimeServerEvent>((take) => socket.on('event', take))
    await log.next('session.created')
    return { socket, log, errors }
  }

  it('writes and is answered in writing', async () => {
    const { socket, log, errors } = await connect()
    socket.send({ type: 'session.update', session: { type: 'realtime', output_modalities: ['text'], instructions: 'Be brief.' } })
    socket.send({ type: 'conversation.item.create', item: { type: 'message', role: 'user', content: [{ type: 'input_text', text: 'good day' }] } })
    socket.send({ type: 'response.create' })
    const done = (await log.next('response.done')) as ServerEventOf<'response.done'>
    expect(done.response).toMatchObject({
      status: 'completed',
      output: [{ content: [{ type: 'output_text', text: 'You said: good day' }] }],
      usage: { total_tokens: 12 },
    })
    expect(log.types().filter((type) => type !== 'response.output_text.delta')).toEqual([
      'session.created',
      'conversation.created',
      'session.updated',
      'conversation.item.added',
      'conversation.item.done',
      'response.created',
      'response.output_item.added',
      'conversation.item.added',
      'response.content_part.added',
      'response.output_text.done',
      'response.content_part.done',
      'conversation.item.done',
      'response.output_item.done',
      'response.done',
    ])
    expect(errors).toEqual([])
    socket.close()
  })

  it('speaks, is heard, and is answered in speech', async () => {
    const { socket, log } = await connect()
    socket.send({ type: 'session.update', session: { type: 'realtime', audio: { input: { transcription: { model: 'whisper-1' } } } } })
    for (const audio of [silence(400), speech(600), silence(600)]) socket.send({ type: 'input_audio_buffer.append', audio })
    const started = (await log.next('input_audio_buffer.speech_started')) as ServerEventOf<'input_audio_buffer.speech_started'>
    expect(started.audio_start_ms).toBe(100)
    const heard = (await log.next(
      'conversation.item.input_audio_transcription.completed',
    )) as ServerEventOf<'conversation.item.input_audio_transcription.completed'>
    expect(heard).toMatchObject({ item_id: started.item_id, transcript: 'what I said', usage: { type: 'duration', seconds: 1 } })
    const done = (await log.next('response.done')) as ServerEventOf<'response.done'>
    expect(done.response.output?.[0]).toMatchObject({ type: 'message', content: [{ type: 'output_audio', transcript: 'You said: ' }] })
    const sound = log.events.flatMap((event) => (event.type === 'response.output_audio.delta' ? [Buffer.from(event.delta, 'base64').length] : []))
    expect(sound.reduce((sum, bytes) => sum + bytes, 0)).toBe(2 * 100 * 48)
    socket.close()
  })

  it('interrupts, truncates what it has not played, and is told when it wants too much', async () => {
    const { socket, log, errors } = await connect()
    socket.send({ type: 'conversation.item.create', item: { type: 'message', role: 'user', content: [{ type: 'input_text', text: 'please count' }] } })
    socket.send({ type: 'response.create' })
    const delta = (await log.next('response.output_audio.delta')) as ServerEventOf<'response.output_audio.delta'>
    socket.send({ type: 'input_audio_buffer.append', audio: speech(400) })
    const done = (await log.next('response.done')) as ServerEventOf<'response.done'>
    expect(done.response).toMatchObject({
      status: 'cancelled',
      status_details: { reason: 'turn_detected' },
      output: [{ id: delta.item_id, status: 'incomplete' }],
    })
    const count = log.events.length
    expect(log.events.slice(0, count).filter((event) => event.type === 'response.output_audio.delta').length).toBeLessThan(320)
    socket.send({ type: 'conversation.item.truncate', item_id: delta.item_id, content_index: 0, audio_end_ms: 50 })
    await log.next('conversation.item.truncated')
    socket.send({ type: 'conversation.item.truncate', event_id: 'evt_far', item_id: delta.item_id, content_index: 0, audio_end_ms: 60_000 })
    const error = (await log.next('error')) as ServerEventOf<'error'>
    expect(error.error).toMatchObject({ type: 'invalid_request_error', code: 'invalid_value', event_id: 'evt_far' })
    expect(errors).toEqual(['invalid_value'])
    socket.close()
  })

  it('has its tool called, and its result read', async () => {
    const { socket, log } = await connect()
    socket.send({
      type: 'session.update',
      session: {
        type: 'realtime',
        output_modalities: ['text'],
        tools: [{ type: 'function', name: 'weather', parameters: { type: 'object', properties: { city: { type: 'string' } } } }],
      },
    })
    socket.send({ type: 'conversation.item.create', item: { type: 'message', role: 'user', content: [{ type: 'input_text', text: 'weather?' }] } })
    socket.send({ type: 'response.create' })
    const call = (await log.next('response.function_call_arguments.done')) as ServerEventOf<'response.function_call_arguments.done'>
    expect(call).toMatchObject({ name: 'weather', arguments: '{"city":"Oslo"}' })
    await log.next('response.done')
    const before = log.events.length
    socket.send({ type: 'conversation.item.create', item: { type: 'function_call_output', call_id: call.call_id, output: 'rain' } })
    socket.send({ type: 'response.create' })
    expect(await log.next('response.done', before)).toMatchObject({ response: { output: [{ content: [{ text: 'The tool says: rain' }] }] } })
    socket.close()
  })

  it('transcribes', async () => {
    const { socket, log } = await connect({ intent: 'transcription' })
    for (const audio of [silence(400), speech(600), silence(600)]) socket.send({ type: 'input_audio_buffer.append', audio })
    expect(await log.next('conversation.item.input_audio_transcription.completed')).toMatchObject({ transcript: 'what I said' })
    expect(log.types()).not.toContain('response.created')
    socket.close()
  })

  it('comes from a browser with its key in a subprotocol', async () => {
    const socket = new BrowserRealtime({ model: 'agent', dangerouslyAllowBrowser: true }, client())
    const log = journal<RealtimeServerEvent>((take) => socket.on('event', take))
    expect(await log.next('session.created')).toMatchObject({ session: { type: 'realtime', model: 'agent' } })
    expect(socket.socket.protocol).toBe('realtime')
    socket.close()
  })

  it('is served in the words of before GA when it asks for them', async () => {
    const socket = new BetaRealtimeWS({ model: 'agent', options: { ca: host.cert, headers: { 'OpenAI-Beta': 'realtime=v1' } } }, client())
    const log = journal<{ type: string }>((take) => socket.on('event', take))
    expect(await log.next('session.created')).toMatchObject({ session: { modalities: ['text', 'audio'], input_audio_format: 'pcm16' } })
    socket.send({ type: 'session.update', session: { modalities: ['text'] } })
    socket.send({ type: 'conversation.item.create', item: { type: 'message', role: 'user', content: [{ type: 'input_text', text: 'good day' }] } })
    socket.send({ type: 'response.create' })
    expect(await log.next('response.done')).toMatchObject({
      response: { modalities: ['text'], output: [{ content: [{ type: 'text', text: 'You said: good day' }] }] },
    })
    expect(log.types()).toContain('response.text.delta')
    socket.close()
  })
})

describe('the agents SDK', () => {
  let host: Host
  beforeAll(async () => {
    host = await startHost({ tls: false })
  })
  afterAll(() => host.close())

  const weather = tool({
    name: 'weather',
    description: 'Tells the weather.',
    parameters: z.object({ city: z.string() }),
    execute: ({ city }) => `rain in ${city}`,
  })

  async function connect() {
    const agent = new RealtimeAgent({ name: 'Ada', instructions: 'Be brief.', tools: [weather] })
    const session = new RealtimeSession(agent, {
      transport: new OpenAIRealtimeWebSocket({ url: `${host.url}/realtime?model=agent` }),
      model: 'agent',
      tracingDisabled: true,
    })
    const errors: unknown[] = []
    session.on('error', (error) => errors.push(error))
    const log = journal<{ type: string }>((take) => session.transport.on('*', take))
    await session.connect({ apiKey: 'tl_test_key' })
    await log.next('session.updated')
    return { session, log, errors }
  }

  it('has its configuration understood', async () => {
    const { session, log, errors } = await connect()
    expect(log.events.findLast((event) => event.type === 'session.updated')).toMatchObject({
      session: {
        model: 'agent',
        instructions: 'Be brief.',
        tools: [{ name: 'weather' }],
        audio: { input: { turn_detection: { type: 'semantic_vad' }, transcription: { model: 'gpt-4o-mini-transcribe' } } },
      },
    })
    expect(errors).toEqual([])
    session.close()
  })

  it('writes, hears the answer, and keeps the same history as we do', async () => {
    const { session, log, errors } = await connect()
    const sound = journal<{ type: string; data: ArrayBuffer }>((take) => session.on('audio', take))
    session.sendMessage('good day')
    await log.next('response.done')
    expect(sound.events.reduce((sum, chunk) => sum + chunk.data.byteLength, 0)).toBe(4 * 100 * 48)
    expect(session.history).toMatchObject([
      { type: 'message', role: 'user', content: [{ type: 'input_text', text: 'good day' }] },
      { type: 'message', role: 'assistant', status: 'completed', content: [{ type: 'output_audio', transcript: 'You said: good day' }] },
    ])
    expect(errors).toEqual([])
    session.close()
  })

  it('runs its tool and has the result spoken', async () => {
    const { session, log, errors } = await connect()
    session.sendMessage('weather?')
    await log.next('response.done')
    expect(await log.next('response.done', log.events.length)).toMatchObject({
      response: { output: [{ content: [{ transcript: 'The tool says: rain in Oslo' }] }] },
    })
    expect(errors).toEqual([])
    session.close()
  })

  it('is interrupted by a voice: silence here, and the rest truncated there', async () => {
    const { session, log, errors } = await connect()
    const interrupted = journal<{ type: string }>((take) => session.on('audio_interrupted', () => take({ type: 'audio_interrupted' })))
    session.sendMessage('please count')
    await log.next('response.output_audio.delta')
    session.sendAudio(Uint8Array.from(Buffer.alloc(400 * 48, 7)).buffer)
    await interrupted.next('audio_interrupted')
    expect(await log.next('response.done')).toMatchObject({ response: { status: 'cancelled', status_details: { reason: 'turn_detected' } } })
    const truncated = await log.next('conversation.item.truncated')
    const retrieved = await log.next('conversation.item.retrieved')
    expect(retrieved).toMatchObject({
      item: { id: (truncated as unknown as { item_id: string }).item_id, content: [{ type: 'output_audio', transcript: null }] },
    })
    expect(errors).toEqual([])
    session.close()
  })

  it('speaks, and its words come back into its history', async () => {
    const { session, log, errors } = await connect()
    session.sendAudio(Uint8Array.from([...Buffer.alloc(300 * 48), ...Buffer.alloc(500 * 48, 7), ...Buffer.alloc(700 * 48)]).buffer)
    await log.next('conversation.item.retrieved')
    await log.next('response.done')
    expect(session.history[0]).toMatchObject({ type: 'message', role: 'user', content: [{ type: 'input_audio', transcript: 'what I said' }] })
    expect(errors).toEqual([])
    session.close()
  })
})
