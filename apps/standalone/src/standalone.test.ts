import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { chmodSync, mkdirSync } from 'node:fs'
import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { afterEach, expect, it } from 'vitest'
import { wordsOf } from '../../../channels/testing/speech.ts'
import { freePort, spawnNode, type SpawnedNode } from '../../../tests/harness/processes.ts'

const run = promisify(execFile)
const data = fileURLToPath(new URL('../../../.data', import.meta.url))
const folders: string[] = []

async function folder(): Promise<string> {
  mkdirSync(data, { recursive: true, mode: 0o711 })
  const made = await mkdtemp(join(data, 'test-standalone-'))
  chmodSync(made, 0o711)
  folders.push(made)
  return made
}
afterEach(async () => {
  for (const each of folders.splice(0)) await rm(each, { recursive: true, force: true })
})

async function start(dataDir: string): Promise<{ system: SpawnedNode; text: string }> {
  const [api, sandbox, mail, worker, voice] = [await freePort(), await freePort(), await freePort(), await freePort(), await freePort()]
  const env = { DATA_DIR: dataDir, PORT: String(api), SANDBOX_PORT: String(sandbox), SANDBOX_MAIL_PORT: String(mail), WORKER_PORT: String(worker), VOICE_PORT: String(voice), NO_COLOR: '1' }
  const system = spawnNode('apps/standalone/src/main.ts', env)
  await system.line(/Ctrl-C stops everything/, 60_000)
  return { system, text: text(system) }
}

const text = (process: SpawnedNode) => process.stdout.join('\n')
async function end(process: SpawnedNode, signal: NodeJS.Signals) {
  process.signal(signal)
  return process.exited
}

/** The curl lines exactly as a person would copy them. */
const curls = (printed: string): string[] => [...printed.matchAll(/^ {2}(curl (?:.*\\\n)*.*)$/gm)].map((match) => match[1]!)

it('starts, prints curl lines that work, stops on Ctrl-C and finds its data again', { timeout: 240_000 }, async () => {
  const dataDir = await folder()
  const first = await start(dataDir)
  const [write, read, credits, ring, listen, calls] = curls(first.text)
  const written = JSON.parse((await run('bash', ['-c', write!])).stdout)
  expect(written.delivery).toMatchObject({ state: 'delivered', status: 200 })
  const answered = await poll(async () => {
    const { data: messages } = JSON.parse((await run('bash', ['-c', read!])).stdout) as { data: { direction: string; status: string }[] }
    return messages.some((message) => message.direction === 'outbound' && message.status !== 'queued') ? messages : null
  })
  expect(answered).toHaveLength(2)
  expect(JSON.stringify(answered)).toMatch(/we repair e-bikes of Bosch/i)
  const balance = JSON.parse((await run('bash', ['-c', credits!])).stdout) as { available: { micros: string } }
  expect(BigInt(balance.available.micros)).toBeLessThan(5_000_000n)
  await ringsAndIsAnswered(ring!, listen!, calls!)
  expect(await end(first.system, 'SIGINT')).toMatchObject({ code: 0 })

  const second = await start(dataDir)
  const again = JSON.parse((await run('bash', ['-c', curls(second.text)[2]!])).stdout) as { available: { micros: string } }
  expect(BigInt(again.available.micros)).toBeLessThan(BigInt(balance.available.micros))
  await ringsAndIsAnswered(...(curls(second.text).slice(3, 6) as [string, string, string]))
  expect(await end(second.system, 'SIGTERM')).toMatchObject({ code: 0 })
})

/** Rings, waits for the call that came of it, and hears on its line what the agent said. */
async function ringsAndIsAnswered(ring: string, listen: string, calls: string): Promise<void> {
  const rung = JSON.parse((await run('bash', ['-c', ring])).stdout) as { id: string }
  const call = await poll(async () => {
    const { data } = JSON.parse((await run('bash', ['-c', calls])).stdout) as { data: { carrier_call_id: string; status: string }[] }
    return data.find((each) => each.carrier_call_id === rung.id && each.status === 'completed') ?? null
  }, 40_000)
  expect(call).toMatchObject({ direction: 'inbound', reason: 'caller_hung_up', duration_seconds: expect.any(Number) })
  const folder = await mkdtemp(join(data, 'test-listen-'))
  folders.push(folder)
  await run('bash', ['-c', listen], { cwd: folder })
  const wav = await readFile(join(folder, 'call.wav'))
  const samples = new Int16Array(wav.buffer.slice(wav.byteOffset + 44, wav.byteOffset + wav.length))
  expect(wordsOf(samples.filter((_, index) => index % 2 === 1))).toMatch(/welcome!.*help you\?.*repair e-bikes/si)
}

it('says in one line what is wrong when a port is taken, and leaves nothing behind', { timeout: 120_000 }, async () => {
  const dataDir = await folder()
  const { system, text: printed } = await start(dataDir)
  const taken = /http:\/\/127\.0\.0\.1:(\d+)\/v1/.exec(printed)![1]!
  const other = spawnNode('apps/standalone/src/main.ts', { DATA_DIR: await folder(), PORT: taken, SANDBOX_PORT: '0', SANDBOX_MAIL_PORT: '0', WORKER_PORT: '0', VOICE_PORT: '0' })
  expect(await other.exited).toMatchObject({ code: 1 })
  expect(other.stderr.join('\n')).toMatch(/could not start/)
  expect(other.stderr.join('\n')).toMatch(/PORT=8090 npm start/)
  await end(system, 'SIGINT')
})

it('plays the demonstration day and ends with its counts', { timeout: 240_000 }, async () => {
  const demo = spawnNode('apps/standalone/src/demo.ts', { DATA_DIR: await folder(), NO_COLOR: '1' })
  expect(await demo.exited).toMatchObject({ code: 0 })
  const lastLine = demo.stdout.at(-1)!
  expect(JSON.parse(lastLine)).toMatchObject({ ok: true, doubled: 0, unanswered: 0, calls: 1, interruptions: 1, turns: expect.any(Number), recording_seconds: expect.any(Number) })
})

async function poll<T>(read: () => Promise<T | null>, withinMs = 20_000): Promise<T> {
  const deadline = performance.now() + withinMs
  for (;;) {
    const found = await read()
    if (found !== null) return found
    if (performance.now() > deadline) throw new Error('The answer did not come.')
    await new Promise((resolve) => setTimeout(resolve, 200))
  }
}
