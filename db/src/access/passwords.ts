import { hash, verify, type Options } from '@node-rs/argon2'
import { createGate } from './gate.ts'

// OWASP Password Storage Cheat Sheet, Argon2id: 19 MiB, 2 passes, 1 lane. One costs 22-64 ms of a core and runs on libuv's
// four threads, which DNS and files share: so two at once, and a short line before callers are told to come again.
const PARAMETERS = { algorithm: 2, memoryCost: 19_456, timeCost: 2, parallelism: 1 } as const satisfies Options
const AT_ONCE = 2
const IN_LINE = 32

/** The password of a person who has not chosen one yet: no Argon2 text, so nothing ever matches it. */
export const NO_PASSWORD = '!'

export type Passwords = {
  hash(plain: string): Promise<string>
  /** Takes the same time whether `stored` is a hash, NO_PASSWORD or null (no such person). Throws AppError `unavailable` when too many wait. */
  matches(plain: string, stored: string | null): Promise<boolean>
}

export function createPasswords(): Passwords {
  const gate = createGate(AT_ONCE, IN_LINE)
  let nobody: Promise<string> | undefined
  return {
    hash: (plain) => gate(() => hash(plain, PARAMETERS)),
    async matches(plain, stored) {
      const real = stored !== null && stored !== NO_PASSWORD
      const against = real ? stored : await (nobody ??= hash('nobody has this password', PARAMETERS))
      const same = await gate(() => verify(against, plain))
      return real && same
    },
  }
}
