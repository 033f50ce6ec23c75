import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { OpenAiRefusal } from '../../models/openai/errors.ts'
import { invalidRequest, keyOf, refuseOpenAi, sendOpenAiRefusal } from '../../models/openai/errors.ts'
import { newOpenAiId } from '../../models/openai/ids.ts'
import { modelRefusal } from '../../models/openai/models.ts'
import { countTokens } from '../../models/tokens.ts'
import { plain } from '../../plain.ts'
import type { World } from '../../world.ts'
import { strikeAfter } from '../../faults/effects.ts'
import { replyOutlet } from '../outlet.ts'
import { sendPaced } from '../paced.ts'
import { toLinear16, wavHeader } from '../sound.ts'
import { admit, keyIn } from '../target.ts'
import { speak } from '../voice.ts'

/** OpenAI's voices sound at 24 kHz: developers.openai.com/api/docs/guides/text-to-speech. */
const RATE = 24_000
const MAX_CHARACTERS = 4_096
const VOICES = new Set(['alloy', 'ash', 'ballad', 'coral', 'echo', 'fable', 'onyx', 'nova', 'sage', 'shimmer', 'verse', 'marin', 'cedar'])
const TTS_MODELS = /^(?:tts-1(?:-hd)?|gpt-4o-mini-tts)(?:-\d{4}-\d{2}-\d{2})?$/
const FORMATS = new Set(['mp3', 'opus', 'aac', 'flac', 'wav', 'pcm'])

type Plan = { model: string; input: string; format: 'wav' | 'pcm'; speed: number; sse: boolean }

/** `POST /v1/audio/speech`: wav and pcm; `stream_format: sse` too. `anyModel` is for compatible servers under another prefix. */
export function openaiSpeechRoutes(app: FastifyInstance, world: World, { target, prefix, anyModel }: { target: string; prefix: string; anyModel: boolean }): void {
  app.post(`${prefix}/audio/speech`, async (request, reply) => {
    void reply.header('x-request-id', newOpenAiId('req'))
    const body = (request.body ?? {}) as Record<string, unknown>
    const note = { target, kind: plain(body.model).slice(0, 128), text: plain(body.input).slice(0, 500), number: plain(body.voice).slice(0, 64), key: keyIn(request), body }
    const admitted = await admit(world, note, reply, refuseOpenAi)
    if (!admitted) return
    const plan = planOf(request, body, anyModel)
    if ('status' in plan) {
      world.journal.add({ ...note, outcome: 'refused', status: plan.status })
      return sendOpenAiRefusal(reply, plan)
    }
    world.journal.add({ ...note, fault: admitted.fault?.id, outcome: 'accepted', status: 200 })
    if (strikeAfter(admitted.fault, reply)) return
    await answer(world, plan, reply, admitted.fault)
  })
}

function planOf(request: FastifyRequest, body: Record<string, unknown>, anyModel: boolean): Plan | OpenAiRefusal {
  const auth = keyOf(request)
  if ('refusal' in auth) return auth.refusal
  const refusal = anyModel || TTS_MODELS.test(plain(body.model)) ? modelRefusal(body.model, true) : (modelRefusal(body.model, false) ?? invalidRequest('The requested model does not support speech.', 'model', 'model_not_found', 404))
  if (refusal) return refusal
  const { input, voice, response_format: format = 'mp3', speed = 1, stream_format: stream = 'audio' } = body
  if (typeof input !== 'string' || input.trim() === '') return invalidRequest("Missing required parameter: 'input'.", 'input', 'missing_required_parameter')
  if (input.length > MAX_CHARACTERS) return invalidRequest(`[{'type': 'string_too_long', 'loc': ('body', 'input'), 'msg': 'String should have at most ${MAX_CHARACTERS} characters'}]`, 'input', 'string_above_max_length')
  if (!anyModel && !VOICES.has(plain(voice))) return invalidRequest(`Invalid value: '${plain(voice).slice(0, 64)}'. Supported values are: ${[...VOICES].map((name) => `'${name}'`).join(', ')}.`, 'voice', 'invalid_value')
  if (typeof speed !== 'number' || speed < 0.25 || speed > 4) return invalidRequest('Invalid speed: expected a number from 0.25 to 4.0.', 'speed', 'invalid_value')
  if (!FORMATS.has(plain(format))) return invalidRequest(`Invalid value: '${plain(format).slice(0, 64)}'. Supported values are: 'mp3', 'opus', 'aac', 'flac', 'wav', and 'pcm'.`, 'response_format', 'invalid_value')
  if (format !== 'wav' && format !== 'pcm') return invalidRequest('The sandbox speaks wav and pcm only.', 'response_format', 'sandbox_unsupported')
  return { model: plain(body.model), input, format, speed, sse: stream === 'sse' }
}

async function answer(world: World, plan: Plan, reply: FastifyReply, fault: Parameters<typeof replyOutlet>[1]): Promise<void> {
  const speech = speak(plan.input, { sampleRateHz: RATE, speed: plan.speed })
  const outlet = replyOutlet(reply, fault, { 'content-type': plan.sse ? 'text/event-stream; charset=utf-8' : plan.format === 'wav' ? 'audio/wav' : 'audio/pcm' })
  const write = (bytes: Buffer) => outlet.send(plan.sse ? `data: ${JSON.stringify({ type: 'speech.audio.delta', audio: bytes.toString('base64') })}\n\n` : bytes)
  let header = plan.format === 'wav' ? wavHeader(RATE, null) : Buffer.alloc(0)
  await sendPaced(speech, RATE, world.speech.pace, outlet, ({ pcm }) => {
    write(Buffer.concat([header, toLinear16(pcm)]))
    header = Buffer.alloc(0)
  })
  const [input, output] = [countTokens(plan.input), Math.ceil(speech.durationMs / 50)]
  if (plan.sse) outlet.send(`data: ${JSON.stringify({ type: 'speech.audio.done', usage: { input_tokens: input, output_tokens: output, total_tokens: input + output } })}\n\n`)
  outlet.end()
}
