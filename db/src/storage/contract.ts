import type { Id } from '@trunkline/core'
import type { Readable } from 'node:stream'

/** A file as it lies in the store. */
export type StoredObject = {
  /** `<tenant>/<first two of the digest>/<digest>`: the same bytes of one tenant are kept once, of two tenants twice. */
  key: string
  sizeBytes: number
  /** Hex. */
  sha256: string
}

/** Inclusive, as in HTTP. */
export type ByteRange = { start: number; end: number }

/** Where files live. The operations are those an S3 bucket has, so that a bucket can take the folder's place. */
export type MediaStore = {
  /** Reads `source` to its end. Throws AppError `payload_too_large` past `maxBytes`, and then nothing is kept. */
  put(tenantId: Id, source: Readable, options: { maxBytes: number }): Promise<StoredObject>
  /** Throws AppError `not_found`. The caller reads or destroys the stream. */
  get(key: string, range?: ByteRange): Promise<Readable>
  /** Null when there is no such object. */
  head(key: string): Promise<{ sizeBytes: number } | null>
  /** Deleting what is not there is fine. Objects are shared by content: ask the media table first. */
  delete(key: string): Promise<void>
}
