import { systemClock } from '@trunkline/core'
import { buildApp } from './app.ts'
import { compose } from './compose.ts'
import { readEnv, type ApiEnv } from './env.ts'
import { createLog, growHeapSlowly } from '@trunkline/telemetry'
import { migrate } from '@trunkline/db'

/** Ready line on standard output: `{"ready":"api","url":"http://..."}`. Exit codes: 0 drained, 1 could not start or did not drain in time. */
async function main(env: ApiEnv): Promise<void> {
  growHeapSlowly(100)
  const log = createLog({ level: env.LOG_LEVEL, name: 'api' })
  if (env.MIGRATE) await migrate(env.DATABASE_URL, env.DATABASE_SECRET)
  const composed = await compose(env, log)
  const app = await buildApp(composed.deps)
  const url = await app.listen({ host: env.HOST, port: env.PORT, backlog: 1_024 })
  let draining = false
  const drain = (signal: string) => {
    if (draining) return
    draining = true
    log.info({ signal }, 'draining')
    // Fastify refuses new requests and waits for those under way; a socket that never ends must not hold the process.
    systemClock.after(env.DRAIN_TIMEOUT_MS, () => process.exit(1))
    void app.close().then(() => composed.close()).then(() => process.exit(0), (err: unknown) => {
      log.error({ err }, 'the drain failed')
      process.exit(1)
    })
  }
  process.on('SIGTERM', () => drain('SIGTERM')).on('SIGINT', () => drain('SIGINT'))
  process.on('unhandledRejection', (err) => log.error({ err }, 'a rejection that nobody handled'))
  console.log(JSON.stringify({ ready: 'api', url }))
}

try {
  await main(readEnv())
} catch (error) {
  console.error(error instanceof Error ? error.message : 'The API could not start.')
  process.exit(1)
}
