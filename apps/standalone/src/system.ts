import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { buildApp, compose, readEnv as readApiEnv } from '@trunkline/app-api'
import { startSandbox, type Sandbox, type SandboxOptions } from '@trunkline/app-sandbox'
import { composeVoice, readEnv as readVoiceEnv } from '@trunkline/app-voice'
import { composeWorker, readEnv as readWorkerEnv, startHealthServer } from '@trunkline/app-worker'
import type { Logger } from '@trunkline/core'
import { migrate } from '@trunkline/db'
import { findMediaWorker } from './infra/media-worker.ts'
import { startPostgres } from './infra/postgres.ts'
import { startRedis } from './infra/redis.ts'
import { secretFrom } from './infra/secret-file.ts'

export type SystemOptions = {
  dataDir: string
  databaseUrl?: string | undefined
  redisUrl?: string | undefined
  ports: { api: number; sandbox: number; mail: number; worker: number; voice: number }
  sandbox?: Pick<SandboxOptions, 'pace' | 'retry'>
  /** More environment for api and worker, e.g. shorter lead intervals for a demonstration. */
  settings?: Record<string, string>
  openai?: { apiKey: string; baseUrl?: string | undefined } | undefined
  log: (name: string) => Logger
  progress: (step: string) => void
}

export type System = {
  apiUrl: string
  databaseUrl: string
  workerUrl: string
  voiceUrl: string
  sandbox: Sandbox
  /** Servers that ended although nobody asked them to. */
  failed: Promise<string>
  stop(): Promise<void>
}

type Part = { name: string; stop(): Promise<void> }

/** The whole of Trunkline in one process, on private servers: Postgres, Redis, sandbox, api, worker, voice. What started is stopped again when a later part fails. */
export async function startSystem(options: SystemOptions): Promise<System> {
  const parts: Part[] = []
  const stop = async () => {
    for (const part of parts.splice(0).reverse()) await part.stop()
  }
  try {
    return await startParts(options, parts, stop)
  } catch (error) {
    await stop()
    throw error
  }
}

async function startParts(options: SystemOptions, parts: Part[], stop: () => Promise<void>): Promise<System> {
  const { dataDir, progress } = options
  mkdirSync(dataDir, { recursive: true, mode: 0o711 })
  const secret = secretFrom(join(dataDir, 'secret'))
  const servers = await startServers(options, parts)
  progress('migrating the database')
  await migrate(servers.databaseUrl, secret)

  progress('starting the sandbox of providers')
  const sandbox = await startSandbox({ port: options.ports.sandbox, mailPort: options.ports.mail, ...options.sandbox })
  parts.push({ name: 'sandbox', stop: () => sandbox.close() })

  const mediaWorker = await findMediaWorker()
  const environment = { ...environmentOf(options, servers, secret, sandbox), ...(mediaWorker === null ? {} : { MEDIASOUP_WORKER_BIN: mediaWorker }) }
  progress('starting the worker')
  const worker = await composeWorker(readWorkerEnv(environment), options.log('worker'))
  parts.push({ name: 'worker', stop: () => worker.stop() })
  await worker.start()
  const health = await startHealthServer(worker, { host: '127.0.0.1', port: options.ports.worker })
  parts.push({ name: 'worker health', stop: () => health.close() })

  progress('starting the voice process')
  const voice = await composeVoice(readVoiceEnv(environment), options.log('voice'))
  parts.push({ name: 'voice', stop: () => voice.close() })
  const voiceUrl = await voice.listen()

  progress('starting the API')
  const api = await compose(readApiEnv(environment), options.log('api'))
  parts.push({ name: 'api parts', stop: () => api.close() })
  const app = await buildApp(api.deps)
  parts.push({ name: 'api', stop: () => app.close() })
  const apiUrl = await app.listen({ host: '127.0.0.1', port: options.ports.api })
  return { apiUrl, databaseUrl: servers.databaseUrl, workerUrl: health.url, voiceUrl, sandbox, failed: servers.failed, stop }
}

async function startServers(options: SystemOptions, parts: Part[]): Promise<{ databaseUrl: string; redisUrl: string; failed: Promise<string> }> {
  const endings: Promise<string>[] = []
  const own = async (name: string, start: () => Promise<{ url: string; exited: Promise<unknown>; stop(): Promise<void> }>) => {
    options.progress(`starting ${name}`)
    const server = await start()
    parts.push({ name, stop: () => server.stop() })
    endings.push(server.exited.then(() => name))
    return server.url
  }
  const databaseUrl = options.databaseUrl ?? (await own('PostgreSQL', () => startPostgres({ dataDir: join(options.dataDir, 'postgres'), log: options.progress })))
  const redisUrl = options.redisUrl ?? (await own('Redis', () => startRedis({ dataDir: join(options.dataDir, 'redis') })))
  return { databaseUrl, redisUrl, failed: endings.length > 0 ? Promise.race(endings) : new Promise(() => {}) }
}

/** One environment for all apps, as an operator would write it. */
function environmentOf(options: SystemOptions, servers: { databaseUrl: string; redisUrl: string }, secret: string, sandbox: Sandbox): Record<string, string> {
  const openai = options.openai ? { OPENAI_API_KEY: options.openai.apiKey, ...(options.openai.baseUrl ? { OPENAI_BASE_URL: options.openai.baseUrl } : {}) } : { OPENAI_API_KEY: 'sandbox', OPENAI_BASE_URL: `${sandbox.url}/v1` }
  return {
    DATABASE_URL: servers.databaseUrl,
    REDIS_URL: servers.redisUrl,
    TRUNKLINE_SECRETS: secret,
    PORT: String(options.ports.api),
    PUBLIC_URL: `http://127.0.0.1:${options.ports.api}`,
    VOICE_PORT: String(options.ports.voice),
    VOICE_URL: `http://127.0.0.1:${options.ports.voice}`,
    VOICE_PUBLIC_URL: `http://127.0.0.1:${options.ports.voice}`,
    MEDIA_DIR: join(options.dataDir, 'media'),
    GRAPH_URL: sandbox.url,
    TWILIO_URL: `${sandbox.url}/twilio`,
    TELNYX_URL: `${sandbox.url}/telnyx`,
    SANDBOX_URL: sandbox.url,
    SMTP_URL: `smtp://127.0.0.1:${sandbox.mailPort}`,
    PRIVATE_ADDRESSES: new URL(sandbox.url).host,
    API_PROCESSES: '1',
    // The sandbox's ear hears the sandbox's voices only: whoever brings a real key talks, and is to be heard by it.
    ...(options.openai ? {} : { DEEPGRAM_API_KEY: 'sandbox', DEEPGRAM_BASE_URL: `${sandbox.url}/deepgram`, VAD: 'energy' }),
    ANTHROPIC_API_KEY: 'sandbox',
    ANTHROPIC_BASE_URL: `${sandbox.url}/anthropic`,
    ...openai,
    ...options.settings,
  }
}
