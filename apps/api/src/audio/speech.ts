import { Readable } from 'node:stream'
import { setImmediate as otherWork } from 'node:timers/promises'
import { AppError } from '@trunkline/core'
import { durationMs, openFileWriter, WRITABLE, type FileWriter, type Pcm, type TtsEvent, type TtsStream } from '@trunkline/media'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { z } from 'zod'
import type { ApiApp } from '../deps.ts'
import type { Keyed } from '../plugins/idempotency.ts'
import { chooseVoice } from './choice.ts'
import { asAppError, speechError } from './failure.ts'
import { createGate } from './gate.ts'
import { goneSignal } from './gone.ts'
import type { AudioDeps } from './deps.ts'
import { holdForSpeech, type Ticket } from './purse.ts'
import { eventOf, failedEvent } from './stream.ts'

const CHARACTERS_MAX = 4_096
/** Five minutes of sound, for a client that plays as it reads. */
const DEADLINE_MS = 600_000
/** Of one process. */
const AT_ONCE = { all: 200, tenant: 50 }
const RATE_HZ = 24_000
/** Encoded at once: longer would keep the event loop from the next request. */
const SLICE = RATE_HZ / 10

const Format = z.enum(['mp3', 'opus', 'aac', 'flac', 'wav', 'pcm'])
const language = z.string().regex(/^[a-zA-Z]{2,3}(-[a-zA-Z0-9]{2,8})*$/, 'a language tag: en, or en-GB')
const voice = z.string().min(1).max(128)

const Body = z
  .strictObject({
    model: z.string().min(1).max(128).meta({ description: "`tts-1`, `tts-1-hd`, `gpt-4o-mini-tts`, an engine's id (`elevenlabs`), or its model's name" }),
    input: z.string().max(CHARACTERS_MAX, `at most ${CHARACTERS_MAX} characters`).refine((text) => text.trim() !== '', 'has to be text'),
    voice: z.union([voice, z.strictObject({ id: voice })]).meta({ description: 'Of `GET /v1/tts/voices`, as `engine:id` where two engines share an id; or one of the names of OpenAI, which every engine takes for one of its own of the language' }),
    instructions: z.string().max(4_096).optional().meta({ description: "How it is to be said; for engines that take it (OpenAI's)" }),
    response_format: Format.default('mp3').meta({ description: 'mp3, opus (in Ogg), aac (in ADTS), wav or pcm (24 kHz, 16 bits, little endian, one channel)' }),
    speed: z.number().min(0.5, '0.5 to 2.0: not every voice here speaks slower or faster').max(2, '0.5 to 2.0: not every voice here speaks slower or faster').default(1),
    stream_format: z.enum(['audio', 'sse']).default('audio'),
    language: language.optional().meta({ description: 'Ours: of the text, for voices that speak many, and to choose one' }),
  })
  .meta({ examples: [{ model: 'tts-1', input: 'We open at nine.', voice: 'alloy', response_format: 'mp3' }] })
type Body = z.infer<typeof Body>

const Answers = {
  description: 'The sound, as it is made; or events with `stream_format` sse',
  content: { ...Object.fromEntries(Object.values(WRITABLE).map((type) => [type, { schema: z.string().meta({ format: 'binary', examples: ['(bytes)'] }) }])), 'text/event-stream': { schema: z.string().meta({ examples: ['data: {"type":"speech.audio.delta","audio":"SUQz"}\n\n'] }) } },
}
const schema = {
  tags: ['audio'], summary: 'Speak a text', operationId: 'create_speech', body: Body, response: { 200: Answers },
  description: "OpenAI's own wire: its SDK works unchanged. The first bytes come while the rest is still being spoken. Charged by the characters spoken, with the engine that spoke; what an aborted request has cost is charged; a supplier at which you have a key of your own costs nothing here. With an `Idempotency-Key` the sound is made to its end even when you go away, and a repeat gets the same bytes, uncharged; of more than 4 MiB (87 seconds of wav, 8 minutes of mp3) only the fact is kept, and a repeat is told so with 409.",
}

export function registerSpeech(app: ApiApp, deps: AudioDeps): void {
  const gate = createGate(AT_ONCE)
  app.post('/v1/audio/speech', { config: { access: { scope: 'audio:write' }, idempotent: true, endsWithinMs: DEADLINE_MS }, schema }, async (request, reply) => {
    gate(request, reply)
    return speak(deps, request, reply, request.body)
  })
}

async function speak(deps: AudioDeps, request: FastifyRequest, reply: FastifyReply, body: Body): Promise<FastifyReply> {
  const { response_format: format } = body
  if (format === 'flac') throw new AppError('invalid_request', { message: `${format} is not made here. Possible: ${Object.keys(WRITABLE).join(', ')}.`, param: 'body.response_format' })
  const house = await deps.speech.forTenant(request.auth.tenantId)
  const choice = await chooseVoice(house, body.model, typeof body.voice === 'string' ? body.voice : body.voice.id)
  const signal = goneSignal(request, reply, DEADLINE_MS)
  const writer = await openFileWriter(format, RATE_HZ)
  const ticket = await holdForSpeech(deps, request, { kind: 'tts', engines: choice.engines, audioMs: 0, characters: body.input.length }).catch((error: unknown) => {
    writer.close()
    throw error
  })
  const engine = house.tts(choice.order, { onUsage: ticket.used, lastResort: 'fail', ...(choice.openaiModel ? { openaiModel: choice.openaiModel } : {}), ...(body.instructions ? { instructions: body.instructions } : {}) })
  const stream = engine.speak({ voice: choice.voice, speed: body.speed, language: body.language ?? null, sampleRateHz: RATE_HZ, signal })
  stream.write(body.input)
  stream.end()
  const utterance: Utterance = { stream, ticket, keyed: request.keyed, events: stream.events[Symbol.asyncIterator](), characters: body.input.length }
  try {
    // Until there is sound a failure has a status of its own.
    const first = await firstSound(utterance)
    if (body.stream_format === 'sse') return reply.type('text/event-stream; charset=utf-8').send(Readable.from(events(utterance, first, writer)))
    return reply.header('content-type', writer.contentType).send(Readable.from(file(utterance, first, writer)))
  } catch (error) {
    writer.close()
    await finish(utterance)
    throw asAppError(error)
  }
}

type Utterance = { stream: TtsStream; ticket: Ticket; keyed: Keyed | null; events: AsyncIterator<TtsEvent>; characters: number }

async function finish({ stream, ticket }: Utterance): Promise<void> {
  stream.close()
  await ticket.settle()
}

/** null: it is over without any. */
async function next({ events }: Utterance): Promise<Pcm | null> {
  for (;;) {
    const { done, value } = await events.next()
    if (done || value.type === 'done') return null
    if (value.type === 'failed') throw speechError(value.failure)
    if (value.type === 'audio' && value.pcm.length > 0) return value.pcm
  }
}

async function firstSound(utterance: Utterance): Promise<Pcm> {
  const pcm = await next(utterance)
  if (pcm) return pcm
  throw new AppError('invalid_request', { message: 'There is nothing in this text that can be spoken.', param: 'body.input' })
}

/** Bytes of the file as they are made. A failure in the middle breaks the connection off: a whole answer would be taken for a whole file. */
async function* file(utterance: Utterance, first: Pcm, writer: FileWriter): AsyncGenerator<Uint8Array> {
  try {
    for (let pcm: Pcm | null = first; pcm; pcm = await next(utterance)) {
      for (const slice of slices(pcm)) {
        const bytes = await writer.write(slice)
        if (bytes.length > 0) yield bytes
        await otherWork()
      }
    }
    const last = await writer.end()
    if (last.length > 0) yield last
  } finally {
    writer.close()
    await finish(utterance)
  }
}

async function* events(utterance: Utterance, first: Pcm, writer: FileWriter): AsyncGenerator<string> {
  let audioMs = 0
  const counted = { ...utterance, events: counting(utterance.events, (pcm) => (audioMs += durationMs(pcm, RATE_HZ))) }
  audioMs += durationMs(first, RATE_HZ)
  try {
    for await (const bytes of file(counted, first, writer)) yield eventOf({ type: 'speech.audio.delta', audio: Buffer.from(bytes).toString('base64') })
    yield eventOf({ type: 'speech.audio.done', usage: usageOf(utterance.characters, audioMs) })
  } catch (error) {
    if (utterance.keyed) utterance.keyed.failed = true
    yield failedEvent(asAppError(error))
  }
}

async function* counting(events: AsyncIterator<TtsEvent>, count: (pcm: Pcm) => void): AsyncGenerator<TtsEvent> {
  for (let step = await events.next(); !step.done; step = await events.next()) {
    if (step.value.type === 'audio') count(step.value.pcm)
    yield step.value
  }
}

/** The wire knows tokens only. As OpenAI counts about: four characters, and a twentieth of a second. */
function usageOf(characters: number, audioMs: number) {
  const [input, output] = [Math.ceil(characters / 4), Math.ceil(audioMs / 50)]
  return { input_tokens: input, output_tokens: output, total_tokens: input + output }
}

function* slices(pcm: Pcm): Generator<Pcm> {
  for (let at = 0; at < pcm.length; at += SLICE) yield pcm.subarray(at, at + SLICE)
}

