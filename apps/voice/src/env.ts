import { speechEnv, speechSettings, type SpeechHouseSettings } from '@trunkline/media'
import { z } from 'zod'

const Url = z.url({ protocol: /^https?$/ }).transform((url) => url.replace(/\/+$/, ''))
const list = z.string().transform((text) => text.split(',').map((part) => part.trim()).filter((part) => part !== ''))
const Count = (fallback: number, max: number) => z.coerce.number().int().min(1).max(max).default(fallback)

const Ports = z.string().regex(/^\d{4,5}-\d{4,5}$/, 'two ports, as in 40000-40010').transform((text) => ({ min: Number(text.split('-')[0]), max: Number(text.split('-')[1]) })).refine(({ min, max }) => min <= max && max <= 65_535, 'the first port is the smaller one, and 65535 the largest')

const Env = z.object({
  DATABASE_URL: z.url({ protocol: /^postgres(ql)?$/ }),
  REDIS_URL: z.url({ protocol: /^rediss?$/ }),
  REDIS_PREFIX: z.string().regex(/^[\w-]{1,40}:$/, 'letters, digits, _ or -, with a colon at the end').default('tl:'),
  /** Newest first, separated by commas. The same as the API's. */
  TRUNKLINE_SECRETS: list.refine((secrets) => secrets.length > 0 && secrets.every((secret) => secret.length >= 32), 'one or more secrets of 32 characters or more, separated by commas'),
  DATABASE_SECRET: z.string().min(32).optional(),
  LOG_LEVEL: z.enum(['debug', 'info', 'warn', 'error', 'silent']).default('info'),
  HOST: z.string().default('127.0.0.1'),
  VOICE_PORT: z.coerce.number().int().min(0).max(65_535).default(8082),
  ...speechEnv,
  ANTHROPIC_API_KEY: z.string().min(1).optional(),
  ANTHROPIC_BASE_URL: Url.optional(),
  GROQ_API_KEY: z.string().min(1).optional(),
  GROQ_BASE_URL: Url.optional(),
  COMPATIBLE_API_KEY: z.string().min(1).optional(),
  COMPATIBLE_BASE_URL: Url.optional(),
  /** Where the carriers are, when it is not their own hosts (the sandbox). */
  TWILIO_URL: Url.optional(),
  TELNYX_URL: Url.optional(),
  /** Where carriers reach the API (webhooks) and this process (media sockets): the same as the API's. */
  PUBLIC_URL: Url.default('http://127.0.0.1:8080'),
  VOICE_PUBLIC_URL: Url.optional(),
  /** Recordings. The same as the API's and the worker's. */
  MEDIA_DIR: z.string().min(1).default('.data/media'),
  LEAD_QUIET_MS: Count(300_000, 86_400_000),
  /** Phone calls of this process; more are sent on by the carrier's next try. */
  CALLS_MAX: Count(150, 5_000),
  /** A call whose process gives no sign of life for so long is somebody else's, or over. */
  CALL_LEASE_MS: Count(15_000, 600_000),
  PRIVATE_ADDRESSES: list.default([]),
  DB_CONNECTIONS: Count(5, 200),
  /** Realtime sessions of this process; more are told to try elsewhere. */
  SESSIONS_MAX: Count(2_000, 20_000),
  SESSION_SECONDS_MAX: Count(3_600, 86_400),
  /** The media worker of WebRTC: `node scripts/mediasoup-worker.mjs` finds or makes it. Without it there is no WebRTC. */
  MEDIASOUP_WORKER_BIN: z.string().min(1).optional(),
  /** Its processes, one per core that WebRTC may take. */
  WEBRTC_WORKERS: Count(1, 64),
  /** Where it listens, and what peers are told instead behind a NAT. */
  WEBRTC_LISTEN_IP: z.string().min(1).default('127.0.0.1'),
  WEBRTC_ANNOUNCED_ADDRESS: z.string().min(1).optional(),
  /** One UDP and one TCP port per worker are taken from it, e.g. 40000-40010. */
  WEBRTC_PORTS: Ports.optional(),
  DRAIN_MS: Count(30_000, 600_000),
  /** Event names of before GA. OpenAI has taken them away (12 May 2026); old clients may need them. */
  REALTIME_BETA: z.stringbool().default(false),
})
export type VoiceEnv = Omit<z.infer<typeof Env>, 'DATABASE_SECRET' | 'VOICE_PUBLIC_URL'> & { DATABASE_SECRET: string; VOICE_PUBLIC_URL: string; speech: SpeechHouseSettings }

/** Throws one Error that lists every fault by name. Values are never repeated: they may be secrets. */
export function readEnv(source: Record<string, string | undefined> = process.env): VoiceEnv {
  const given = Object.fromEntries(Object.entries(source).filter(([, value]) => value !== undefined && value !== ''))
  const parsed = Env.safeParse(given)
  if (!parsed.success) throw new Error(`The environment is not complete:\n${parsed.error.issues.map((issue) => `  ${issue.path.join('.')}: ${given[String(issue.path[0])] === undefined ? 'is missing' : issue.message}`).join('\n')}`)
  return { ...parsed.data, VOICE_PUBLIC_URL: parsed.data.VOICE_PUBLIC_URL ?? parsed.data.PUBLIC_URL, DATABASE_SECRET: parsed.data.DATABASE_SECRET ?? parsed.data.TRUNKLINE_SECRETS.at(-1)!, speech: speechSettings(parsed.data) }
}
