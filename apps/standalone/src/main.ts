import { join } from 'node:path'
import { silentLogger } from '@trunkline/core'
import { createLog } from '@trunkline/telemetry'
import pc from 'picocolors'
import { readEnv } from './env.ts'
import { secretFrom } from './infra/secret-file.ts'
import { demoTenant, tellSandbox, type DemoTenant } from './seed.ts'
import { startSystem, type System } from './system.ts'

const started = performance.now()
const seconds = () => `${((performance.now() - started) / 1_000).toFixed(1).padStart(5)} s`
const progress = (step: string) => console.log(pc.dim(`${seconds()}  ${step}`))

async function main(): Promise<void> {
  const env = readEnv()
  const system = await startSystem({
    dataDir: env.DATA_DIR,
    databaseUrl: env.DATABASE_URL,
    redisUrl: env.REDIS_URL,
    ports: { api: env.PORT, sandbox: env.SANDBOX_PORT, mail: env.SANDBOX_MAIL_PORT, worker: env.WORKER_PORT, voice: env.VOICE_PORT },
    openai: env.OPENAI_API_KEY ? { apiKey: env.OPENAI_API_KEY, baseUrl: env.OPENAI_BASE_URL } : undefined,
    log: (name) => (env.LOG_LEVEL === 'silent' ? silentLogger : createLog({ level: env.LOG_LEVEL, name })),
    progress,
  })
  stopOnSignals(system)
  await tellSandbox(system.sandbox, { databaseUrl: system.databaseUrl, secret: secretFrom(join(env.DATA_DIR, 'secret')), apiUrl: system.apiUrl })
  const tenant = await demoTenant(system.apiUrl, env.DATA_DIR)
  welcome(system, tenant, env.OPENAI_API_KEY === undefined)
}

/** Ctrl-C and SIGTERM end everything in order; a second Ctrl-C does not wait. A server that dies takes the rest along, with a word. */
function stopOnSignals(system: System): void {
  let stopping = false
  const stop = (why: string, code: number) => {
    if (stopping) process.exit(1)
    stopping = true
    console.log(`\n${pc.dim(`${why}: finishing what is under way, then stopping (again to stop at once)`)}`)
    system.stop().then(() => process.exit(code), (error: unknown) => {
      console.error(error)
      process.exit(1)
    })
  }
  process.on('SIGINT', () => stop('interrupted', 0))
  process.on('SIGTERM', () => stop('asked to end', 0))
  void system.failed.then((name) => {
    if (!stopping) stop(`${name} has ended; its log is in the data folder`, 1)
  })
}

/** `canRing`: the recogniser understands the sandbox's voices, in which its callers speak. */
function welcome(system: System, tenant: DemoTenant, canRing: boolean): void {
  const { apiUrl, sandbox, voiceUrl } = system
  const row = (name: string, value: string) => `  ${name.padEnd(10)} ${pc.cyan(value)}`
  const auth = `-H 'Authorization: Bearer ${tenant.apiKey}'`
  console.log(`
${pc.bold(pc.green('Trunkline is running.'))} ${pc.dim(`(${seconds().trim()})`)}

${row('API', `${apiUrl}/v1`)}
${row('API docs', `${apiUrl}/docs`)}
${row('Realtime', `${voiceUrl.replace('http', 'ws')}/v1/realtime?model=...`)}  ${pc.dim('as OpenAI\'s, with this API key')}
${row('Sandbox', sandbox.url)}  ${pc.dim('write to the demo number as a customer; see mail and faults')}
${row('API key', tenant.apiKey)}
${row('Log in', `${tenant.email} / ${tenant.password}`)}

Try it:

  ${pc.dim('# 1. a customer writes on WhatsApp (a signed webhook, as Meta sends it)')}
  curl -s ${sandbox.url}/sandbox/whatsapp/customers/4915112345678/messages -H 'content-type: application/json' \\
    -d '{"phone_number_id":"${tenant.whatsappNumber}","name":"Ada","text":"Hello! Do you repair e-bikes? I am Ada, ada@example.com"}'

  ${pc.dim('# 2. two seconds later: the messages, both ways, with the answer')}
  curl -s '${apiUrl}/v1/messages?limit=2' ${auth}

  ${pc.dim('# 3. what it cost')}
  curl -s '${apiUrl}/v1/credits' ${auth}
${canRing && tenant.telephone !== null ? telephoneLines(system, tenant.telephone, auth) : ''}
${pc.dim('Next: npm run demo plays a whole day. Ctrl-C stops everything; data stays in .data/.')}`)
}

/** A call as a person with curl makes it. Four seconds of silence are the greeting; 18 s after the answer the caller hangs up. */
function telephoneLines({ apiUrl, sandbox }: System, number: string, auth: string): string {
  const calls = `${sandbox.url}/sandbox/carriers/twilio/calls`
  return `
  ${pc.dim('# 4. somebody rings, asks, and hangs up after a while (Twilio, as the sandbox plays it)')}
  curl -s ${calls} -H 'content-type: application/json' \\
    -d '{"from":"+447700900123","to":"${number}","says":[{"silence_ms":4000},{"text":"Do you repair e-bikes?"}],"hangs_up_after_ms":18000}'

  ${pc.dim('# 5. twenty seconds later: what both said (tones, a recogniser reads them), as a WAV file')}
  curl -s "${calls}/$(curl -s ${calls} | grep -o 'CA[0-9a-f]*' | tail -1)/audio" -o call.wav

  ${pc.dim('# 6. the call: how it went, and what it cost')}
  curl -s '${apiUrl}/v1/calls?limit=1' ${auth}
`
}

try {
  await main()
} catch (error) {
  console.error(`\n${pc.red('Trunkline could not start.')} ${error instanceof Error ? error.message : String(error)}`)
  if (isPortTaken(error)) console.error('Another program has this port. Set PORT, SANDBOX_PORT, SANDBOX_MAIL_PORT, WORKER_PORT or VOICE_PORT, e.g. PORT=8090 npm start')
  process.exit(1)
}

function isPortTaken(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'EADDRINUSE'
}
