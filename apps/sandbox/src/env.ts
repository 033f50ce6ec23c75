import { z } from 'zod'
import type { SandboxOptions } from './options.ts'

const port = z.coerce.number().int().min(0).max(65_535)

const Env = z.object({
  SANDBOX_HOST: z.string().default('127.0.0.1'),
  SANDBOX_PORT: port.default(4010),
  SANDBOX_MAIL_PORT: port.default(4025),
  SANDBOX_PUBLIC_URL: z.url({ protocol: /^https?$/ }).optional(),
  /** Milliseconds before a model's first token, and per token after it. */
  SANDBOX_FIRST_TOKEN_MS: z.coerce.number().min(0).max(600_000).optional(),
  SANDBOX_PER_TOKEN_MS: z.coerce.number().min(0).max(60_000).optional(),
  SANDBOX_JOURNAL_ENTRIES: z.coerce.number().int().min(100).max(5_000_000).optional(),
})

/** Options of the process; every fault of the environment is listed in one error. */
export function readEnv(env: NodeJS.ProcessEnv = process.env): SandboxOptions {
  const parsed = Env.safeParse(env)
  if (!parsed.success) throw new Error(`The environment is not usable:\n${parsed.error.issues.map(({ path, message }) => `  ${path.join('.')}: ${message}`).join('\n')}`)
  const { data } = parsed
  return {
    host: data.SANDBOX_HOST,
    port: data.SANDBOX_PORT,
    mailPort: data.SANDBOX_MAIL_PORT,
    publicUrl: data.SANDBOX_PUBLIC_URL,
    pace: given({ firstTokenMs: data.SANDBOX_FIRST_TOKEN_MS, perTokenMs: data.SANDBOX_PER_TOKEN_MS }),
    journal: given({ capacity: data.SANDBOX_JOURNAL_ENTRIES }),
  }
}

/** Without the keys that were not set, so that they do not hide defaults. */
function given<T extends Record<string, number | undefined>>(values: T): Partial<T> {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as Partial<T>
}
