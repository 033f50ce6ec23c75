import { VendorId } from '@trunkline/core'
import { databaseEnv, databaseSecret } from '@trunkline/db'
import { speechEnv, speechSettings, type SpeechHouseSettings } from '@trunkline/media'
import { count, list, logLevel, port, readSettings, webUrl } from '@trunkline/telemetry'
import { z } from 'zod'
import type { ApiConfig } from './config.ts'

const Env = z.object({
  ...databaseEnv,
  SMTP_URL: z.url({ protocol: /^smtps?$/ }),
  MAIL_FROM: z.string().min(3).default('Trunkline <no-reply@localhost>'),
  /** Make and update the tables before listening; DATABASE_URL is the owner's then. */
  MIGRATE: z.stringbool().default(false),
  HOST: z.string().min(1).default('127.0.0.1'),
  PORT: port(8080),
  PUBLIC_URL: webUrl.optional(),
  APP_URL: webUrl.optional(),
  MEDIA_DIR: z.string().min(1).default('.data/media'),
  GRAPH_URL: webUrl.default('https://graph.facebook.com'),
  /** Where the carriers are, when it is not their own hosts (the sandbox). */
  TWILIO_URL: webUrl.optional(),
  TELNYX_URL: webUrl.optional(),
  /** Where carriers reach the voice processes (media sockets). Without it: PUBLIC_URL. */
  VOICE_PUBLIC_URL: webUrl.optional(),
  /** Calls of one tenant at a time. */
  TENANT_CALLS_MAX: count(100),
  /** Where the voice processes answer: `/v1/realtime` is handed on to them. */
  VOICE_URL: webUrl.optional(),
  ...speechEnv,
  TRUST_PROXY: z.string().default('').transform((text) => (text === 'true' ? true : text === '' || text === 'false' ? false : text.split(',').map((part) => part.trim()))),
  CORS_ORIGINS: list.default([]),
  METRICS_TOKEN: z.string().min(16).optional(),
  LOG_LEVEL: logLevel,
  DB_CONNECTIONS: count(10),
  API_PROCESSES: count(2),
  BODY_LIMIT_BYTES: count(1_048_576, { min: 1_024 }),
  REQUEST_TIMEOUT_MS: count(30_000, { min: 1_000 }),
  DRAIN_TIMEOUT_MS: count(30_000, { min: 100 }),
  RATE_LIMIT_GLOBAL: count(600_000, { min: 0 }),
  RATE_LIMIT_TENANT: count(6_000, { min: 0 }),
  RATE_LIMIT_PROJECT: count(3_000, { min: 0 }),
  RATE_LIMIT_PUBLIC_PER_IP: count(120, { min: 0 }),
  GUESSES_PER_ACCOUNT_AND_IP: count(10),
  GUESSES_PER_IP: count(60),
  GUESSES_PER_ACCOUNT: count(50),
  SIGN_UPS_PER_IP: count(20),
  /** Private places that tools may call all the same, as `host:port`. */
  PRIVATE_ADDRESSES: list.default([]),
  START_CREDIT_MICROS: z.string().regex(/^\d{1,15}$/, 'a whole number of micro-credits').default('5000000').transform((text) => BigInt(text)),
  /** Messages that may wait in the installation; more are answered with 503 `system_busy`. */
  QUEUE_CAPACITY: count(100_000),
  /** A sandbox that plays the suppliers: new tenants get a WhatsApp number there. */
  SANDBOX_URL: webUrl.optional(),
  RECEPTIONIST_VENDOR: VendorId.default('openai'),
  RECEPTIONIST_MODEL: z.string().min(1).default('gpt-5-mini'),
})

export type ApiEnv = Omit<z.infer<typeof Env>, 'DATABASE_SECRET'> & { DATABASE_SECRET: string; config: ApiConfig; speech: SpeechHouseSettings }

/** Throws one Error that lists every fault by name. Values are never repeated: they may be secrets. */
export function readEnv(source: Record<string, string | undefined> = process.env): ApiEnv {
  const env = readSettings(Env, source)
  return { ...env, DATABASE_SECRET: databaseSecret(env), config: configOf(env), speech: speechSettings(env) }
}

function configOf(env: z.infer<typeof Env>): ApiConfig {
  const publicUrl = env.PUBLIC_URL ?? `http://${env.HOST}:${env.PORT}`
  return {
    publicUrl,
    appUrl: env.APP_URL ?? publicUrl,
    trustProxy: env.TRUST_PROXY,
    bodyLimitBytes: env.BODY_LIMIT_BYTES,
    metricsToken: env.METRICS_TOKEN,
    requestTimeoutMs: env.REQUEST_TIMEOUT_MS,
    rateLimits: { global: env.RATE_LIMIT_GLOBAL, tenant: env.RATE_LIMIT_TENANT, project: env.RATE_LIMIT_PROJECT, publicPerIp: env.RATE_LIMIT_PUBLIC_PER_IP },
    guessing: { perAccountAndIp: env.GUESSES_PER_ACCOUNT_AND_IP, perIp: env.GUESSES_PER_IP, perAccount: env.GUESSES_PER_ACCOUNT, signUpsPerIp: env.SIGN_UPS_PER_IP },
    corsOrigins: env.CORS_ORIGINS,
    voiceUrl: env.VOICE_URL,
  }
}
