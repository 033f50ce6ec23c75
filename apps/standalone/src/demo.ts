import { chmod, mkdtemp, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { createLog } from '@trunkline/telemetry'
import { createWriteStream, mkdirSync } from 'node:fs'
import pc from 'picocolors'
import { callScenes } from './demo/call.ts'
import { readDay } from './demo/facts.ts'
import { printReport } from './demo/report.ts'
import { STORY } from './demo/story.ts'
import { buildTown } from './demo/town.ts'
import { readEnv } from './env.ts'
import { freePort } from './infra/port.ts'
import { startSystem, type System } from './system.ts'

/** Lead intervals of a day that is over in half a minute. */
const QUICK = { LEAD_QUIET_MS: '1500', LEAD_LATEST_MS: '6000' }

async function main(): Promise<boolean> {
  const { DATA_DIR } = readEnv()
  mkdirSync(DATA_DIR, { recursive: true, mode: 0o711 })
  const folder = await mkdtemp(join(DATA_DIR, 'demo-'))
  // PostgreSQL runs as a user of its own, who must be able to enter.
  await chmod(folder, 0o711)
  const logFile = join(DATA_DIR, 'demo.log')
  const destination = createWriteStream(logFile)
  console.log(`${pc.bold('A day at Harbour Bikes')} ${pc.dim('— the real system, offline; the world outside is played by the sandbox')}\n`)
  let system: System | undefined
  try {
    system = await startOn(folder, destination)
    return await playDay(system, join(DATA_DIR, 'demo-call.wav'))
  } finally {
    await system?.stop()
    await rm(folder, { recursive: true, force: true })
    destination.end()
  }
}

async function startOn(folder: string, destination: NodeJS.WritableStream): Promise<System> {
  const [api, sandbox, mail, worker, voice] = [await freePort(), await freePort(), await freePort(), await freePort(), await freePort()]
  const startMs = performance.now()
  const system = await startSystem({
    dataDir: folder,
    ports: { api, sandbox, mail, worker, voice },
    settings: QUICK,
    log: (name) => createLog({ level: 'info', name, destination }),
    progress: (step) => console.log(pc.dim(`  … ${step}`)),
  })
  console.log(pc.dim(`  everything runs after ${((performance.now() - startMs) / 1_000).toFixed(1)} s at ${system.apiUrl}\n`))
  return system
}

async function playDay(system: System, recordingPath: string): Promise<boolean> {
  const town = await buildTown(system)
  tell('Harbour Bikes signs up', 'a receptionist, numbers to try it on, a first key, start credit, a verification mail')
  for (const scene of [...STORY, ...callScenes()]) {
    tell(scene.title, await scene.play(town))
  }
  const facts = await readDay(town, recordingPath)
  printReport(facts)
  for (const fault of facts.faults) console.log(`\n${pc.red(`✗ ${fault}`)}`)
  const ok = facts.faults.length === 0
  console.log(`\n${ok ? pc.green(pc.bold('The day went well.')) : pc.red('The day did not go well.')} ${pc.dim('Next: npm start, then write and ring yourself.')}`)
  console.log(JSON.stringify({ ok, ...facts.counts }))
  return ok
}

function tell(title: string, outcome: string): void {
  console.log(`  ${pc.green('✓')} ${title}\n    ${pc.dim(`→ ${outcome}`)}`)
}

let ok = false
try {
  ok = await main()
} catch (error) {
  console.error(`\n${pc.red('The demo failed:')} ${error instanceof Error ? error.message : String(error)}`)
  console.log(JSON.stringify({ ok: false }))
}
process.exit(ok ? 0 : 1)
