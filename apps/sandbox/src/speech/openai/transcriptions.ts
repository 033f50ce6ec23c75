import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { strikeAfter } from '../../faults/effects.ts'
import type { Fault } from '../../faults/fault.ts'
import type { OpenAiRefusal } from '../../models/openai/errors.ts'
import { invalidRequest, keyOf, refuseOpenAi, sendOpenAiRefusal } from '../../models/openai/errors.ts'
import { newOpenAiId } from '../../models/openai/ids.ts'
import { modelRefusal } from '../../models/openai/models.ts'
import { wait } from '../../models/pace.ts'
import { plain } from '../../plain.ts'
import type { World } from '../../world.ts'
import { formOf } from '../form.ts'
import { hearAll, textOf } from '../hearing.ts'
import type { HeardWord } from '../hearing.ts'
import { replyOutlet } from '../outlet.ts'
import { readWav } from '../sound.ts'
import { admit, keyIn } from '../target.ts'

/** Which answers a model gives: whisper-1 has times but no stream, its successors the reverse (OpenAI's API reference, createTranscription). */
const WHISPER = /^whisper/
const STT_MODELS = /^(?:whisper-1|gpt-4o(?:-mini)?-transcribe)(?:-\d{4}-\d{2}-\d{2})?$/
const FORMATS = new Set(['json', 'text', 'verbose_json'])

type Place = { target: string; prefix: string; anyModel: boolean }
type Plan = { model: string; format: string; stream: boolean; logprobs: boolean; granularities: string[]; language: string | null; words: HeardWord[]; durationMs: number }

/** `POST /v1/audio/transcriptions`: json, text, verbose_json with times of words, and the stream of text deltas. */
export function openaiTranscriptionRoutes(app: FastifyInstance, world: World, place: Place): void {
  app.post(`${place.prefix}/audio/transcriptions`, async (request, reply) => {
    void reply.header('x-request-id', newOpenAiId('req'))
    const form = await formOf(request)
    const model = plain(form?.get('model')).slice(0, 128)
    const admitted = await admit(world, { target: place.target, kind: model }, reply, refuseOpenAi)
    if (!admitted) return
    const plan = await planOf(world, place, request, form)
    if ('status' in plan) {
      world.journal.add({ target: place.target, kind: model, key: keyIn(request), outcome: 'refused', status: plan.status })
      return sendOpenAiRefusal(reply, plan)
    }
    const { fault } = admitted
    const text = fault?.action.text ?? textOf(plan.words)
    world.journal.add({ target: place.target, kind: model, key: keyIn(request), text: text.slice(0, 500), fault: fault?.id, outcome: 'accepted', status: 200, body: { language: plan.language, audio_ms: plan.durationMs, format: plan.format, stream: plan.stream, prompt: plain(form?.get('prompt')) } })
    await wait(world.speech.pace.finalMs)
    if (strikeAfter(fault, reply)) return
    if (plan.stream) return stream(plan, text, reply, fault)
    return whole(plan, text, reply)
  })
}

async function planOf(world: World, { target, anyModel }: Place, request: FastifyRequest, form: FormData | null): Promise<Plan | OpenAiRefusal> {
  const auth = keyOf(request)
  if ('refusal' in auth) return auth.refusal
  if (!form) return invalidRequest('Could not parse multipart form', null)
  const model = plain(form.get('model'))
  const refusal = modelRefusal(model, true) ?? (anyModel || STT_MODELS.test(model) ? null : invalidRequest(`The model \`${model.slice(0, 128)}\` does not exist or you do not have access to it.`, null, 'model_not_found', 404))
  if (refusal) return refusal
  const format = plain(form.get('response_format')) || 'json'
  if (!FORMATS.has(format)) return invalidRequest(`Invalid value: '${format.slice(0, 64)}'. The sandbox answers 'json', 'text' and 'verbose_json'.`, 'response_format', 'invalid_value')
  const timed = anyModel || WHISPER.test(model)
  if (format === 'verbose_json' && !timed) return invalidRequest(`response_format 'verbose_json' is not compatible with model '${model}'. Use 'json' or 'text' instead.`, 'response_format', 'unsupported_value')
  const granularities = form.getAll('timestamp_granularities[]').map(plain)
  if (granularities.length > 0 && format !== 'verbose_json') return invalidRequest("The `timestamp_granularities` parameter is only supported when `response_format` is 'verbose_json'.", 'timestamp_granularities', 'invalid_value')
  const heard = await hearFile(world, target, form)
  if ('status' in heard) return heard
  return { model, format, granularities, ...heard, stream: plain(form.get('stream')) === 'true' && !WHISPER.test(model), logprobs: form.getAll('include[]').map(plain).includes('logprobs'), language: plain(form.get('language')) || null }
}

async function hearFile(world: World, target: string, form: FormData): Promise<{ words: HeardWord[]; durationMs: number } | OpenAiRefusal> {
  const file = form.get('file')
  if (!(file instanceof File)) return invalidRequest("Missing required parameter: 'file'.", 'file', 'missing_required_parameter')
  const sound = readWav(Buffer.from(await file.arrayBuffer()))
  if (!sound) return invalidRequest('Audio file might be corrupted or unsupported', 'file', 'invalid_value')
  const durationMs = (sound.pcm.length / sound.sampleRateHz) * 1_000
  if (durationMs < 100) return invalidRequest('Audio file is too short. Minimum audio length is 0.1 seconds.', 'file', 'audio_too_short')
  return { durationMs, words: hearAll(sound.pcm, sound.sampleRateHz, world.speech.script, target) }
}

/** One token per word is near enough; its probability is how well the word was heard. */
const logprobsOf = (words: readonly HeardWord[]) => words.map(({ text, confidence }, index) => ({ token: index === 0 ? text : ` ${text}`, logprob: Math.log(Math.max(confidence, 1e-6)), bytes: [...Buffer.from(index === 0 ? text : ` ${text}`)] }))

function usageOf(plan: Plan, text: string) {
  if (WHISPER.test(plan.model)) return { type: 'duration', seconds: Math.ceil(plan.durationMs / 1_000) }
  const [audio, output] = [Math.ceil(plan.durationMs / 100), Math.ceil(text.length / 4)]
  return { type: 'tokens', total_tokens: audio + output, input_tokens: audio, input_token_details: { text_tokens: 0, audio_tokens: audio }, output_tokens: output }
}

function whole(plan: Plan, text: string, reply: FastifyReply): FastifyReply {
  if (plan.format === 'text') return reply.type('text/plain; charset=utf-8').send(`${text}\n`)
  if (plan.format === 'json') return reply.send({ text, ...(plan.logprobs ? { logprobs: logprobsOf(plan.words) } : {}), usage: usageOf(plan, text) })
  const seconds = (ms: number) => Math.round(ms) / 1_000
  const words = plan.words.map((word) => ({ word: word.text.replaceAll(/[.,!?]+$/g, ''), start: seconds(word.startMs), end: seconds(word.endMs) }))
  const segment = { id: 0, seek: 0, start: 0, end: seconds(plan.durationMs), text: ` ${text}`, tokens: [], temperature: 0, avg_logprob: meanLogprob(plan.words), compression_ratio: 1, no_speech_prob: plan.words.length === 0 ? 0.9 : 0.01 }
  const wanted = plan.granularities.length === 0 ? ['segment'] : plan.granularities
  return reply.send({
    task: 'transcribe', language: plan.language ?? 'english', duration: seconds(plan.durationMs), text,
    ...(wanted.includes('word') ? { words } : {}), ...(wanted.includes('segment') ? { segments: plan.words.length === 0 ? [] : [segment] } : {}), usage: usageOf(plan, text),
  })
}

const meanLogprob = (words: readonly HeardWord[]): number => logprobsOf(words).reduce((sum, { logprob }) => sum + logprob, 0) / Math.max(1, words.length)

function stream(plan: Plan, text: string, reply: FastifyReply, fault: Fault | undefined): void {
  const outlet = replyOutlet(reply, fault, { 'content-type': 'text/event-stream; charset=utf-8', 'cache-control': 'no-cache' })
  const emit = (event: { type: string } & Record<string, unknown>) => outlet.send(`data: ${JSON.stringify(event)}\n\n`)
  const logprobs = logprobsOf(plan.words)
  for (const [index, word] of text.split(' ').entries()) if (word !== '') emit({ type: 'transcript.text.delta', delta: index === 0 ? word : ` ${word}`, ...(plan.logprobs && logprobs[index] ? { logprobs: [logprobs[index]] } : {}) })
  emit({ type: 'transcript.text.done', text, ...(plan.logprobs ? { logprobs } : {}), usage: usageOf(plan, text) })
  outlet.end()
}
