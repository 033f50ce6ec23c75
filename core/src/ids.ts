import { randomFillSync } from 'node:crypto'
import { z } from 'zod'

/** Every row id is a UUIDv7 (RFC 9562 §5.7): sortable by creation time, so that indexes grow at their right edge. */
export const Id = z.uuid()
export type Id = z.infer<typeof Id>

const pool = new Uint8Array(4096)
let used = pool.length

/** 16 random bytes from a pool: one system call serves 256 ids. */
function randomBytes16(): Uint8Array {
  if (used + 16 > pool.length) {
    randomFillSync(pool)
    used = 0
  }
  used += 16
  return pool.slice(used - 16, used)
}

/** A new UUIDv7. `nowMs` is a Unix time in milliseconds and is only given by tests and simulations. */
export function newId(nowMs: number = Date.now()): Id {
  const bytes = Buffer.from(randomBytes16())
  bytes.writeUIntBE(nowMs, 0, 6)
  bytes[6] = 0x70 | (bytes[6]! & 0x0f)
  bytes[8] = 0x80 | (bytes[8]! & 0x3f)
  const hex = bytes.toString('hex')
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`
}
