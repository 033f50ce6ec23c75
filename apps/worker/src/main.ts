import { createLog, growHeapSlowly } from '@trunkline/telemetry'
import { composeWorker } from './compose.ts'
import { readEnv, type WorkerEnv } from './env.ts'
import { startHealthServer } from './server.ts'

/** How long after the drain's own deadline the process is ended whatever still hangs. */
const GRACE_MS = 5_000

/** Ready line on standard output: `{"ready":"worker","url":"http://..."}`. Exit codes: 0 drained, 1 could not start or did not drain in time. */
async function main(env: WorkerEnv): Promise<void> {
  growHeapSlowly(20)
  const log = createLog({ level: env.LOG_LEVEL, name: 'worker' })
  const worker = await composeWorker(env, log)
  await worker.start()
  const server = await startHealthServer(worker, { host: env.HOST, port: env.WORKER_PORT })
  let draining = false
  const drain = (signal: string) => {
    if (draining) return
    draining = true
    log.info({ signal }, 'draining')
    setTimeout(() => process.exit(1), env.DRAIN_MS + GRACE_MS).unref()
    void server.close().then(() => worker.stop()).then(() => process.exit(0), (error: unknown) => {
      log.error({ error }, 'the drain failed')
      process.exit(1)
    })
  }
  process.on('SIGTERM', () => drain('SIGTERM')).on('SIGINT', () => drain('SIGINT'))
  process.on('unhandledRejection', (error) => log.error({ error }, 'a rejection that nobody handled'))
  console.log(JSON.stringify({ ready: 'worker', url: server.url }))
}

try {
  await main(readEnv())
} catch (error) {
  console.error(error instanceof Error ? error.message : 'The worker could not start.')
  process.exit(1)
}
