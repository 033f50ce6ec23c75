import { databaseEnv, databaseSecret } from '@trunkline/db'
import { speechEnv, speechSettings, type SpeechHouseSettings } from '@trunkline/media'
import { count, list, logLevel, port, readSettings, webUrl } from '@trunkline/telemetry'
import { z } from 'zod'

const Ports = z.string().regex(/^\d{4,5}-\d{4,5}$/, 'two ports, as in 40000-40010').transform((text) => ({ min: Number(text.split('-')[0]), max: Number(text.split('-')[1]) })).refine(({ min, max }) => min <= max && max <= 65_535, 'the first port is the smaller one, and 65535 the largest')

const Env = z.object({
  ...databaseEnv,
  LOG_LEVEL: logLevel,
  HOST: z.string().default('127.0.0.1'),
  VOICE_PORT: port(8082),
  ...speechEnv,
  ANTHROPIC_API_KEY: z.string().min(1).optional(),
  ANTHROPIC_BASE_URL: webUrl.optional(),
  GROQ_API_KEY: z.string().min(1).optional(),
  GROQ_BASE_URL: webUrl.optional(),
  COMPATIBLE_API_KEY: z.string().min(1).optional(),
  COMPATIBLE_BASE_URL: webUrl.optional(),
  /** Where the carriers are, when it is not their own hosts (the sandbox). */
  TWILIO_URL: webUrl.optional(),
  TELNYX_URL: webUrl.optional(),
  /** Where carriers reach the API (webhooks) and this process (media sockets): the same as the API's. */
  PUBLIC_URL: webUrl.default('http://127.0.0.1:8080'),
  VOICE_PUBLIC_URL: webUrl.optional(),
  /** Recordings. The same as the API's and the worker's. */
  MEDIA_DIR: z.string().min(1).default('.data/media'),
  LEAD_QUIET_MS: count(300_000, { max: 86_400_000 }),
  /** Phone calls of this process; more are sent on by the carrier's next try. */
  CALLS_MAX: count(150, { max: 5_000 }),
  /** A call whose process gives no sign of life for so long is somebody else's, or over. */
  CALL_LEASE_MS: count(15_000, { max: 600_000 }),
  /** Calls of one tenant at a time, simulated ones too: the same as the API's. */
  TENANT_CALLS_MAX: count(100, { max: 100_000 }),
  PRIVATE_ADDRESSES: list.default([]),
  DB_CONNECTIONS: count(5, { max: 200 }),
  /** Realtime sessions of this process; more are told to try elsewhere. */
  SESSIONS_MAX: count(2_000, { max: 20_000 }),
  /** Realtime sessions of one tenant at a time, over all processes; 0: no limit. */
  SESSIONS_PER_TENANT_MAX: count(500, { min: 0, max: 1_000_000 }),
  /** Requests a minute, the same as the API's: a Realtime response counts as one. */
  RATE_LIMIT_TENANT: count(6_000, { min: 0 }),
  RATE_LIMIT_PROJECT: count(3_000, { min: 0 }),
  SESSION_SECONDS_MAX: count(3_600, { max: 86_400 }),
  /** The media worker of WebRTC: `node scripts/mediasoup-worker.mjs` finds or makes it. Without it there is no WebRTC. */
  MEDIASOUP_WORKER_BIN: z.string().min(1).optional(),
  /** Its processes, one per core that WebRTC may take. */
  WEBRTC_WORKERS: count(1, { max: 64 }),
  /** Where it listens, and what peers are told instead behind a NAT. */
  WEBRTC_LISTEN_IP: z.string().min(1).default('127.0.0.1'),
  WEBRTC_ANNOUNCED_ADDRESS: z.string().min(1).optional(),
  /** One UDP and one TCP port per worker are taken from it, e.g. 40000-40010. */
  WEBRTC_PORTS: Ports.optional(),
  DRAIN_MS: count(30_000, { max: 600_000 }),
  /** Event names of before GA. OpenAI has taken them away (12 May 2026); old clients may need them. */
  REALTIME_BETA: z.stringbool().default(false),
})
export type VoiceEnv = Omit<z.infer<typeof Env>, 'DATABASE_SECRET' | 'VOICE_PUBLIC_URL'> & { DATABASE_SECRET: string; VOICE_PUBLIC_URL: string; speech: SpeechHouseSettings }

/** Throws one Error that lists every fault by name. Values are never repeated: they may be secrets. */
export function readEnv(source: Record<string, string | undefined> = process.env): VoiceEnv {
  const env = readSettings(Env, source)
  return { ...env, VOICE_PUBLIC_URL: env.VOICE_PUBLIC_URL ?? env.PUBLIC_URL, DATABASE_SECRET: databaseSecret(env), speech: speechSettings(env) }
}
