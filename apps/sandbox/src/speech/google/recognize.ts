import type { FastifyInstance, FastifyRequest } from 'fastify'
import { strikeAfter } from '../../faults/effects.ts'
import { newOpenAiId } from '../../models/openai/ids.ts'
import { wait } from '../../models/pace.ts'
import { plain } from '../../plain.ts'
import type { World } from '../../world.ts'
import { confidenceOf, hearAll, textOf } from '../hearing.ts'
import type { HeardWord } from '../hearing.ts'
import { fromAlaw, fromLinear16, fromMulaw, readWav } from '../sound.ts'
import type { Sound } from '../sound.ts'
import { admit, keyIn } from '../target.ts'
import { invalidArgument, keyRefusal, refuseByFault, sendRefusal } from './errors.ts'
import type { GoogleRefusal } from './errors.ts'

const TARGET = 'google.recognize'
/** Longer sound wants LongRunningRecognize (cloud.google.com/speech-to-text/quotas). */
const MAX_MS = 60_000
const READERS: Record<string, (bytes: Uint8Array) => Int16Array> = { LINEAR16: fromLinear16, MULAW: fromMulaw, ALAW: fromAlaw }

type Config = Record<string, unknown>
type Plan = { config: Config; sound: Sound; language: string }

/** `POST /v1/speech:recognize` of speech.googleapis.com. */
export function googleRecognizeRoutes(app: FastifyInstance, world: World): void {
  app.post('/google/v1/speech::recognize', async (request, reply) => {
    const admitted = await admit(world, { target: TARGET }, reply, refuseByFault)
    if (!admitted) return
    const plan = planOf(request)
    if ('status' in plan) {
      world.journal.add({ target: TARGET, key: keyIn(request), outcome: 'refused', status: plan.status })
      return sendRefusal(reply, plan)
    }
    const words = hearAll(plan.sound.pcm, plan.sound.sampleRateHz, world.speech.script, TARGET)
    world.journal.add({ target: TARGET, key: keyIn(request), kind: plain(plan.config.model) || 'default', text: textOf(words).slice(0, 500), fault: admitted.fault?.id, outcome: 'accepted', status: 200, body: plan.config })
    await wait(world.speech.pace.finalMs)
    if (!strikeAfter(admitted.fault, reply)) return reply.send(answerOf(plan, words))
  })
}

function planOf(request: FastifyRequest): Plan | GoogleRefusal {
  const refusal = keyRefusal(request)
  if (refusal) return refusal
  const { config, audio } = (request.body ?? {}) as { config?: Config; audio?: { content?: unknown } }
  if (typeof config !== 'object' || config === null) return invalidArgument('Invalid recognition \'config\': bad encoding..')
  if (typeof config.languageCode !== 'string' || config.languageCode === '') return invalidArgument('Invalid recognition \'config\': language code is required.')
  if (typeof audio?.content !== 'string' || audio.content === '') return invalidArgument('RecognitionAudio not set.')
  const sound = soundOf(Buffer.from(audio.content, 'base64'), plain(config.encoding), config.sampleRateHertz)
  if ('status' in sound) return sound
  if ((sound.pcm.length / sound.sampleRateHz) * 1_000 > MAX_MS) return invalidArgument('Inline audio exceeds duration limit. Please use a GCS URI.')
  return { config, sound, language: config.languageCode }
}

function soundOf(bytes: Buffer, encoding: string, rate: unknown): Sound | GoogleRefusal {
  const wav = readWav(bytes)
  if (wav && typeof rate === 'number' && rate !== wav.sampleRateHz) return invalidArgument(`sample_rate_hertz (${rate}) in RecognitionConfig must either be unspecified or match the value in the WAV header (${wav.sampleRateHz}).`)
  if (wav) return wav
  const read = READERS[encoding]
  if (!read) return invalidArgument('Invalid recognition \'config\': bad encoding..')
  if (typeof rate !== 'number' || rate < 8_000 || rate > 48_000) return invalidArgument('Invalid recognition \'config\': bad sample rate hertz.')
  return { pcm: read(bytes), sampleRateHz: rate }
}

const seconds = (ms: number): string => `${(Math.round(ms / 10) / 100).toFixed(3)}s`

/** Without words there are no results at all. The bill counts whole seconds. */
function answerOf({ config, sound, language }: Plan, words: readonly HeardWord[]) {
  const durationMs = (sound.pcm.length / sound.sampleRateHz) * 1_000
  const billed = { totalBilledTime: `${Math.ceil(durationMs / 1_000)}s`, requestId: newOpenAiId('req').replaceAll(/\D/g, '').slice(0, 19) }
  if (words.length === 0) return billed
  const timed = words.map((word) => ({ startTime: seconds(word.startMs), endTime: seconds(word.endMs), word: word.text, ...(config.enableWordConfidence === true ? { confidence: word.confidence } : {}) }))
  const alternative = { transcript: textOf(words), confidence: confidenceOf(words), ...(config.enableWordTimeOffsets === true ? { words: timed } : {}) }
  return { results: [{ alternatives: [alternative], resultEndTime: seconds(durationMs), languageCode: language.toLowerCase() }], ...billed }
}
