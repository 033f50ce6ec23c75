import { AppError } from '@trunkline/core'
import type { types } from 'mediasoup'
import { CODECS } from './codecs.ts'
import type { OfferedCodec } from './offer.ts'

export type WorkerSettings = {
  /** The mediasoup-worker binary (scripts/mediasoup-worker.mjs). */
  workerBin: string
  /** Processes; each is good for one core. */
  count: number
  listen: ListenSettings
  onFault: (error: unknown) => void
  /** How often the workers are asked for a sign of life. */
  probeMs?: number
  /** One that does not answer for so long hangs: it is killed and replaced like one that died. */
  hangTimeoutMs?: number
}

export type ListenSettings = {
  /** Address of this machine to listen on. */
  ip: string
  /** What peers are told instead, when this machine is behind a NAT: an address or a host name. */
  announcedAddress?: string
  /** One UDP and one TCP port per worker are taken from it. Without it the system chooses. */
  portRange?: { min: number; max: number }
}

const HANG_TIMEOUT_MS = 10_000
const PROBE_MS = 5_000
/** A worker that dies young is replaced ever more slowly. */
const YOUNG_MS = 10_000
const MAX_RESPAWN_MS = 10_000
/** How long a call waits for a worker while all of them are being replaced. */
const WAIT_FOR_WORKER_MS = 5_000

/** One worker process with its ports. Routers are shared: rooms mix in our process, so a router only knows a codec. */
export class WorkerHost {
  readonly worker: types.Worker
  readonly server: types.WebRtcServer
  peers = 0
  readonly bornAtMs = performance.now()
  readonly #routers = new Map<string, Promise<types.Router>>()

  constructor(worker: types.Worker, server: types.WebRtcServer) {
    this.worker = worker
    this.server = server
  }

  /** With the peer's own payload type: what the worker sends has the router's, and an answer keeps the offer's (RFC 3264 §6.1). */
  router({ codec, payloadType }: OfferedCodec): Promise<types.Router> {
    const key = `${codec}/${payloadType}`
    const known = this.#routers.get(key)
    if (known) return known
    const { mimeType, clockRateHz, channels } = CODECS[codec]
    const made = this.worker.createRouter({ mediaCodecs: [{ kind: 'audio', mimeType, clockRate: clockRateHz, channels, preferredPayloadType: payloadType }] })
    this.#routers.set(key, made)
    made.catch(() => this.#routers.delete(key))
    return made
  }
}

/** The worker processes. One that dies or hangs is replaced; what was on it learns from mediasoup (`routerclose`). */
export class WorkerPool {
  readonly #settings: WorkerSettings
  readonly #hosts = new Set<WorkerHost>()
  readonly #respawns = new Set<NodeJS.Timeout>()
  readonly #probe: NodeJS.Timeout
  #waiting: ((host: WorkerHost) => void)[] = []
  #youngDeaths = 0
  #closed = false

  private constructor(settings: WorkerSettings) {
    this.#settings = settings
    this.#probe = setInterval(() => this.#probeAll(), settings.probeMs ?? PROBE_MS).unref()
  }

  /** Rejects when one cannot be started: a wrong binary or a port that is taken is a fault of the installation. */
  static async start(settings: WorkerSettings): Promise<WorkerPool> {
    const pool = new WorkerPool(settings)
    try {
      await Promise.all(Array.from({ length: settings.count }, () => pool.#spawn()))
      return pool
    } catch (error) {
      pool.close()
      throw error
    }
  }

  get pids(): number[] {
    return [...this.#hosts].map(({ worker }) => worker.pid)
  }

  /** The worker with the fewest peers. Rejects with AppError `unavailable` when none comes back in time. */
  async take(): Promise<WorkerHost> {
    const hosts = [...this.#hosts]
    if (hosts.length > 0) return hosts.reduce((least, host) => (host.peers < least.peers ? host : least))
    if (this.#closed) throw unavailable()
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#waiting = this.#waiting.filter((other) => other !== got)
        reject(unavailable())
      }, WAIT_FOR_WORKER_MS)
      const got = (host: WorkerHost): void => {
        clearTimeout(timer)
        resolve(host)
      }
      this.#waiting.push(got)
    })
  }

  close(): void {
    this.#closed = true
    clearInterval(this.#probe)
    for (const timer of this.#respawns) clearTimeout(timer)
    for (const { worker } of this.#hosts) worker.close()
    this.#hosts.clear()
  }

  async #spawn(): Promise<void> {
    // Loaded here: who mixes in plain code only need not have the library.
    const { createWorker } = await import('mediasoup')
    const worker = await createWorker({ workerBin: this.#settings.workerBin, logLevel: 'error' })
    leaveSignalsAlone(worker)
    if (this.#closed) return worker.close()
    try {
      const host = new WorkerHost(worker, await worker.createWebRtcServer({ listenInfos: listenInfos(this.#settings.listen) }))
      worker.on('died', (error) => this.#replace(host, error))
      this.#hosts.add(host)
      for (const got of this.#waiting.splice(0)) got(host)
    } catch (error) {
      worker.close()
      throw error
    }
  }

  #replace(host: WorkerHost, error: Error): void {
    if (!this.#hosts.delete(host) || this.#closed) return
    this.#settings.onFault(new Error('A media worker died.', { cause: error }))
    this.#youngDeaths = performance.now() - host.bornAtMs < YOUNG_MS ? this.#youngDeaths + 1 : 0
    this.#respawn()
  }

  #respawn(): void {
    const delayMs = this.#youngDeaths <= 1 ? 0 : Math.min(MAX_RESPAWN_MS, 250 * 2 ** this.#youngDeaths)
    const timer = setTimeout(() => {
      this.#respawns.delete(timer)
      this.#spawn().catch((error: unknown) => {
        this.#youngDeaths++
        this.#settings.onFault(new Error('A media worker could not be started again.', { cause: error }))
        if (!this.#closed) this.#respawn()
      })
    }, delayMs)
    this.#respawns.add(timer)
  }

  #probeAll(): void {
    for (const { worker } of this.#hosts) {
      const hung = setTimeout(() => kill(worker.pid), this.#settings.hangTimeoutMs ?? HANG_TIMEOUT_MS)
      worker.getResourceUsage().then(
        () => clearTimeout(hung),
        () => clearTimeout(hung),
      )
    }
  }
}

function listenInfos({ ip, announcedAddress, portRange }: ListenSettings): types.TransportListenInfo[] {
  // Room for a burst of all calls at once; the kernel's default holds about 100 packets.
  const common = { ip, announcedAddress, portRange, recvBufferSize: 4 * 1024 * 1024, sendBufferSize: 4 * 1024 * 1024 }
  return [
    { protocol: 'udp', ...common },
    { protocol: 'tcp', ...common },
  ]
}

/**
 * mediasoup closes its workers when this process gets SIGTERM (Worker.js, `onSignal`), and with them the calls that the
 * process wants to let end. When to stop is for the app to say.
 */
function leaveSignalsAlone(worker: types.Worker): void {
  const { onSignal } = worker as { onSignal?: NodeJS.SignalsListener }
  if (!onSignal) throw new Error('mediasoup handles signals in another way than before: calls would end with SIGTERM.')
  process.off('SIGTERM', onSignal).off('SIGINT', onSignal)
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL')
  } catch {
    // It has just ended by itself, which `died` tells.
  }
}

function unavailable(): AppError {
  return new AppError('unavailable', { message: 'No media worker is available.', retryAfterMs: 1_000 })
}
