import { z } from 'zod'

const Url = z.url({ protocol: /^https?$/ }).transform((url) => url.replace(/\/+$/, ''))
const list = z.string().transform((text) => text.split(',').map((part) => part.trim()).filter((part) => part !== ''))
const Count = (fallback: number, max: number) => z.coerce.number().int().min(1).max(max).default(fallback)

const Env = z.object({
  DATABASE_URL: z.url({ protocol: /^postgres(ql)?$/ }),
  REDIS_URL: z.url({ protocol: /^rediss?$/ }),
  /** Before every key, channel and queue name: several installations may share a Redis. The same for all processes of one. */
  REDIS_PREFIX: z.string().regex(/^[\w-]{1,40}:$/, 'letters, digits, _ or -, with a colon at the end').default('tl:'),
  /** Newest first, separated by commas; older ones only open. The same as the API's. */
  TRUNKLINE_SECRETS: list.refine((secrets) => secrets.length > 0 && secrets.every((secret) => secret.length >= 32), 'one or more secrets of 32 characters or more, separated by commas'),
  /** The passwords of the database roles derive from it; defaults to the oldest master secret. */
  DATABASE_SECRET: z.string().min(32).optional(),
  LOG_LEVEL: z.enum(['debug', 'info', 'warn', 'error', 'silent']).default('info'),
  HOST: z.string().default('127.0.0.1'),
  /** Health and metrics. */
  WORKER_PORT: z.coerce.number().int().min(0).max(65_535).default(8081),
  GRAPH_URL: Url.default('https://graph.facebook.com'),
  OPENAI_API_KEY: z.string().min(1).optional(),
  OPENAI_BASE_URL: Url.optional(),
  ANTHROPIC_API_KEY: z.string().min(1).optional(),
  ANTHROPIC_BASE_URL: Url.optional(),
  GROQ_API_KEY: z.string().min(1).optional(),
  GROQ_BASE_URL: Url.optional(),
  COMPATIBLE_API_KEY: z.string().min(1).optional(),
  COMPATIBLE_BASE_URL: Url.optional(),
  MEDIA_DIR: z.string().min(1).default('.data/media'),
  /** Private places that tools may call all the same, as `host:port`. */
  PRIVATE_ADDRESSES: list.default([]),
  TURNS_MAX: Count(500, 100_000),
  DB_CONNECTIONS: Count(10, 200),
  SEND_TIMEOUT_MS: Count(15_000, 120_000),
  LEAD_QUIET_MS: Count(300_000, 86_400_000),
  LEAD_LATEST_MS: Count(900_000, 86_400_000),
  DRAIN_MS: Count(30_000, 600_000),
  /** How long a number waits for a worker that died before another takes it over. */
  LEASE_MS: z.coerce.number().int().min(1_000).max(600_000).default(10_000),
})
export type WorkerEnv = Omit<z.infer<typeof Env>, 'DATABASE_SECRET'> & { DATABASE_SECRET: string }

/** Throws one Error that lists every fault by name. Values are never repeated: they may be secrets. */
export function readEnv(source: Record<string, string | undefined> = process.env): WorkerEnv {
  const given = Object.fromEntries(Object.entries(source).filter(([, value]) => value !== undefined && value !== ''))
  const parsed = Env.safeParse(given)
  if (!parsed.success) throw new Error(`The environment is not complete:\n${parsed.error.issues.map((issue) => `  ${issue.path.join('.')}: ${given[String(issue.path[0])] === undefined ? 'is missing' : issue.message}`).join('\n')}`)
  return { ...parsed.data, DATABASE_SECRET: parsed.data.DATABASE_SECRET ?? parsed.data.TRUNKLINE_SECRETS.at(-1)! }
}
