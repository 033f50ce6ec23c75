import { createHash, type Hash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { mkdir, open, rename, rm, stat, type FileHandle } from 'node:fs/promises'
import { dirname } from 'node:path'

/** A file that is still coming: `<name>.part`, hashed as it grows, and given its name only when it is whole and right. */
export class PartFile {
  readonly #path: string
  readonly #part: string
  #hash: Hash = createHash('sha256')
  #file: FileHandle | null = null
  #bytes = 0

  constructor(path: string) {
    this.#path = path
    this.#part = `${path}.part`
  }

  get bytes(): number {
    return this.#bytes
  }

  /** Takes up what an earlier attempt left, unless it is longer than the whole. */
  async open(maxBytes: number): Promise<void> {
    await mkdir(dirname(this.#path), { recursive: true })
    this.#file = await open(this.#part, 'a')
    const { size } = await this.#file.stat()
    if (size > maxBytes) return this.restart()
    this.#hash = await hashOf(this.#part)
    this.#bytes = size
  }

  async restart(): Promise<void> {
    await this.#file!.truncate(0)
    this.#hash = createHash('sha256')
    this.#bytes = 0
  }

  async write(chunk: Uint8Array): Promise<void> {
    await this.#file!.appendFile(chunk)
    this.#hash.update(chunk)
    this.#bytes += chunk.length
  }

  /** Of all that is there so far. */
  sha256(): string {
    return this.#hash.copy().digest('hex')
  }

  /** On the disk before it has its name: a machine that loses its power finds a whole file or none. */
  async finish(): Promise<void> {
    await this.#file!.sync()
    await this.close()
    await rename(this.#part, this.#path)
  }

  /** Idempotent; what came so far stays for the next attempt. */
  async close(): Promise<void> {
    const file = this.#file
    this.#file = null
    await file?.close()
  }
}

/** Is the file there and the right one? The cheap question first. */
export async function isWhole(path: string, bytes: number, sha256: string): Promise<boolean> {
  const found = await stat(path).catch(() => null)
  if (found?.size !== bytes) return false
  return (await hashOf(path)).digest('hex') === sha256
}

/** A wrong file is of no use to anybody. */
export const discard = (path: string): Promise<void> => rm(path, { force: true })

async function hashOf(path: string): Promise<Hash> {
  const hash = createHash('sha256')
  for await (const chunk of createReadStream(path)) hash.update(chunk as Uint8Array)
  return hash
}
