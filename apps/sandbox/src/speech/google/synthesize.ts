import type { FastifyInstance, FastifyRequest } from 'fastify'
import { strikeAfter } from '../../faults/effects.ts'
import { wait } from '../../models/pace.ts'
import { plain } from '../../plain.ts'
import type { World } from '../../world.ts'
import { toAlaw, toLinear16, toMulaw, wavHeader } from '../sound.ts'
import { fromSsml } from '../ssml.ts'
import type { Marked } from '../ssml.ts'
import { admit, keyIn } from '../target.ts'
import { speak } from '../voice.ts'
import type { Speech } from '../voice.ts'
import { invalidArgument, keyRefusal, refuseByFault, sendRefusal } from './errors.ts'
import type { GoogleRefusal } from './errors.ts'

const MAX_BYTES = 5_000
const NATURAL_RATE = 24_000
const VOICES = [
  { languageCodes: ['en-US'], name: 'en-US-Neural2-C', ssmlGender: 'FEMALE', naturalSampleRateHertz: NATURAL_RATE },
  { languageCodes: ['en-US'], name: 'en-US-Neural2-D', ssmlGender: 'MALE', naturalSampleRateHertz: NATURAL_RATE },
  { languageCodes: ['en-GB'], name: 'en-GB-Neural2-A', ssmlGender: 'FEMALE', naturalSampleRateHertz: NATURAL_RATE },
  { languageCodes: ['de-DE'], name: 'de-DE-Neural2-G', ssmlGender: 'FEMALE', naturalSampleRateHertz: NATURAL_RATE },
]

type Plan = { marked: Marked; encoding: string; sampleRateHz: number; speed: number; timepoints: boolean }

/** `text:synthesize` and `voices` of texttospeech.googleapis.com; v1beta1 tells the times of SSML marks. */
export function googleSynthesizeRoutes(app: FastifyInstance, world: World): void {
  for (const version of ['v1', 'v1beta1']) {
    app.post(`/google/${version}/text::synthesize`, async (request, reply) => {
      const { input, voice } = (request.body ?? {}) as { input?: Record<string, unknown>; voice?: Record<string, unknown> }
      const note = { target: 'google.synthesize', text: plain(input?.text ?? input?.ssml).slice(0, 500), number: plain(voice?.name).slice(0, 64), kind: version, key: keyIn(request), body: request.body }
      const admitted = await admit(world, note, reply, refuseByFault)
      if (!admitted) return
      const plan = planOf(request, version)
      world.journal.add({ ...note, fault: admitted.fault?.id, outcome: 'status' in plan ? 'refused' : 'accepted', status: 'status' in plan ? plan.status : 200 })
      if ('status' in plan) return sendRefusal(reply, plan)
      await wait(world.speech.pace.firstSoundMs)
      if (!strikeAfter(admitted.fault, reply)) return reply.send(answerOf(plan))
    })
    app.get<{ Querystring: { languageCode?: string } }>(`/google/${version}/voices`, async (request, reply) => {
      const admitted = await admit(world, { target: 'google.voices' }, reply, refuseByFault)
      if (!admitted) return
      const refusal = keyRefusal(request)
      world.journal.add({ target: 'google.voices', outcome: refusal ? 'refused' : 'accepted', status: refusal?.status ?? 200 })
      if (refusal) return sendRefusal(reply, refusal)
      const wanted = request.query.languageCode?.toLowerCase() ?? ''
      return reply.send({ voices: VOICES.filter(({ languageCodes }) => languageCodes.some((code) => code.toLowerCase().startsWith(wanted))) })
    })
  }
}

function planOf(request: FastifyRequest, version: string): Plan | GoogleRefusal {
  const refusal = keyRefusal(request)
  if (refusal) return refusal
  const { input, voice, audioConfig, enableTimePointing } = (request.body ?? {}) as Record<string, Record<string, unknown> | undefined>
  const words = input?.text ?? input?.ssml
  if (typeof words !== 'string' || words === '') return invalidArgument('Either `input.text` or `input.ssml` is longer than the limit of 5000 bytes or empty.')
  if (Buffer.byteLength(words) > MAX_BYTES) return invalidArgument('Either `input.text` or `input.ssml` is longer than the limit of 5000 bytes. This limit is different from quotas. To fix, reduce the byte length of the characters in this request, or consider using the Long Audio API.')
  if (typeof voice?.languageCode !== 'string') return invalidArgument('The voice language code must be specified.')
  const encoding = plain(audioConfig?.audioEncoding)
  if (!['LINEAR16', 'PCM', 'MULAW', 'ALAW'].includes(encoding)) return invalidArgument('Invalid audio encoding. The sandbox speaks LINEAR16, PCM, MULAW and ALAW.')
  const speed = audioConfig?.speakingRate ?? 1
  if (typeof speed !== 'number' || speed < 0.25 || speed > 2) return invalidArgument('Speaking rate must be between 0.25 and 2.0.')
  const rate = audioConfig?.sampleRateHertz ?? (encoding === 'MULAW' || encoding === 'ALAW' ? 8_000 : NATURAL_RATE)
  if (typeof rate !== 'number' || rate < 8_000 || rate > 48_000) return invalidArgument('Invalid sample rate.')
  const marked = typeof input?.ssml === 'string' ? fromSsml(input.ssml) : { text: words, marks: [] }
  if (!marked) return invalidArgument('Invalid SSML. Newer voices like Neural2 require valid SSML.')
  return { marked, encoding, sampleRateHz: rate, speed, timepoints: version === 'v1beta1' && Array.isArray(enableTimePointing) && enableTimePointing.includes('SSML_MARK') }
}

function answerOf({ marked, encoding, sampleRateHz, speed, timepoints }: Plan) {
  const speech = speak(marked.text, { sampleRateHz, speed })
  const points = marked.marks.map(({ name, charAt }) => ({ markName: name, timeSeconds: Math.round(timeOf(speech, charAt)) / 1_000 }))
  return { audioContent: encode(speech.pcm, encoding, sampleRateHz).toString('base64'), ...(timepoints ? { timepoints: points } : {}) }
}

/** The beginning of the next word after the mark; at the end of the text, the end of the sound. */
const timeOf = (speech: Speech, charAt: number): number => speech.words.find(({ charStart }) => charStart >= charAt)?.startMs ?? speech.durationMs

/** LINEAR16 comes with a WAV header, PCM without (AudioEncoding in the REST reference). */
function encode(pcm: Int16Array, encoding: string, rate: number): Buffer {
  if (encoding === 'MULAW') return toMulaw(pcm)
  if (encoding === 'ALAW') return toAlaw(pcm)
  const bytes = toLinear16(pcm)
  return encoding === 'PCM' ? bytes : Buffer.concat([wavHeader(rate, bytes.length), bytes])
}
