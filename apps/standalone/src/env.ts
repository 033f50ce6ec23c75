import { isAbsolute, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { RedisUrl } from '@trunkline/db'
import { z } from 'zod'

const root = fileURLToPath(new URL('../../..', import.meta.url))
const Port = (fallback: number) => z.coerce.number().int().min(0).max(65_535).default(fallback)

const Env = z.object({
  /** Another Postgres (owner's URL) or Redis than the private ones. */
  DATABASE_URL: z.url({ protocol: /^postgres(ql)?$/ }).optional(),
  REDIS_URL: RedisUrl.optional(),
  PORT: Port(8080),
  SANDBOX_PORT: Port(4010),
  SANDBOX_MAIL_PORT: Port(4025),
  WORKER_PORT: Port(8081),
  VOICE_PORT: Port(8082),
  DATA_DIR: z.string().min(1).default('.data').transform((path) => (isAbsolute(path) ? path : resolve(root, path))),
  LOG_LEVEL: z.enum(['debug', 'info', 'warn', 'error', 'silent']).default('warn'),
  /** A real key: then the agents talk to OpenAI and not to the sandbox's model. */
  OPENAI_API_KEY: z.string().min(1).optional(),
  OPENAI_BASE_URL: z.url({ protocol: /^https?$/ }).optional(),
})
export type StandaloneEnv = z.infer<typeof Env>

/** Throws one Error that lists every fault by name. Values are never repeated: they may be secrets. */
export function readEnv(source: Record<string, string | undefined> = process.env): StandaloneEnv {
  const given = Object.fromEntries(Object.entries(source).filter(([, value]) => value !== undefined && value !== ''))
  const parsed = Env.safeParse(given)
  if (parsed.success) return parsed.data
  throw new Error(`The environment is not usable:\n${parsed.error.issues.map((issue) => `  ${issue.path.join('.')}: ${issue.message}`).join('\n')}`)
}
