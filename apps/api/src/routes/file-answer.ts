import { AppError } from '@trunkline/core'
import type { ByteRange, MediaStore } from '@trunkline/db'
import { create as contentDisposition } from 'content-disposition'
import type { FastifyReply, FastifyRequest } from 'fastify'

export type FileAnswer = { key: string; mimeType: string | null; filename: string }

/**
 * Streams a file. Strangers sent it, so a browser must neither show nor run it: always an attachment, never sniffed, and in
 * a sandbox of its own should somebody open it all the same.
 */
export async function sendFile(store: MediaStore, request: FastifyRequest, reply: FastifyReply, file: FileAnswer): Promise<FastifyReply> {
  const found = await store.head(file.key)
  if (found === null) throw new AppError('not_found', { message: 'The file is gone from the store.' })
  const range = rangeOf(request.headers.range, found.sizeBytes)
  void reply.headers({
    'content-type': file.mimeType ?? 'application/octet-stream',
    'content-disposition': contentDisposition(file.filename, { type: 'attachment' }),
    'x-content-type-options': 'nosniff',
    'content-security-policy': "default-src 'none'; sandbox",
    'cache-control': 'private, max-age=0, no-store',
    'accept-ranges': 'bytes',
    'content-length': range ? range.end - range.start + 1 : found.sizeBytes,
  })
  if (range) void reply.code(206).header('content-range', `bytes ${range.start}-${range.end}/${found.sizeBytes}`)
  return reply.send(await store.get(file.key, range ?? undefined))
}

/** One range of bytes (RFC 9110 §14.2). What cannot be served is ignored, as the RFC allows; null: the whole file. */
export function rangeOf(header: string | undefined, sizeBytes: number): ByteRange | null {
  const [, from, to] = /^bytes=(\d{0,15})-(\d{0,15})$/.exec(header ?? '') ?? []
  if (from === undefined || to === undefined || from + to === '') return null
  const start = from === '' ? Math.max(0, sizeBytes - Number(to)) : Number(from)
  const end = from === '' || to === '' ? sizeBytes - 1 : Math.min(Number(to), sizeBytes - 1)
  return start <= end ? { start, end } : null
}
