import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { RawData, WebSocket } from 'ws'
import type { Fault } from '../../faults/fault.ts'
import { plain } from '../../plain.ts'
import type { World } from '../../world.ts'
import { socketOutlet } from '../outlet.ts'
import { sendPaced } from '../paced.ts'
import type { SpeechPiece } from '../paced.ts'
import { admit } from '../target.ts'
import { speak } from '../voice.ts'
import type { Speech } from '../voice.ts'
import { keyRefusal, known, refuseByFault, sendRefusal } from './errors.ts'
import { formatOf } from './format.ts'
import type { ElevenFormat } from './format.ts'
import { speedOf } from './routes.ts'
import { isVoice } from './voices.ts'

const TARGET = 'elevenlabs.socket'
/** `inactivity_timeout` in seconds, at most 180 (elevenlabs.io/docs/api-reference, stream-input). */
const DEFAULT_IDLE_S = 20
/** Text is held back until so many characters are there; the schedule moves on with each generation. */
const SCHEDULE = [120, 160, 250, 290]

type Query = { model_id?: string; output_format?: string; inactivity_timeout?: string; auto_mode?: string }
type Call = { Params: { voice: string }; Querystring: Query }
type Ticket = { format: ElevenFormat; fault: Fault | undefined }

/** `wss /elevenlabs/v1/text-to-speech/{voice}/stream-input`. */
export function elevenlabsSocket(app: FastifyInstance, world: World): void {
  const tickets = new WeakMap<object, Ticket>()
  app.get<Call>('/elevenlabs/v1/text-to-speech/:voice/stream-input', {
    websocket: true,
    preValidation: async (request, reply) => {
      const ticket = await open(world, request, reply)
      if (ticket) tickets.set(request, ticket)
      return ticket ? undefined : reply
    },
  }, (socket, request) => void new Session(world, socket, request, tickets.get(request)!))
}

async function open(world: World, request: FastifyRequest<Call>, reply: FastifyReply): Promise<Ticket | null> {
  const note = { target: TARGET, kind: request.query.model_id, number: request.params.voice.slice(0, 64), body: request.query }
  const admitted = await admit(world, note, reply, refuseByFault)
  if (!admitted) return null
  const format = formatOf(request.query.output_format)
  const problem = 'error' in format ? known(403, 'output_format_not_allowed', format.error) : isVoice(request.params.voice) ? null : known(404, 'voice_not_found', 'This voice was not found.')
  world.journal.add({ ...note, fault: admitted.fault?.id, outcome: problem ? 'refused' : 'accepted', status: problem?.status ?? 101 })
  if (problem) sendRefusal(reply, problem)
  return problem || 'error' in format ? null : { format, fault: admitted.fault }
}

type Message = { text?: unknown; flush?: unknown; try_trigger_generation?: unknown; xi_api_key?: unknown; voice_settings?: unknown; generation_config?: { chunk_length_schedule?: unknown } }

/** The first message opens (text " ", key, settings), the following bring text, an empty text ends. */
class Session {
  readonly #world: World
  readonly #socket: WebSocket
  readonly #request: FastifyRequest<Call>
  readonly #ticket: Ticket
  readonly #outlet: ReturnType<typeof socketOutlet>
  readonly #idle: NodeJS.Timeout
  #opened = false
  #speed = 1
  #schedule = SCHEDULE
  #generations = 0
  #text = ''
  #saying: Promise<void> = Promise.resolve()

  constructor(world: World, socket: WebSocket, request: FastifyRequest<Call>, ticket: Ticket) {
    this.#world = world
    this.#socket = socket
    this.#request = request
    this.#ticket = ticket
    this.#outlet = socketOutlet(socket, ticket.fault)
    const idleS = Math.min(180, Number(request.query.inactivity_timeout ?? DEFAULT_IDLE_S) || DEFAULT_IDLE_S)
    this.#idle = setTimeout(() => this.#refuse('input_timeout_exceeded', `Have not received a new text input within the timeout of ${idleS} seconds.`), idleS * 1_000)
    socket.on('message', (data: RawData) => this.#receive((data as Buffer).toString('utf8')))
    socket.once('close', () => clearTimeout(this.#idle))
  }

  #receive(raw: string): void {
    this.#idle.refresh()
    const message = parse(raw)
    if (!message || typeof message.text !== 'string') return this.#refuse('invalid_message', 'Received a message that is not JSON with a text.')
    if (!this.#opened) return this.#open(message)
    if (message.text === '') return this.#finish()
    this.#text += message.text
    const due = this.#text.length >= (this.#schedule[Math.min(this.#generations, this.#schedule.length - 1)] ?? 0)
    const hasSentence = this.#request.query.auto_mode === 'true' || message.try_trigger_generation === true
    if (message.flush === true || due || (hasSentence && /[.!?]\s*$/.test(this.#text))) this.#generate()
  }

  #open(message: Message): void {
    const refusal = keyRefusal(this.#request.headers['xi-api-key'] ?? (plain(message.xi_api_key) || undefined))
    if (refusal) return this.#refuse('invalid_api_key', 'Invalid API key')
    const speed = speedOf(message.voice_settings)
    if (typeof speed !== 'number') return this.#refuse('invalid_voice_settings', 'Invalid setting for speed received.')
    const schedule = message.generation_config?.chunk_length_schedule
    if (Array.isArray(schedule) && schedule.length > 0) this.#schedule = schedule.map(Number)
    this.#opened = true
    this.#speed = speed
    this.#text = plain(message.text).trimStart()
  }

  #generate(): void {
    const text = this.#text
    if (text.trim() === '') return
    this.#text = ''
    this.#generations++
    this.#world.journal.add({ target: 'elevenlabs.generation', outcome: 'accepted', status: 200, number: this.#request.params.voice, text: text.slice(0, 500) })
    const { sampleRateHz } = this.#ticket.format
    const speech = speak(text, { sampleRateHz, speed: this.#speed })
    this.#saying = this.#saying.then(() => sendPaced(speech, sampleRateHz, this.#world.speech.pace, this.#outlet, (piece) => this.#say(piece, speech)))
  }

  /** Times of a piece count from the beginning of that piece, not of the whole (docs: "corresponds to the returned chunk"). */
  #say({ pcm, startMs, charFrom, charTo }: SpeechPiece, speech: Speech): void {
    const indices = Array.from({ length: charTo - charFrom }, (_, index) => charFrom + index)
    const alignment = indices.length === 0 ? null : {
      chars: indices.map((index) => speech.text[index]!),
      charStartTimesMs: indices.map((index) => Math.max(0, Math.round(speech.charStartMs[index]! - startMs))),
      charDurationsMs: indices.map((index) => Math.round(speech.charEndMs[index]! - speech.charStartMs[index]!)),
    }
    this.#outlet.send(JSON.stringify({ audio: this.#ticket.format.encode(pcm).toString('base64'), isFinal: null, normalizedAlignment: alignment, alignment }))
  }

  #finish(): void {
    this.#generate()
    clearTimeout(this.#idle)
    this.#saying = this.#saying.then(() => {
      this.#outlet.send(JSON.stringify({ audio: null, isFinal: true, normalizedAlignment: null, alignment: null }))
      if (!this.#outlet.silent) this.#socket.close(1000)
    })
  }

  #refuse(error: string, message: string): void {
    this.#outlet.send(JSON.stringify({ message, error, code: 1008 }))
    this.#socket.close(1008, message.slice(0, 120))
  }
}

function parse(raw: string): Message | null {
  try {
    const value: unknown = JSON.parse(raw)
    return typeof value === 'object' && value !== null ? value : null
  } catch {
    return null
  }
}
