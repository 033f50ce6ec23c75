import { Agent, request, type Dispatcher } from 'undici'
import { SpeechError } from '../stt/contract.ts'
import { codeWord, httpFailure, speechError } from './failure.ts'

/** Connections of the process to speech suppliers; kept over the pauses of a call, so that a sentence does not wait for TLS. */
export const speechAgent = new Agent({ connect: { timeout: 5_000 }, keepAliveTimeout: 60_000, connections: 256 })

export type HttpCall = { engine: string; url: string; method?: 'GET' | 'POST'; headers: Record<string, string>; body?: unknown; signal: AbortSignal; requestIdHeader: string | null; dispatcher?: Dispatcher | undefined }
export type HttpAnswer = { requestId: string | null; body: AsyncIterable<Uint8Array> }

/** Errors' bodies are read up to here, for their code word. */
const MAX_ERROR_BYTES = 64 * 1024

/** A call of a supplier's JSON interface. Rejects with SpeechError for every answer that is no success, and for what should be sound or JSON and is a page. */
export async function call({ engine, url, method = 'POST', headers, body, signal, requestIdHeader, dispatcher = speechAgent }: HttpCall): Promise<HttpAnswer> {
  const answer = await request(url, { method, headers: { ...headers, ...(body === undefined ? {} : { 'content-type': 'application/json' }) }, body: body === undefined ? null : JSON.stringify(body), signal, dispatcher })
  // A call that is given up while nobody reads tells its error to nobody: it must not end the process.
  answer.body.on('error', () => undefined)
  const header = (name: string) => [answer.headers[name] ?? []].flat()[0] ?? null
  const requestId = requestIdHeader ? header(requestIdHeader) : null
  if (answer.statusCode >= 200 && answer.statusCode < 300) {
    if (!isPage(header('content-type'))) return { requestId, body: answer.body }
    answer.body.destroy()
    throw speechError('unavailable', `${engine} answered with a page of text`, requestId)
  }
  const text = await readAll(answer.body, MAX_ERROR_BYTES).catch(() => Buffer.alloc(0))
  throw new SpeechError(httpFailure(engine, answer.statusCode, { requestId, retryAfter: header('retry-after'), detail: codeIn(text) }))
}

/** A proxy's error page with status 200 must not be played to a caller. */
export const isPage = (contentType: string | null | undefined): boolean => /^text\/(html|plain)/i.test(contentType ?? '')

/** Rejects with RangeError past `maxBytes`. */
export async function readAll(body: AsyncIterable<Uint8Array>, maxBytes: number): Promise<Buffer> {
  const chunks: Uint8Array[] = []
  let bytes = 0
  for await (const chunk of body) {
    chunks.push(chunk)
    bytes += chunk.length
    if (bytes > maxBytes) throw new RangeError(`More than ${maxBytes} bytes`)
  }
  return Buffer.concat(chunks)
}

/** Google: `error.details[].reason` (AIP-193), `error.status`; ElevenLabs: `detail.status`. */
function codeIn(text: Buffer): string | null {
  try {
    const body = JSON.parse(text.toString('utf8')) as { error?: { status?: unknown; details?: { reason?: unknown }[] }; detail?: { status?: unknown } } | null
    return codeWord(body?.error?.details?.find(({ reason }) => codeWord(reason))?.reason) ?? codeWord(body?.error?.status) ?? codeWord(body?.detail?.status)
  } catch {
    return null
  }
}
