import { createLog, growHeapSlowly } from '@trunkline/telemetry'
import { composeVoice } from './compose.ts'
import { readEnv, type VoiceEnv } from './env.ts'

/** Ready line on standard output: `{"ready":"voice","url":"http://..."}`. Exit codes: 0 drained, 1 could not start or did not drain in time. */
async function main(env: VoiceEnv): Promise<void> {
  growHeapSlowly(100)
  const log = createLog({ level: env.LOG_LEVEL, name: 'voice' })
  const voice = await composeVoice(env, log)
  const url = await voice.listen()
  let draining = false
  const drain = (signal: string) => {
    if (draining) return
    draining = true
    log.info({ signal }, 'draining')
    setTimeout(() => process.exit(1), env.DRAIN_MS).unref()
    void voice.close().then(() => process.exit(0), (error: unknown) => {
      log.error({ error }, 'the drain failed')
      process.exit(1)
    })
  }
  process.on('SIGTERM', () => drain('SIGTERM')).on('SIGINT', () => drain('SIGINT'))
  process.on('unhandledRejection', (error) => log.error({ error }, 'a rejection that nobody handled'))
  console.log(JSON.stringify({ ready: 'voice', url }))
}

try {
  await main(readEnv())
} catch (error) {
  console.error(error instanceof Error ? error.message : 'The voice could not start.')
  process.exit(1)
}
