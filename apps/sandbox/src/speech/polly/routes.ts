import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { randomUUID } from 'node:crypto'
import { strikeAfter } from '../../faults/effects.ts'
import { plain } from '../../plain.ts'
import type { World } from '../../world.ts'
import { replyOutlet } from '../outlet.ts'
import { sendPaced } from '../paced.ts'
import { toLinear16 } from '../sound.ts'
import { fromSsml } from '../ssml.ts'
import { admit, keyIn } from '../target.ts'
import { speak } from '../voice.ts'
import type { Speech } from '../voice.ts'
import { refusal, refuseByFault, sendRefusal } from './errors.ts'
import type { PollyRefusal } from './errors.ts'
import { signatureRefusal } from './signature.ts'

const MAX_CHARACTERS = 3_000
const VOICES = [
  { Id: 'Joanna', Name: 'Joanna', Gender: 'Female', LanguageCode: 'en-US', LanguageName: 'US English', SupportedEngines: ['neural', 'standard', 'generative'] },
  { Id: 'Matthew', Name: 'Matthew', Gender: 'Male', LanguageCode: 'en-US', LanguageName: 'US English', SupportedEngines: ['neural', 'standard', 'generative'] },
  { Id: 'Vicki', Name: 'Vicki', Gender: 'Female', LanguageCode: 'de-DE', LanguageName: 'German', SupportedEngines: ['neural', 'standard'] },
]

type Plan = { text: string; rate: number; json: boolean; marks: string[] }

/** `POST /v1/speech` (SynthesizeSpeech) and `GET /v1/voices` (DescribeVoices) of Amazon Polly. */
export function pollyRoutes(app: FastifyInstance, world: World): void {
  app.post('/polly/v1/speech', async (request, reply) => {
    const body = (request.body ?? {}) as Record<string, unknown>
    void reply.header('x-amzn-requestid', randomUUID())
    const note = { target: 'polly.speech', kind: `${plain(body.Engine) || 'standard'}/${plain(body.OutputFormat)}`, text: plain(body.Text).slice(0, 500), number: plain(body.VoiceId).slice(0, 64), key: keyIn(request), body }
    const admitted = await admit(world, note, reply, refuseByFault)
    if (!admitted) return
    const plan = signatureRefusal(request) ?? planOf(body)
    world.journal.add({ ...note, fault: admitted.fault?.id, outcome: 'status' in plan ? 'refused' : 'accepted', status: 'status' in plan ? plan.status : 200 })
    if ('status' in plan) return sendRefusal(reply, plan)
    if (strikeAfter(admitted.fault, reply)) return
    await answer(world, plan, reply, admitted.fault)
  })
  app.get('/polly/v1/voices', (request, reply) => describe(world, request, reply))
}

async function describe(world: World, request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply | void> {
  const admitted = await admit(world, { target: 'polly.voices' }, reply, refuseByFault)
  if (!admitted) return
  const unsigned = signatureRefusal(request)
  world.journal.add({ target: 'polly.voices', key: keyIn(request), outcome: unsigned ? 'refused' : 'accepted', status: unsigned?.status ?? 200 })
  if (unsigned) return sendRefusal(reply, unsigned)
  const { LanguageCode: language, Engine: engine } = request.query as Record<string, string | undefined>
  return reply.send({ Voices: VOICES.filter((voice) => (!language || voice.LanguageCode === language) && (!engine || voice.SupportedEngines.includes(engine))), NextToken: null })
}

function planOf(body: Record<string, unknown>): Plan | PollyRefusal {
  const { Text: given, TextType: type = 'text', VoiceId: voice, OutputFormat: output, SampleRate: rate, SpeechMarkTypes: marks = [] } = body
  if (typeof given !== 'string' || given.trim() === '') return refusal('ValidationException', "1 validation error detected: Value null at 'text' failed to satisfy constraint: Member must not be null")
  if (!VOICES.some(({ Id }) => Id === voice)) return refusal('ValidationException', `1 validation error detected: Value '${plain(voice).slice(0, 32)}' at 'voiceId' failed to satisfy constraint`)
  const text = type === 'ssml' ? fromSsml(given)?.text : given
  if (text === undefined) return refusal('InvalidSsmlException', 'Invalid SSML request')
  if (text.length > MAX_CHARACTERS) return refusal('TextLengthExceededException', 'Maximum text length has been exceeded')
  const json = output === 'json'
  if (json !== (Array.isArray(marks) && marks.length > 0)) return refusal('MarksNotSupportedForFormatException', 'Speech marks are only supported with the json output format')
  if (json) return { text, rate: 16_000, json, marks: (marks as unknown[]).map(plain) }
  if (output !== 'pcm') return refusal('ValidationException', 'The sandbox speaks pcm and json.')
  if (rate !== undefined && rate !== '8000' && rate !== '16000') return refusal('InvalidSampleRateException', 'The specified sample rate is not valid. Valid values for pcm are 8000 and 16000.')
  return { text, rate: Number(rate ?? 16_000), json, marks: [] }
}

async function answer(world: World, { text, rate, json, marks }: Plan, reply: FastifyReply, fault: Parameters<typeof replyOutlet>[1]): Promise<void> {
  const speech = speak(text, { sampleRateHz: rate })
  void reply.header('x-amzn-requestcharacters', String(text.length))
  const outlet = replyOutlet(reply, fault, { 'content-type': json ? 'application/x-json-stream' : 'audio/pcm' })
  if (json) for (const line of marksOf(speech, marks)) outlet.send(`${line}\n`)
  else await sendPaced(speech, rate, world.speech.pace, outlet, ({ pcm }) => outlet.send(toLinear16(pcm)))
  outlet.end()
}

/** `start` and `end` are offsets in BYTES of the UTF-8 text (Polly developer guide, "speech mark output"), words come without punctuation. */
function* marksOf(speech: Speech, types: readonly string[]): Generator<string> {
  const bytes = (charAt: number) => Buffer.byteLength(speech.text.slice(0, charAt))
  if (types.includes('sentence') && speech.words.length > 0) yield JSON.stringify({ time: 0, type: 'sentence', start: 0, end: bytes(speech.text.length), value: speech.text })
  if (!types.includes('word')) return
  for (const { text, charStart, startMs } of speech.words) {
    const bare = /[\p{L}\p{N}](?:.*[\p{L}\p{N}])?/u.exec(text)
    if (!bare) continue
    const start = charStart + bare.index
    yield JSON.stringify({ time: Math.round(startMs), type: 'word', start: bytes(start), end: bytes(start + bare[0].length), value: bare[0] })
  }
}
