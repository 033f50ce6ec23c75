import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { startSandbox, type Sandbox, type SandboxOptions } from '@trunkline/app-sandbox'
import { openBusiness, type OurNumber } from '../flow/business.ts'
import { environmentOf } from '../flow/environment.ts'
import { freePort, spawnNode, type SpawnedNode } from '../harness/processes.ts'
import { SECRET, type Ground } from './ground.ts'

const entry = (app: string): string => fileURLToPath(new URL(`../../apps/${app}/src/main.ts`, import.meta.url))
export const LEASE_MS = 2_000

/** Real processes: one API, some workers. The sandbox lives here, where its journal can be read. */
export type Fleet = {
  databaseUrl: string
  sandbox: Sandbox
  numbers: OurNumber[]
  /** Those that are ready. */
  workers: SpawnedNode[]
  api: SpawnedNode
  apiUrl: string
  /** Where recordings and media lie. */
  folder: string
  /** Resolves when it is ready. */
  addWorker(): Promise<void>
  startApi(): Promise<void>
  /** A voice process; where carriers find one is `voiceUrl`. */
  startVoice(settings?: Record<string, string>): Promise<SpawnedNode>
  voiceUrl: string
  close(): Promise<void>
}

export type FleetOptions = { numbers: number; workers?: number; settings?: Record<string, string>; statuses?: boolean; speechPace?: SandboxOptions['speechPace'] }

export async function openFleet(ground: Ground, options: FleetOptions): Promise<Fleet> {
  await ground.emptyRedis()
  const databaseUrl = await ground.freshDatabase()
  const folder = await mkdtemp(join(tmpdir(), 'trunkline-chaos-'))
  const sandbox = await startSandbox({ speechPace: options.speechPace, pace: { firstTokenMs: 20 }, retry: { timeoutMs: 5_000, firstMs: 100, factor: 1.5, maxMs: 1_500, attempts: 200 } })
  const [port, voicePort] = [await freePort(), await freePort()]
  const [apiUrl, voiceUrl] = [port, voicePort].map((each) => `http://127.0.0.1:${each}`) as [string, string]
  const environment = environmentOf(sandbox, {
    TRUNKLINE_SECRETS: SECRET, DATABASE_URL: databaseUrl, REDIS_URL: ground.redisUrl, MEDIA_DIR: folder, PORT: String(port), WORKER_PORT: '0', API_PROCESSES: '1',
    LEASE_MS: String(LEASE_MS), SEND_TIMEOUT_MS: '10000', LEAD_QUIET_MS: '3600000', LEAD_LATEST_MS: '7200000', PUBLIC_URL: apiUrl, VOICE_PUBLIC_URL: voiceUrl, TWILIO_URL: `${sandbox.url}/twilio`, DEEPGRAM_API_KEY: 'sandbox', DEEPGRAM_BASE_URL: `${sandbox.url}/deepgram`, START_CREDIT_MICROS: '900000000000', DRAIN_MS: '5000', ...options.settings,
  })
  const nodes: SpawnedNode[] = []
  const spawn = (app: string, settings: Record<string, string> = {}): SpawnedNode => {
    const node = spawnNode(entry(app), { ...environment, ...settings })
    nodes.push(node)
    return node
  }
  const fleet: Fleet = {
    databaseUrl,
    sandbox,
    numbers: [],
    workers: [],
    api: spawn('api'),
    apiUrl,
    voiceUrl,
    folder,
    async addWorker() {
      const worker = spawn('worker')
      await worker.line(/"ready":"worker"/)
      fleet.workers.push(worker)
    },
    async startApi() {
      fleet.api = spawn('api')
      await fleet.api.line(/"ready":"api"/)
    },
    async startVoice(settings = {}) {
      const voice = spawn('voice', { VOICE_PORT: String(voicePort), ...settings })
      await voice.line(/"ready":"voice"/)
      return voice
    },
    async close() {
      // What is left to say has been checked; a drain has tests of its own.
      for (const node of nodes) node.signal('SIGKILL')
      await Promise.all(nodes.map((node) => node.exited))
      await sandbox.close()
      await rm(folder, { recursive: true, force: true })
    },
  }
  try {
    await Promise.all([fleet.api.line(/"ready":"api"/), ...Array.from({ length: options.workers ?? 2 }, () => fleet.addWorker())])
    const place = { apiUrl, sandbox }
    // Several wallets, so that one lock does not set the pace.
    for (let shop = 0; shop < Math.ceil(options.numbers / 10); shop++) {
      const business = await openBusiness(place, `Shop ${shop}`)
      const count = Math.min(10, options.numbers - shop * 10)
      for (let made = 0; made < count; made++) fleet.numbers.push(await business.number(options.statuses === false ? { sandbox: { statuses: false } } : {}))
    }
  } catch (error) {
    await fleet.close()
    throw error
  }
  return fleet
}
