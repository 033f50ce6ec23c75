import { realtime } from '@trunkline/channels'
import { AppError } from '@trunkline/core'
import type { IncomingMessage } from 'node:http'

export type Offered = { sdp: string; session: realtime.SessionPatch | null; model: string | null }

const BODY_BYTES_MAX = 1024 * 1024
const READ_WITHIN_MS = 10_000

/** An SDP offer as it is, or a form of `sdp` and `session` (`openai` npm, realtime/calls). Throws AppError. */
export async function readOffer(request: IncomingMessage): Promise<Offered> {
  const type = request.headers['content-type'] ?? ''
  const model = new URL(request.url ?? '/', 'http://voice').searchParams.get('model')
  const body = await bodyOf(request)
  if (/^application\/sdp\b/i.test(type)) return { sdp: body.toString('utf8'), session: null, model }
  if (!/^multipart\/form-data\b/i.test(type)) throw new AppError('unsupported_media_type', { message: 'Send application/sdp, or multipart/form-data with sdp and session.', param: 'headers.content-type' })
  const form = await new Response(new Uint8Array(body), { headers: { 'content-type': type } }).formData().catch((cause: unknown) => {
    throw new AppError('invalid_request', { message: 'The form cannot be read.', param: 'body', cause })
  })
  const [sdp, session] = await Promise.all([textOf(form.get('sdp')), textOf(form.get('session'))])
  if (!sdp) throw new AppError('invalid_request', { message: 'The form has no SDP offer.', param: 'body.sdp' })
  return { sdp, session: session ? sessionOf(session) : null, model }
}

const textOf = async (field: ReturnType<FormData['get']>): Promise<string | null> => (field instanceof Blob ? field.text() : field)

function sessionOf(text: string): realtime.SessionPatch {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    throw new AppError('invalid_json', { message: 'The session is not JSON.', param: 'body.session' })
  }
  return realtime.parseClientSecretRequest({ session: value }).session
}

async function bodyOf(request: IncomingMessage): Promise<Buffer> {
  const tooLate = setTimeout(() => request.destroy(), READ_WITHIN_MS)
  try {
    const chunks: Buffer[] = []
    let bytes = 0
    for await (const chunk of request as AsyncIterable<Buffer>) {
      bytes += chunk.length
      if (bytes > BODY_BYTES_MAX) throw new AppError('payload_too_large', { details: { limit_bytes: BODY_BYTES_MAX } })
      chunks.push(chunk)
    }
    return Buffer.concat(chunks)
  } finally {
    clearTimeout(tooLate)
  }
}
