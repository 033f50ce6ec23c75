import { z } from 'zod'

const Url = z.url({ protocol: /^https?$/ })
const Count = (fallback: number, max: number) => z.coerce.number().int().min(1).max(max).default(fallback)

const Env = z.object({
  DATABASE_URL: z.url({ protocol: /^postgres(ql)?$/ }),
  REDIS_URL: z.url({ protocol: /^rediss?$/ }),
  REDIS_PREFIX: z.string().regex(/^[a-z0-9:_-]{1,32}$/i).default('tl:'),
  /** Comma separated, newest first; each of 32 characters or more. */
  MASTER_SECRETS: z.string().min(32).transform((text) => text.split(',').map((secret) => secret.trim())),
  LOG_LEVEL: z.enum(['debug', 'info', 'warn', 'error', 'silent']).default('info'),
  HOST: z.string().default('127.0.0.1'),
  /** Health and metrics. */
  WORKER_PORT: z.coerce.number().int().min(0).max(65_535).default(8081),
  META_GRAPH_URL: Url.default('https://graph.facebook.com'),
  INSTAGRAM_GRAPH_URL: Url.default('https://graph.instagram.com'),
  OPENAI_API_KEY: z.string().min(1).optional(),
  OPENAI_BASE_URL: Url.optional(),
  ANTHROPIC_API_KEY: z.string().min(1).optional(),
  ANTHROPIC_BASE_URL: Url.optional(),
  GROQ_API_KEY: z.string().min(1).optional(),
  GROQ_BASE_URL: Url.optional(),
  COMPATIBLE_API_KEY: z.string().min(1).optional(),
  COMPATIBLE_BASE_URL: Url.optional(),
  MEDIA_DIR: z.string().min(1).default('.data/media'),
  /** `host:port` pairs on a private net that tenants' tools may call, comma separated. */
  TOOLS_ALLOW: z.string().default('').transform((text) => text.split(',').map((entry) => entry.trim()).filter((entry) => entry !== '')),
  TURNS_MAX: Count(500, 100_000),
  DB_CONNECTIONS: Count(10, 200),
  SEND_TIMEOUT_MS: Count(15_000, 120_000),
  LEAD_QUIET_MS: Count(300_000, 86_400_000),
  LEAD_LATEST_MS: Count(900_000, 86_400_000),
  DRAIN_MS: Count(30_000, 600_000),
})
export type WorkerEnv = z.infer<typeof Env>

/** All faults at once, by name and never by value. Throws an Error whose message is for the terminal. */
export function parseWorkerEnv(source: NodeJS.ProcessEnv): WorkerEnv {
  const given = Object.fromEntries(Object.entries(source).filter(([, value]) => value !== ''))
  const parsed = Env.safeParse(given)
  if (parsed.success) return parsed.data
  const faults = parsed.error.issues.map((issue) => `  ${issue.path.join('.')}: ${issue.message}`)
  throw new Error(`The worker's environment is not complete:\n${faults.join('\n')}`)
}

export const readWorkerEnv = (): WorkerEnv => parseWorkerEnv(process.env)
