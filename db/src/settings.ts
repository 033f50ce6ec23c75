import { z } from 'zod'
import { RedisUrl } from './redis/address.ts'

const secrets = z
  .string()
  .transform((text) => text.split(',').map((part) => part.trim()).filter((part) => part !== ''))
  .refine((all) => all.length > 0 && all.every((secret) => secret.length >= 32), 'one or more secrets of 32 characters or more, separated by commas')

/** Where a process finds Postgres and Redis, and the secrets it shares with all others of the installation: a part of an app's own schema. */
export const databaseEnv = {
  DATABASE_URL: z.url({ protocol: /^postgres(ql)?$/ }),
  REDIS_URL: RedisUrl,
  /** Before every key, channel and queue name: several installations may share a Redis. The same for all processes of one. */
  REDIS_PREFIX: z.string().regex(/^[\w-]{1,40}:$/, 'letters, digits, _ or -, with a colon at the end').default('tl:'),
  /** Newest first, separated by commas; older ones only open and verify. */
  TRUNKLINE_SECRETS: secrets,
  /** The passwords of the database roles derive from it; defaults to the oldest master secret. */
  DATABASE_SECRET: z.string().min(32).optional(),
}

/** The oldest secret never changes its place: it is the last. */
export const databaseSecret = (env: { TRUNKLINE_SECRETS: readonly string[]; DATABASE_SECRET?: string | undefined }): string => env.DATABASE_SECRET ?? env.TRUNKLINE_SECRETS.at(-1)!
