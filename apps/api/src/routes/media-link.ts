import type { Clock, Id } from '@trunkline/core'
import type { Keyring } from '@trunkline/db'
import { createHmac, timingSafeEqual } from 'node:crypto'
import type { ApiConfig } from '../config.ts'

/** Suppliers fetch a file within minutes; retries of a day are covered. */
const LINK_LIFE_MS = 48 * 3_600_000

type LinkDeps = { keyring: Keyring; clock: Pick<Clock, 'nowMs'>; config: Pick<ApiConfig, 'publicUrl'> }
export type FileLink = { tenantId: Id; id: Id; expires: string; signature: string }

const sign = (keyring: Keyring, tenantId: Id, id: Id, expires: string): Buffer => createHmac('sha256', keyring.derive('media link')).update(`${tenantId}/${id}/${expires}`).digest()

/** An address for one file, open to whoever has it for two days: suppliers fetch what we send from there. */
export function signedFile(deps: LinkDeps, file: { tenantId: Id; id: Id }): string {
  const expires = Math.floor((deps.clock.nowMs() + LINK_LIFE_MS) / 1_000).toString(36)
  return `${deps.config.publicUrl}/files/${file.tenantId}/${file.id}/${expires}/${sign(deps.keyring, file.tenantId, file.id, expires).toString('base64url')}`
}

/** False for a link that we did not sign, or that has expired. */
export function isFileLink(deps: Pick<LinkDeps, 'keyring' | 'clock'>, link: FileLink): boolean {
  const given = Buffer.from(link.signature, 'base64url')
  const expected = sign(deps.keyring, link.tenantId, link.id, link.expires)
  return given.length === expected.length && timingSafeEqual(given, expected) && Number.parseInt(link.expires, 36) * 1_000 > deps.clock.nowMs()
}
