import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { strikeAfter } from '../../faults/effects.ts'
import type { Fault } from '../../faults/fault.ts'
import { newOpenAiId } from '../../models/openai/ids.ts'
import { plain } from '../../plain.ts'
import type { World } from '../../world.ts'
import { replyOutlet } from '../outlet.ts'
import { sendPaced } from '../paced.ts'
import type { SpeechPiece } from '../paced.ts'
import { admit, keyIn } from '../target.ts'
import { speak } from '../voice.ts'
import type { Speech } from '../voice.ts'
import { badInput, keyRefusal, known, refuseByFault, sendRefusal } from './errors.ts'
import type { ElevenRefusal } from './errors.ts'
import { formatOf } from './format.ts'
import type { ElevenFormat } from './format.ts'
import { VOICES, isVoice, voiceJson } from './voices.ts'

type Call = { Params: { voice: string }; Querystring: { output_format?: string } }
type Plan = { text: string; speed: number; format: ElevenFormat }
type Write = (piece: SpeechPiece, speech: Speech, format: ElevenFormat) => string | Buffer

const MAX_CHARACTERS = 40_000

/** Text to speech whole, streamed, and streamed with the times of characters; the list of voices. */
export function elevenlabsRoutes(app: FastifyInstance, world: World): void {
  const say = (target: string, write: Write, contentType?: string) => (request: FastifyRequest<Call>, reply: FastifyReply) => speakTo(world, target, write, contentType, request, reply)
  const bytes: Write = ({ pcm }, _speech, format) => format.encode(pcm)
  app.post<Call>('/elevenlabs/v1/text-to-speech/:voice', say('elevenlabs.convert', bytes))
  app.post<Call>('/elevenlabs/v1/text-to-speech/:voice/stream', say('elevenlabs.stream', bytes))
  app.post<Call>('/elevenlabs/v1/text-to-speech/:voice/stream/with-timestamps', say('elevenlabs.stream', withTimes, 'application/json'))
  app.get('/elevenlabs/v1/voices', async (request, reply) => {
    const admitted = await admit(world, { target: 'elevenlabs.voices' }, reply, refuseByFault)
    if (!admitted) return
    const refusal = keyRefusal(request.headers['xi-api-key'])
    world.journal.add({ target: 'elevenlabs.voices', key: keyIn(request), outcome: refusal ? 'refused' : 'accepted', status: refusal?.status ?? 200 })
    return refusal ? sendRefusal(reply, refusal) : reply.send({ voices: VOICES.map(voiceJson) })
  })
}

async function speakTo(world: World, target: string, write: Write, contentType: string | undefined, request: FastifyRequest<Call>, reply: FastifyReply): Promise<FastifyReply | void> {
  const body = (request.body ?? {}) as Record<string, unknown>
  const note = { target, kind: plain(body.model_id).slice(0, 128), text: plain(body.text).slice(0, 500), number: request.params.voice.slice(0, 64), key: keyIn(request), body }
  const id = newOpenAiId('req')
  void reply.header('request-id', id)
  const admitted = await admit(world, note, reply, refuseByFault)
  if (!admitted) return
  const plan = planOf(request, body)
  if ('status' in plan) {
    world.journal.add({ ...note, outcome: 'refused', status: plan.status })
    return sendRefusal(reply, plan)
  }
  world.journal.add({ ...note, id, fault: admitted.fault?.id, outcome: 'accepted', status: 200 })
  if (strikeAfter(admitted.fault, reply)) return
  await send(world, plan, write, contentType, reply, admitted.fault)
}

function planOf({ headers, params, query }: FastifyRequest<Call>, body: Record<string, unknown>): Plan | ElevenRefusal {
  const refusal = keyRefusal(headers['xi-api-key'])
  if (refusal) return refusal
  if (!isVoice(params.voice)) return known(404, 'voice_not_found', `A voice with the voice_id ${params.voice.slice(0, 64)} was not found.`)
  if (typeof body.text !== 'string' || body.text.trim() === '') return badInput('text', 'Field required', 'missing')
  if (body.text.length > MAX_CHARACTERS) return known(400, 'max_character_limit_exceeded', `This request exceeds the limit of ${MAX_CHARACTERS} characters.`)
  const format = formatOf(query.output_format)
  if ('error' in format) return known(403, 'output_format_not_allowed', format.error)
  const speed = speedOf(body.voice_settings)
  return typeof speed === 'number' ? { text: body.text, speed, format } : speed
}

/** `voice_settings.speed`, 0.7 to 1.2 there. */
export function speedOf(settings: unknown): number | ElevenRefusal {
  const speed = (settings as { speed?: unknown } | null | undefined)?.speed ?? 1
  return typeof speed === 'number' && speed >= 0.7 && speed <= 1.2 ? speed : known(400, 'invalid_voice_settings', 'Invalid setting for speed received, expected to be greater or equal to 0.7 and less or equal to 1.2.')
}

async function send(world: World, { text, speed, format }: Plan, write: Write, contentType: string | undefined, reply: FastifyReply, fault: Fault | undefined): Promise<void> {
  const speech = speak(text, { sampleRateHz: format.sampleRateHz, speed })
  void reply.header('character-cost', String(text.length))
  const outlet = replyOutlet(reply, fault, { 'content-type': contentType ?? format.contentType })
  await sendPaced(speech, format.sampleRateHz, world.speech.pace, outlet, (piece) => outlet.send(write(piece, speech, format)))
  outlet.end()
}

/** One JSON object per piece, one after another. Times count from the beginning of the whole. */
const withTimes: Write = ({ pcm, charFrom, charTo }, speech, format) => {
  const seconds = (times: readonly number[]) => times.slice(charFrom, charTo).map((ms) => Math.round(ms) / 1_000)
  const alignment = charFrom === charTo ? null : { characters: [...textBetween(speech, charFrom, charTo)], character_start_times_seconds: seconds(speech.charStartMs), character_end_times_seconds: seconds(speech.charEndMs) }
  return `${JSON.stringify({ audio_base64: format.encode(pcm).toString('base64'), alignment, normalized_alignment: alignment })}\n`
}

/** UTF-16 units one by one, so that the three lists are equally long. */
function* textBetween({ text }: Speech, from: number, to: number): Generator<string> {
  for (let index = from; index < to; index++) yield text[index]!
}
