import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { spawnNode } from './processes.ts'

let folder: string
let entry: string

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'trunkline-processes-'))
  entry = join(folder, 'child.ts')
  writeFileSync(
    entry,
    `const mode: string = process.env.MODE ?? 'serve';
     console.error('a word of warning');
     console.log('ready on port 1234');
     if (mode === 'fail') process.exit(3);
     if (mode === 'stubborn') process.on('SIGTERM', () => {});
     setInterval(() => console.log('tick'), 5);`,
  )
})
afterAll(() => rmSync(folder, { recursive: true }))

describe('a spawned process', () => {
  it('tells its ready line and ends with SIGTERM', async () => {
    const child = spawnNode(entry)
    const match = await child.line(/ready on port (\d+)/)
    expect(match[1]).toBe('1234')
    await child.stop()
    expect(await child.exited).toEqual({ code: null, signal: 'SIGTERM' })
    expect(child.stderr).toContain('a word of warning')
  })

  it('fails the wait for a line with its stderr when it ends first', async () => {
    const child = spawnNode(entry, { MODE: 'fail' })
    await expect(child.line(/never/)).rejects.toThrow(/ended with 3[\s\S]*a word of warning/)
  })

  it('fails the wait for a line that does not come in time', async () => {
    const child = spawnNode(entry)
    await expect(child.line(/never/, 100)).rejects.toThrow('no line within 100 ms that matches /never/')
    await child.stop()
  })

  it.runIf(process.platform === 'linux')('can be frozen and thawed, and stopped while frozen', async () => {
    const child = spawnNode(entry)
    await child.line(/tick/)
    child.signal('SIGSTOP')
    await expect.poll(() => readFileSync(`/proc/${child.pid}/stat`, 'utf8').split(') ')[1]?.[0]).toBe('T')
    child.signal('SIGCONT')
    const seen = child.stdout.length
    await expect.poll(() => child.stdout.length).toBeGreaterThan(seen)
    child.signal('SIGSTOP')
    await child.stop()
    expect(await child.exited).toEqual({ code: null, signal: 'SIGTERM' })
  })

  it('sees nothing of this environment but what it is given', async () => {
    process.env.A_SECRET_OF_THE_MACHINE = 'x'
    const other = join(folder, 'environment.ts')
    writeFileSync(other, 'console.log(JSON.stringify(Object.keys(process.env)))')
    const child = spawnNode(other, { GIVEN: '1' })
    const [line] = await child.line(/^\[.*\]$/)
    delete process.env.A_SECRET_OF_THE_MACHINE
    expect(line).toContain('GIVEN')
    expect(line).not.toContain('A_SECRET_OF_THE_MACHINE')
  })
})
