import { createServer, type Server } from 'node:https'
import type { AddressInfo } from 'node:net'
import { WebSocketServer, type WebSocket } from 'ws'
import {
  createRealtimeSession,
  parseConnection,
  realtimeCodec,
  realtimeDefaults,
  receiveParsed,
  restore,
  serialise,
  step,
  transcriptionDefaults,
  type Effect,
  type Happening,
  type RealtimeCodec,
  type ResponseRequest,
  type ServerEvent,
  type SessionState,
  type Step,
} from '../../src/realtime/index.ts'
import { localCertificate } from './certificate.ts'
import { checkEvent } from './driver.ts'

/**
 * A voice app in small: real sockets, the real session machine, and a model that answers by rote. It hears a voice where
 * the samples are not zero. Between any two inputs the state goes through its stored form, as if another process took over.
 */
export type Host = { url: string; port: number; cert: string; sent: ServerEvent[]; close(): Promise<void> }

const CHUNK_MS = 100

export async function startHost({ tls = true }: { tls?: boolean } = {}): Promise<Host> {
  const { key, cert } = localCertificate()
  const sent: ServerEvent[] = []
  const server: Server | null = tls ? createServer({ key, cert }) : null
  const sockets = new WebSocketServer({
    ...(server ? { server } : { host: '127.0.0.1', port: 0 }),
    handleProtocols: (_, { headers, url = '' }) => {
      const result = parseConnection(url, headers)
      return result.ok && result.connection.subprotocolToEcho ? result.connection.subprotocolToEcho : false
    },
  })
  sockets.on('connection', (socket, { url = '', headers }) => {
    const result = parseConnection(url, headers)
    if (!result.ok) return socket.close(4_000, result.error.code)
    const { target, beta } = result.connection
    const config = target.mode === 'realtime' ? realtimeDefaults({ model: target.model, voice: 'alloy' }) : transcriptionDefaults('whisper-1')
    live(
      socket,
      realtimeCodec(beta),
      createRealtimeSession({ config, expiresAtS: Math.floor(Date.now() / 1_000) + 3_600, transcriptionModel: 'whisper-1', playout: 'client' }),
      sent,
    )
  })
  if (server) await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  else await new Promise((resolve) => sockets.once('listening', resolve))
  const { port } = (server ?? sockets).address() as AddressInfo
  const close = async (): Promise<void> => {
    for (const socket of sockets.clients) socket.terminate()
    await new Promise((resolve) => sockets.close(resolve))
    if (server) await new Promise((resolve) => server.close(resolve))
  }
  return { url: `${tls ? 'wss' : 'ws'}://127.0.0.1:${port}/v1`, port, cert, sent, close }
}

function live(socket: WebSocket, codec: RealtimeCodec, first: Step, sent: ServerEvent[]): void {
  let stored = ''
  const model = rote((happening) => take(step(restore(stored), happening)))
  const ears = listen((happening) => take(step(restore(stored), happening)))
  const take = ({ state, send, effects }: Step): void => {
    stored = serialise(state)
    for (const event of send) {
      checkEvent(event)
      sent.push(event)
      const text = codec.write(event)
      if (text !== null) socket.send(text)
    }
    for (const effect of effects) act(effect, state)
  }
  const act = (effect: Effect, state: SessionState): void => {
    if (effect.type === 'feed_audio') ears.hear(effect.audio, state)
    if (effect.type === 'clear_buffer') ears.forget()
    if (effect.type === 'transcribe') model.transcribe(effect.itemId, effect.contentIndex)
    if (effect.type === 'start_response') model.answer(effect.request)
    if (effect.type === 'cancel_response') model.cancel(effect.responseId)
    if (effect.type === 'close') socket.close(effect.code, effect.reason)
  }
  socket.on('message', (message: Buffer) => take(receiveParsed(restore(stored), codec.read(message.toString('utf8')))))
  socket.on('close', () => model.cancelAll())
  take(first)
}

/** Voice where a sample is not zero; the end of the turn after as much silence as the session wants. */
function listen(tell: (happening: Happening) => void) {
  let heardMs = 0
  let voiceEndMs: number | null = null
  return {
    forget: () => void (voiceEndMs = null),
    hear(audio: Uint8Array, { config }: SessionState): void {
      const { format, turn_detection: detection } = config.audio.input
      const perMs = format.type === 'audio/pcm' ? 48 : 8
      const startMs = heardMs
      heardMs += audio.length / perMs
      if (!detection) return
      const loud = audio.findIndex((byte) => byte !== 0)
      if (loud !== -1) {
        if (voiceEndMs === null) tell({ type: 'speech_started', atMs: startMs + loud / perMs })
        voiceEndMs = startMs + audio.findLastIndex((byte) => byte !== 0) / perMs
      }
      const silenceMs = detection.type === 'server_vad' ? detection.silence_duration_ms : 500
      if (voiceEndMs === null || heardMs - voiceEndMs < silenceMs) return
      voiceEndMs = null
      tell({ type: 'speech_stopped', atMs: heardMs })
    },
  }
}

/** Answers in steps, one per turn of the event loop, so that a client can speak in between. */
function rote(tell: (happening: Happening) => void) {
  const running = new Map<string, { stop: boolean }>()
  const run = async (request: ResponseRequest, mark: { stop: boolean }): Promise<void> => {
    for (const happening of script(request)) {
      await new Promise((resolve) => setImmediate(resolve))
      if (mark.stop) return
      tell(happening)
    }
    running.delete(request.responseId)
  }
  return {
    answer(request: ResponseRequest): void {
      const mark = { stop: false }
      running.set(request.responseId, mark)
      void run(request, mark)
    },
    cancel: (responseId: string): void => void (running.get(responseId) && (running.get(responseId)!.stop = true)),
    cancelAll: (): void => running.forEach((mark) => void (mark.stop = true)),
    transcribe: (itemId: string, contentIndex: number): void => {
      setImmediate(() => tell({ type: 'transcription_completed', itemId, contentIndex, transcript: 'what I said', measured: { seconds: 1 } }))
    },
  }
}

/** A question about the weather calls the tool, its result is read out, "count" is long, everything else is repeated. */
function script(request: ResponseRequest): Happening[] {
  const { responseId, context, tools, modality } = request
  const last = context.at(-1)
  const said = last?.type === 'message' ? last.parts.map((part) => (part.type === 'text' ? part.text : '')).join('') : ''
  const done: Happening = { type: 'response_finished', responseId, measured: { inputText: 5, outputText: 7 } }
  const tool = tools.find((candidate) => said.includes(candidate.name))
  if (tool) {
    const call = { responseId, callId: 'call_1', name: tool.name }
    return [{ type: 'call_delta', ...call, delta: '{"city":' }, { type: 'call_done', ...call, arguments: '{"city":"Oslo"}' }, done]
  }
  const text =
    last?.type === 'function_call_output'
      ? `The tool says: ${last.output}`
      : said.includes('count')
        ? 'one two three four five six seven eight '.repeat(40)
        : `You said: ${said}`
  const words = text.match(/\S+\s*/g) ?? []
  if (modality === 'text') return [...words.map((delta): Happening => ({ type: 'text_delta', responseId, delta })), done]
  return [
    ...words.flatMap((delta): Happening[] => [
      { type: 'speech_text', responseId, delta },
      { type: 'speech_audio', responseId, audio: new Uint8Array(CHUNK_MS * 48), ms: CHUNK_MS },
    ]),
    done,
  ]
}
