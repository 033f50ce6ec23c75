import { databaseEnv, databaseSecret } from '@trunkline/db'
import { count, list, logLevel, port, readSettings, webUrl } from '@trunkline/telemetry'
import { z } from 'zod'

const Env = z.object({
  ...databaseEnv,
  LOG_LEVEL: logLevel,
  HOST: z.string().default('127.0.0.1'),
  /** Health and metrics. */
  WORKER_PORT: port(8081),
  GRAPH_URL: webUrl.default('https://graph.facebook.com'),
  OPENAI_API_KEY: z.string().min(1).optional(),
  OPENAI_BASE_URL: webUrl.optional(),
  ANTHROPIC_API_KEY: z.string().min(1).optional(),
  ANTHROPIC_BASE_URL: webUrl.optional(),
  GROQ_API_KEY: z.string().min(1).optional(),
  GROQ_BASE_URL: webUrl.optional(),
  COMPATIBLE_API_KEY: z.string().min(1).optional(),
  COMPATIBLE_BASE_URL: webUrl.optional(),
  MEDIA_DIR: z.string().min(1).default('.data/media'),
  /** Private places that tools may call all the same, as `host:port`. */
  PRIVATE_ADDRESSES: list.default([]),
  TURNS_MAX: count(500, { max: 100_000 }),
  DB_CONNECTIONS: count(10, { max: 200 }),
  SEND_TIMEOUT_MS: count(15_000, { max: 120_000 }),
  LEAD_QUIET_MS: count(300_000, { max: 86_400_000 }),
  LEAD_LATEST_MS: count(900_000, { max: 86_400_000 }),
  DRAIN_MS: count(30_000, { max: 600_000 }),
  /** How long a number waits for a worker that died before another takes it over. */
  LEASE_MS: count(10_000, { min: 1_000, max: 600_000 }),
})
export type WorkerEnv = Omit<z.infer<typeof Env>, 'DATABASE_SECRET'> & { DATABASE_SECRET: string }

/** Throws one Error that lists every fault by name. Values are never repeated: they may be secrets. */
export function readEnv(source: Record<string, string | undefined> = process.env): WorkerEnv {
  const env = readSettings(Env, source)
  return { ...env, DATABASE_SECRET: databaseSecret(env) }
}
