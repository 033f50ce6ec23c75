import { createHash } from 'node:crypto'
import { Readable } from 'node:stream'
import { AppError } from '@trunkline/core'
import { DECODED_RATE_HZ, SoundReader, transcribeInParts, type DecodedFile, type SpeechFor } from '@trunkline/media'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { z } from 'zod'
import type { ApiApp } from '../deps.ts'
import { claimKey, type Keyed } from '../plugins/idempotency.ts'
import { chooseEars } from './choice.ts'
import { asAppError } from './failure.ts'
import { BODY_BYTES_MAX, readForm, TranscriptionFields, type TranscriptionForm } from './form.ts'
import { createGate } from './gate.ts'
import { goneSignal } from './gone.ts'
import type { AudioDeps } from './deps.ts'
import { holdForSpeech, type Ticket } from './purse.ts'
import { eventOf, failedEvent } from './stream.ts'
import { srtOf, usageOf, verboseOf, vttOf, type Heard } from './transcript.ts'

/** As OpenAI's models. A minute is 2 MB of sound in memory. */
const FILE_MS_MAX = 1_500_000
/** Of one process. Each holds its file and its sound, 150 MB at most. */
const AT_ONCE = { all: 16, tenant: 8 }
const DEADLINE_MS = 600_000
/** Streamed, the first words come after so much sound. */
const STREAM_PART_MS = 30_000

const Usage = z.object({ type: z.literal('duration'), seconds: z.number() })
const Transcription = z.object({
  text: z.string(),
  usage: Usage,
  task: z.literal('transcribe').optional(),
  language: z.string().optional().meta({ description: 'With `verbose_json`, like all below' }),
  duration: z.number().optional(),
  segments: z.array(z.looseObject({ id: z.number(), start: z.number(), end: z.number(), text: z.string() })).optional(),
  words: z.array(z.object({ word: z.string(), start: z.number(), end: z.number() })).optional(),
}).meta({ id: 'Transcription', examples: [{ text: 'When do you open?', usage: { type: 'duration', seconds: 2 } }] })
const Answers = {
  description: 'JSON, or text with `response_format` text, srt and vtt, or events with `stream`',
  content: { 'application/json': { schema: Transcription }, 'text/plain': { schema: z.string().meta({ examples: ['When do you open?'] }) }, 'text/event-stream': { schema: z.string().meta({ examples: ['data: {"type":"transcript.text.delta","delta":"When do you open?"}\n\n'] }) } },
}
const Body = TranscriptionFields.extend({ file: z.string().meta({ format: 'binary', description: 'wav, mp3, m4a, aac, ogg, webm, flac, or mp4 that holds one of their codecs; at most 25 MB and 25 minutes', examples: ['(bytes)'] }) })

const schema = {
  tags: ['audio'], summary: 'Write down what is said in a file', consumes: ['multipart/form-data'], operationId: 'create_transcription',
  description: "OpenAI's own wire: its SDK works unchanged. Charged by the length of the sound, with the engine that heard it; a supplier at which you have a key of your own costs nothing here. With an `Idempotency-Key` a repeat of the same file and fields gets the same answer, uncharged; a stream comes all at once then.",
  body: Body,
  response: { 200: Answers },
}
/** The body's schema is for the document: a form is read, and checked, by `readForm`. */
const validatorCompiler = () => (value: unknown) => ({ value })

export function registerTranscriptions(app: ApiApp, deps: AudioDeps): void {
  const sounds = new SoundReader()
  app.addHook('onClose', () => sounds.close())
  const gate = createGate(AT_ONCE)
  // The form is read here, and a key stands for what is in it: the boundary between its parts is another each time.
  app.post('/v1/audio/transcriptions', { config: { access: { scope: 'audio:write' }, idempotent: 'by_handler', endsWithinMs: DEADLINE_MS }, bodyLimit: BODY_BYTES_MAX, schema, validatorCompiler }, async (request, reply) => {
    gate(request, reply)
    const signal = goneSignal(request, reply, DEADLINE_MS)
    const form = await readForm(request)
    const isAnswered = await claimKey(deps, request, reply, { file: createHash('sha256').update(form.file).digest('hex'), fields: form.fields })
    if (isAnswered) return reply
    const house = await deps.speech.forTenant(request.auth.tenantId)
    // Before the work of decoding: without anybody who hears there is none.
    const ears = chooseEars(house, form.fields.model, isTimed(form.fields))
    return answer(deps, request, reply, { ...form, house, ears, keyed: request.keyed, file: await sounds.decode(form.file, FILE_MS_MAX, signal).catch(rethrow), signal })
  })
}

type Order = Pick<TranscriptionForm, 'fields'> & { house: SpeechFor; keyed: Keyed | null; ears: ReturnType<typeof chooseEars>; file: DecodedFile; signal: AbortSignal }

const isTimed = ({ response_format: format }: TranscriptionFields): boolean => format === 'verbose_json' || format === 'srt' || format === 'vtt'
const rethrow = (error: unknown): never => {
  throw asAppError(error)
}

async function answer(deps: AudioDeps, request: FastifyRequest, reply: FastifyReply, order: Order): Promise<FastifyReply> {
  const ticket = await holdForSpeech(deps, request, { kind: 'stt', engines: order.ears.engines, audioMs: order.file.durationMs, characters: 0 })
  if (order.fields.stream) return reply.type('text/event-stream; charset=utf-8').send(Readable.from(events(ticket, order)))
  return send(reply, await paid(ticket, () => hear(ticket, order)), order.fields)
}

/** The charge is made before the answer tells that there is something to pay for. */
async function paid(ticket: Ticket, work: () => Promise<Heard>): Promise<Heard> {
  try {
    return await work()
  } catch (error) {
    throw asAppError(error)
  } finally {
    await ticket.settle()
  }
}

async function hear(ticket: Ticket, { house, ears, file, fields, signal }: Order, onText?: (text: string) => void): Promise<Heard> {
  const engine = house.stt(ears.order, { onUsage: ticket.used, ...(ears.openaiModel ? { openaiModel: ears.openaiModel } : {}) })
  if (!engine) throw new AppError('invalid_state', { message: 'Nobody here can hear.' })
  const options = { sampleRateHz: DECODED_RATE_HZ, language: fields.language ?? null, keyterms: termsOf(fields), signal } as const
  const said = await transcribeInParts(engine, file.pcm, options, onText ? { partMs: STREAM_PART_MS, onText } : {})
  return { ...said, durationMs: file.durationMs }
}

/** A prompt is a list of likely words to most recognisers; OpenAI's are given them as a sentence again. */
const termsOf = ({ prompt = '', keywords }: TranscriptionFields): string[] => [...keywords, ...prompt.split(/[,;\n]/).map((term) => term.trim()).filter((term) => term !== '')].slice(0, 100)

function send(reply: FastifyReply, heard: Heard, fields: TranscriptionFields): FastifyReply {
  const plain = (text: string, type = 'text/plain') => reply.type(`${type}; charset=utf-8`).serializer(String).send(text)
  switch (fields.response_format) {
    case 'text': return plain(`${heard.text}\n`)
    case 'srt': return plain(srtOf(heard))
    case 'vtt': return plain(vttOf(heard), 'text/vtt')
    case 'json': return reply.send({ text: heard.text, usage: usageOf(heard) })
    case 'verbose_json': {
      const granularities = fields.timestamp_granularities.length > 0 ? fields.timestamp_granularities : (['segment'] as const)
      return reply.send(verboseOf(heard, { granularities, temperature: fields.temperature }))
    }
  }
}

/** Parts as they are heard. The status has gone out before the first word, so a failure is an event. */
async function* events(ticket: Ticket, order: Order): AsyncGenerator<string> {
  const waiting: string[] = []
  let wake = Promise.withResolvers<void>()
  let first = true
  const onText = (text: string) => {
    waiting.push(eventOf({ type: 'transcript.text.delta', delta: first ? text : ` ${text}` }))
    first = false
    wake.resolve()
  }
  const failed = (error: unknown) => {
    if (order.keyed) order.keyed.failed = true
    waiting.push(failedEvent(error))
  }
  const work = paid(ticket, () => hear(ticket, order, onText))
  const ended = work.then((heard) => waiting.push(eventOf({ type: 'transcript.text.done', text: heard.text, usage: usageOf(heard) })), failed).then(() => true)
  try {
    for (let over = false; !over || waiting.length > 0; ) {
      while (waiting.length > 0) yield waiting.shift()!
      if (over) return
      over = await Promise.race([ended, wake.promise.then(() => false)])
      wake = Promise.withResolvers()
    }
  } finally {
    // Called off by the client's going, it ends by itself, and is paid for.
    await ended
  }
}
