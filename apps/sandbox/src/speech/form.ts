import type { FastifyRequest } from 'fastify'

/** Node's own multipart parser; null when the body is none. */
export async function formOf(request: FastifyRequest): Promise<FormData | null> {
  if (!Buffer.isBuffer(request.body)) return null
  try {
    return await new Response(new Uint8Array(request.body), { headers: { 'content-type': request.headers['content-type'] ?? '' } }).formData()
  } catch {
    return null
  }
}
