import { randomUUID } from 'node:crypto'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { RawData, WebSocket } from 'ws'
import { strikeAfter } from '../../faults/effects.ts'
import type { Fault } from '../../faults/fault.ts'
import { wait } from '../../models/pace.ts'
import { plain } from '../../plain.ts'
import type { World } from '../../world.ts'
import { Hearing, confidenceOf, hearAll, textOf } from '../hearing.ts'
import type { HeardWord } from '../hearing.ts'
import { socketOutlet } from '../outlet.ts'
import { readWav } from '../sound.ts'
import type { Sound } from '../sound.ts'
import { admit, keyIn } from '../target.ts'
import { refuseByFault, refuseDeepgram } from './errors.ts'
import { decoders, readQuery } from './query.ts'
import type { ListenQuery } from './query.ts'
import { ListenSession } from './session.ts'

const TARGET = 'deepgram.listen'
/** Without sound and `KeepAlive` for so long, Deepgram closes with 1011 (docs, "audio keep alive"). */
const IDLE_MS = 10_000

type Ticket = { query: ListenQuery; fault: Fault | undefined; requestId: string }

/** `wss /deepgram/v1/listen`, refusals before the upgrade as HTTP answers; and `POST`, for whole recordings. */
export function deepgramRoutes(app: FastifyInstance, world: World): void {
  app.post('/deepgram/v1/listen', (request, reply) => hearRecording(world, request, reply))
  const tickets = new WeakMap<FastifyRequest, Ticket>()
  app.get('/deepgram/v1/listen', {
    websocket: true,
    preValidation: async (request, reply) => {
      const ticket = await open(world, request, reply)
      if (ticket) tickets.set(request, ticket)
      return ticket ? undefined : reply
    },
  }, (socket, request) => listen(world, socket, tickets.get(request)!))
}

async function open(world: World, request: FastifyRequest, reply: FastifyReply): Promise<Ticket | null> {
  const requestId = randomUUID()
  void reply.header('dg-request-id', requestId)
  const query = readQuery(request.query as Record<string, string>)
  const note = { target: TARGET, kind: 'error' in query ? undefined : query.model, id: requestId, key: keyIn(request), body: request.query }
  const admitted = await admit(world, note, reply, refuseByFault)
  if (!admitted) return null
  const refuse = (status: number, code: string, message: string) => {
    world.journal.add({ ...note, outcome: 'refused', status })
    refuseDeepgram(reply, status, code, message)
    return null
  }
  if (!isAllowed(request)) return refuse(401, 'INVALID_AUTH', 'Invalid credentials.')
  if ('error' in query) return refuse(400, 'Bad Request', query.error)
  world.journal.add({ ...note, fault: admitted.fault?.id, outcome: 'accepted', status: 101 })
  return { query, fault: admitted.fault, requestId }
}

const RECORDING_TARGET = 'deepgram.recording'

async function hearRecording(world: World, request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply | void> {
  const requestId = randomUUID()
  const query = request.query as Record<string, string | undefined>
  const note = { target: RECORDING_TARGET, kind: query.model ?? 'base', id: requestId, key: keyIn(request), body: query }
  void reply.header('dg-request-id', requestId)
  const admitted = await admit(world, note, reply, refuseByFault)
  if (!admitted) return
  const sound = Buffer.isBuffer(request.body) ? readWav(request.body) : null
  const problem = isAllowed(request) ? (sound ? null : ([400, 'Bad Request', 'Bad Request: failed to process audio: corrupt or unsupported data'] as const)) : ([401, 'INVALID_AUTH', 'Invalid credentials.'] as const)
  world.journal.add({ ...note, fault: admitted.fault?.id, outcome: problem ? 'refused' : 'accepted', status: problem?.[0] ?? 200 })
  if (problem) return refuseDeepgram(reply, problem[0], problem[1], problem[2])
  await wait(world.speech.pace.finalMs)
  if (!strikeAfter(admitted.fault, reply)) return reply.send(recordingJson(sound!, requestId, note.kind, hearAll(sound!.pcm, sound!.sampleRateHz, world.speech.script, RECORDING_TARGET)))
}

function recordingJson({ pcm, sampleRateHz }: Sound, requestId: string, model: string, words: readonly HeardWord[]) {
  const wire = words.map(({ text, startMs, endMs, confidence }) => ({ word: text.toLowerCase().replaceAll(/[.,!?;:]+$/g, ''), start: startMs / 1_000, end: endMs / 1_000, confidence, punctuated_word: text }))
  const alternative = { transcript: textOf(words), confidence: confidenceOf(words), words: wire }
  return { metadata: { transaction_key: 'deprecated', request_id: requestId, created: new Date().toISOString(), duration: pcm.length / sampleRateHz, channels: 1, models: [model] }, results: { channels: [{ alternatives: [alternative] }] } }
}

/** `Authorization: Token KEY` (or Bearer), or the sub-protocols `token, KEY` of browsers. */
function isAllowed({ headers }: FastifyRequest): boolean {
  const key = /^(?:token|bearer)\s+(\S+)$/i.exec(headers.authorization ?? '')?.[1] ?? /^token,\s*(\S+)$/i.exec(headers['sec-websocket-protocol'] ?? '')?.[1]
  return key !== undefined && !/invalid/i.test(key)
}

function listen(world: World, socket: WebSocket, { query, fault, requestId }: Ticket): void {
  const outlet = socketOutlet(socket, fault)
  let saying = Promise.resolve()
  /** At once, unless the pace makes finals late; what comes after a late one waits behind it. */
  const say = (json: string, isFinal: boolean) => {
    const { finalMs } = world.speech.pace
    if (finalMs === 0) outlet.send(json)
    else saying = saying.then(() => (isFinal ? wait(finalMs) : undefined)).then(() => outlet.send(json))
  }
  const session = new ListenSession({ requestId, query, hearing: new Hearing(query.sampleRateHz, world.speech.script, TARGET), say })
  const idle = setTimeout(() => socket.close(1011, 'Deepgram did not receive audio data or a text message within the timeout window. See https://dpgr.am/net0001'), IDLE_MS)
  const end = () => {
    session.close()
    void saying.then(() => outlet.silent || socket.close(1000))
  }
  socket.on('message', (data: RawData, isBinary) => {
    idle.refresh()
    const bytes = data as Buffer
    if (!isBinary) {
      const type = typeOf(bytes.toString('utf8'))
      world.journal.add({ target: 'deepgram.control', outcome: 'accepted', status: 0, id: requestId, kind: plain(type).slice(0, 64) })
      return control(type, session, end, socket)
    }
    // An empty frame is the old way to say CloseStream.
    if (bytes.length === 0) return end()
    session.push(decoders[query.encoding](bytes))
  })
  socket.once('close', (code) => {
    clearTimeout(idle)
    world.journal.add({ target: 'deepgram.closed', outcome: 'accepted', status: code, id: requestId, text: session.text.slice(-500) })
  })
}

function control(type: unknown, session: ListenSession, end: () => void, socket: WebSocket): void {
  if (type === 'Finalize') session.finalize()
  else if (type === 'CloseStream') end()
  else if (type !== 'KeepAlive') socket.close(1008, 'The payload cannot be decoded as audio. See https://dpgr.am/data0000')
}

function typeOf(text: string): unknown {
  try {
    return (JSON.parse(text) as { type?: unknown } | null)?.type
  } catch {
    return undefined
  }
}
