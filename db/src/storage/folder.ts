import { AppError, Id, newId } from '@trunkline/core'
import { createHash } from 'node:crypto'
import { createReadStream, createWriteStream } from 'node:fs'
import { mkdir, open, rename, rm, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { Transform } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import type { MediaStore } from './contract.ts'

/** Keys are only ever made here, and only this form is opened: no key can lead out of the folder. */
const KEY = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\/[0-9a-f]{2}\/[0-9a-f]{64}$/
const INCOMING = 'incoming'

/** The media store on a folder of this machine. A file is whole under its key or not there: it is written aside and renamed. */
export function createFolderStore(root: string): MediaStore {
  const pathOf = (key: string): string => {
    if (!KEY.test(key)) throw new AppError('not_found', { message: 'There is no such file.' })
    return join(root, key)
  }

  return {
    async put(tenantId, source, { maxBytes }) {
      const tenant = Id.parse(tenantId).toLowerCase()
      const draft = join(root, INCOMING, newId())
      await mkdir(dirname(draft), { recursive: true })
      try {
        const meter = measure(maxBytes)
        await pipeline(source, meter.stream, createWriteStream(draft, { mode: 0o600, flags: 'wx' }))
        await flush(draft)
        const { sha256, sizeBytes } = meter.result()
        const key = `${tenant}/${sha256.slice(0, 2)}/${sha256}`
        await mkdir(dirname(pathOf(key)), { recursive: true })
        await rename(draft, pathOf(key))
        return { key, sha256, sizeBytes }
      } catch (error) {
        await rm(draft, { force: true })
        throw error
      }
    },
    async get(key, range) {
      const path = pathOf(key)
      if ((await sizeOf(path)) === null) throw new AppError('not_found', { message: 'There is no such file.' })
      return createReadStream(path, range)
    },
    async head(key) {
      const sizeBytes = await sizeOf(pathOf(key))
      return sizeBytes === null ? null : { sizeBytes }
    },
    async delete(key) {
      await rm(pathOf(key), { force: true })
    },
  }
}

/** Counts and hashes what flows through, and stops it at the limit. */
function measure(maxBytes: number): { stream: Transform; result(): { sha256: string; sizeBytes: number } } {
  const hash = createHash('sha256')
  let sizeBytes = 0
  const stream = new Transform({
    transform(chunk: Buffer, _encoding, done) {
      sizeBytes += chunk.length
      if (sizeBytes > maxBytes) return done(new AppError('payload_too_large', { message: `Files may have ${maxBytes} bytes at most.`, details: { limit_bytes: maxBytes } }))
      hash.update(chunk)
      done(null, chunk)
    },
  })
  return { stream, result: () => ({ sha256: hash.digest('hex'), sizeBytes }) }
}

/** On the disk before its name is: a power cut must not leave a name without its bytes. */
async function flush(path: string): Promise<void> {
  await using file = await open(path, 'r+')
  await file.sync()
}

async function sizeOf(path: string): Promise<number | null> {
  try {
    return (await stat(path)).size
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return null
    throw error
  }
}

