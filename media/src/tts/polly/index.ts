import { DescribeVoicesCommand, PollyClient, PollyServiceException, SynthesizeSpeechCommand, type SynthesizeSpeechCommandInput, type SynthesizeSpeechCommandOutput } from '@aws-sdk/client-polly'
import { NodeHttpHandler } from '@smithy/node-http-handler'
import type { LookupFunction } from 'node:net'
import { z } from 'zod'
import { SpeechError } from '../../stt/contract.ts'
import type { SpeechFailure } from '../../stt/contract.ts'
import { PcmBytes, linesOf } from '../bytes.ts'
import type { SpokenSpan, TtsEngine, TtsOptions, Voice } from '../contract.ts'
import { ttsEngine, type EngineSettings } from '../engine.ts'
import { httpFailure, socketFailure, speechError } from '../failure.ts'
import { isPage } from '../http.ts'
import { NO_PAUSES, REMOTE_DEADLINES, type Deadlines, type Piece, type Said, type VoicePart } from '../part.ts'

export type AwsCredentials = { accessKeyId: string; secretAccessKey: string; sessionToken?: string }
export type PollySettings = {
  region: string
  credentials: AwsCredentials | (() => Promise<AwsCredentials>)
  /** Other than Amazon's own. */
  endpoint?: string
  /** For addresses that a tenant typed in: a guarded one. */
  lookup?: LookupFunction
  /** Default `neural`. */
  model?: 'standard' | 'neural' | 'long-form' | 'generative'
  /** Times of words cost a second request with the same characters; without them they are estimated. Default true. */
  wordTimes?: boolean
  deadlines?: Partial<Deadlines>
  engine?: Partial<EngineSettings>
}

const ID = 'polly'
const DEFAULT_VOICE = 'Joanna'
const MAX_LINE_BYTES = 1024 * 1024

/** Amazon Polly: PCM of 8 or 16 kHz, and its speech marks for the times of words. */
export function pollyVoice(settings: PollySettings): TtsEngine {
  return ttsEngine(pollyPart(settings), settings.engine)
}

function pollyPart(settings: PollySettings): VoicePart {
  const { model = 'neural', wordTimes = true } = settings
  // HTTP/2, the SDK's choice here, is for its two-way calls; private endpoints and proxies speak HTTP/1.1. Warm connections are kept.
  const agent = { keepAlive: true, maxSockets: 256, ...(settings.lookup ? { lookup: settings.lookup } : {}) }
  const requestHandler = new NodeHttpHandler({ connectionTimeout: 5_000, httpAgent: agent, httpsAgent: agent })
  const client = new PollyClient({ region: settings.region, credentials: settings.credentials, endpoint: settings.endpoint, maxAttempts: 1, requestHandler })
  return {
    id: ID,
    model,
    // 3,000 characters are billed at most per request (quotas).
    maxChars: 400,
    ahead: 1,
    spokenForm: { contacts: true, numbers: false },
    deadlines: { ...REMOTE_DEADLINES, ...settings.deadlines },
    pauses: NO_PAUSES,
    requestsPerPiece: wordTimes ? 2 : 1,
    sampleRateHz: nativeRate,
    voices: (signal) => voices(client, model, signal),
    say: (piece, options, signal) => say(client, { model, wordTimes }, piece, options, signal),
    failure: failureOf,
    close: () => client.destroy(),
  }
}

/** PCM comes in these rates only (SynthesizeSpeech, SampleRate). */
const nativeRate = (wanted: number): number => (wanted === 8_000 ? 8_000 : 16_000)

async function* say(client: PollyClient, { model, wordTimes }: { model: NonNullable<PollySettings['model']>; wordTimes: boolean }, piece: Piece, options: Omit<TtsOptions, 'signal'>, signal: AbortSignal): AsyncGenerator<Said> {
  const rateHz = nativeRate(options.sampleRateHz)
  const common = { ...textOf(piece.text, options.speed), Engine: model, VoiceId: (options.voice || DEFAULT_VOICE) as SynthesizeSpeechCommandInput['VoiceId'] }
  const starts = wordTimes ? markTimes(client, common, piece.text, signal) : Promise.resolve([])
  // Whoever fails first is told; the other must not become an unhandled rejection.
  starts.catch(() => undefined)
  const answer = await client.send(new SynthesizeSpeechCommand({ ...common, OutputFormat: 'pcm', SampleRate: String(rateHz) }), { abortSignal: signal })
  const requestId = answer.$metadata.requestId ?? null
  if (isPage(answer.ContentType)) throw speechError('unavailable', `${ID} answered with something that is no sound`, requestId)
  yield { type: 'open', requestId }
  const bytes = new PcmBytes()
  let samples = 0
  for await (const chunk of bodyOf(answer, signal)) {
    const pcm = bytes.push(chunk)
    samples += pcm.length
    yield { type: 'audio', pcm }
  }
  const spans = closeSpans(await starts, (samples / rateHz) * 1_000)
  if (spans.length > 0) yield { type: 'spans', spans }
}

/** Speed is SSML there: `prosody rate` in percent, 20 to 200. */
function textOf(text: string, speed: number): Pick<SynthesizeSpeechCommandInput, 'Text' | 'TextType'> {
  if (speed === 1) return { Text: text, TextType: 'text' }
  const escaped = text.toWellFormed().replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll(/[\0-\x08\x0B\x0C\x0E-\x1F\uFFFE\uFFFF]/gu, ' ')
  return { Text: `<speak><prosody rate="${Math.round(speed * 100)}%">${escaped}</prosody></speak>`, TextType: 'ssml' }
}

/** The body as Node's stream, which the signal ends: the SDK's own signal covers the request only. */
async function* bodyOf({ AudioStream: body }: SynthesizeSpeechCommandOutput, signal: AbortSignal): AsyncGenerator<Uint8Array> {
  if (!body) return
  const stream = body as unknown as NodeJS.ReadableStream & AsyncIterable<Uint8Array> & { destroy(): void }
  const stop = () => stream.destroy()
  stream.on('error', () => undefined)
  signal.addEventListener('abort', stop, { once: true })
  try {
    yield* stream
  } finally {
    signal.removeEventListener('abort', stop)
    stream.destroy()
  }
}

const Mark = z.object({ time: z.number(), type: z.string(), value: z.string() })
type WordStart = { charStart: number; charEnd: number; startMs: number }

/**
 * Words are looked for in the text in order, not taken from the offsets of the marks: those count bytes, and with SSML the bytes of the tags
 * too (developer guide, "Using speech marks with SSML").
 */
async function markTimes(client: PollyClient, common: Omit<SynthesizeSpeechCommandInput, 'OutputFormat'>, text: string, signal: AbortSignal): Promise<WordStart[]> {
  const answer = await client.send(new SynthesizeSpeechCommand({ ...common, OutputFormat: 'json', SpeechMarkTypes: ['word'] }), { abortSignal: signal })
  const starts: WordStart[] = []
  let from = 0
  for await (const line of linesOf(bodyOf(answer, signal), MAX_LINE_BYTES)) {
    if (line.trim() === '') continue
    const { time, type, value } = readMark(line)
    const at = type === 'word' ? text.indexOf(value, from) : -1
    if (at < 0) continue
    from = at + value.length
    starts.push({ charStart: at, charEnd: withMarks(text, from), startMs: time })
  }
  return starts
}

function readMark(line: string): z.infer<typeof Mark> {
  try {
    return Mark.parse(JSON.parse(line))
  } catch (error) {
    throw speechError('unavailable', `${ID} sent something that is no speech mark`, null, error)
  }
}

/** Up to the next space: the comma belongs to the word before it. */
function withMarks(text: string, from: number): number {
  const mark = /^[^\s\p{L}\p{N}]+(?=\s|$)/u.exec(text.slice(from, from + 8))
  return from + (mark?.[0].length ?? 0)
}

const closeSpans = (starts: readonly WordStart[], endMs: number): SpokenSpan[] => starts.map((word, index) => ({ ...word, endMs: Math.max(word.startMs, starts[index + 1]?.startMs ?? endMs) }))

async function voices(client: PollyClient, model: NonNullable<PollySettings['model']>, signal: AbortSignal): Promise<Voice[]> {
  try {
    const found: Voice[] = []
    let token: string | undefined
    do {
      const page = await client.send(new DescribeVoicesCommand({ Engine: model, NextToken: token }), { abortSignal: signal })
      for (const { Id: id, Name: name, LanguageCode: language, Gender: gender } of page.Voices ?? []) if (id) found.push({ id, name: name ?? id, language: language ?? 'mul', gender: gender === 'Female' ? 'female' : gender === 'Male' ? 'male' : null })
      token = page.NextToken || undefined
    } while (token)
    return found
  } catch (error) {
    throw error instanceof SpeechError ? error : new SpeechError(failureOf(error), { cause: error })
  }
}

/** Refusals of keys and floods are 400 in AWS' protocol; their names tell. */
const BY_NAME: Record<string, SpeechFailure['code']> = { ThrottlingException: 'rate_limited', TooManyRequestsException: 'rate_limited', AccessDeniedException: 'credentials', UnrecognizedClientException: 'credentials', InvalidSignatureException: 'credentials', IncompleteSignatureException: 'credentials', MissingAuthenticationTokenException: 'credentials', ExpiredTokenException: 'credentials' }

function failureOf(error: unknown): SpeechFailure {
  if (error instanceof RangeError) return { code: 'unavailable', message: `${ID} sent something that cannot be read`, requestId: null }
  if (!(error instanceof PollyServiceException)) return socketFailure(ID, error)
  const { httpStatusCode: status = 500, requestId = null } = error.$metadata
  const failure = httpFailure(ID, status, { requestId, detail: error.name, retryAfter: error.$response?.headers['retry-after'] })
  return { ...failure, code: BY_NAME[error.name] ?? failure.code }
}
