import { createHash, randomBytes } from 'node:crypto'
import { newMediaId } from './ids.ts'

export type StoredMedia = { id: string; number: string; bytes: Buffer; mimeType: string; sha256: string; expiresAtMs: number }
type Link = { mediaId: string; expiresAtMs: number; isPublic: boolean }

export type MediaLives = { /** Uploaded ids live 30 days at Meta, ids from webhooks 7 days. */ uploadMs: number; inboundMs: number; /** Download addresses live some minutes. */ urlMs: number }

const KEPT_FILES = 2_000

/** Files by id, and the short-lived addresses under which they can be fetched. */
export class MediaStore {
  readonly #files = new Map<string, StoredMedia>()
  readonly #links = new Map<string, Link>()
  readonly #lives: MediaLives

  constructor(lives: MediaLives) {
    this.#lives = lives
  }

  put(number: string, bytes: Buffer, mimeType: string, origin: 'upload' | 'inbound'): StoredMedia {
    const lifeMs = origin === 'upload' ? this.#lives.uploadMs : this.#lives.inboundMs
    const file = { id: newMediaId(), number, bytes, mimeType, sha256: createHash('sha256').update(bytes).digest('hex'), expiresAtMs: Date.now() + lifeMs }
    this.#files.set(file.id, file)
    if (this.#files.size > KEPT_FILES) this.#files.delete(this.#files.keys().next().value!)
    return file
  }

  get(id: string): StoredMedia | undefined {
    const file = this.#files.get(id)
    return file && file.expiresAtMs > Date.now() ? file : undefined
  }

  remove(id: string): boolean {
    return this.#files.delete(id)
  }

  /** A fresh address part for the file; a public one is its own permission, as Instagram's are. */
  link(mediaId: string, isPublic = false): string {
    const key = randomBytes(18).toString('base64url')
    this.#links.set(key, { mediaId, expiresAtMs: Date.now() + this.#lives.urlMs, isPublic })
    if (this.#links.size > KEPT_FILES * 4) this.#links.delete(this.#links.keys().next().value!)
    return key
  }

  isPublic(key: string): boolean {
    return this.#links.get(key)?.isPublic ?? false
  }

  open(key: string): StoredMedia | undefined {
    const link = this.#links.get(key)
    return link && link.expiresAtMs > Date.now() ? this.get(link.mediaId) : undefined
  }

  /** Ends the life of a file or, without id, of all addresses: for tests of expiry. */
  expire(id?: string): void {
    if (id === undefined) this.#links.clear()
    else this.#files.delete(id)
  }

  reset(): void {
    this.#files.clear()
    this.#links.clear()
  }
}
