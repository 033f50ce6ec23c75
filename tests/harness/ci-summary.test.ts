import { execFileSync, spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'

const SCRIPT = fileURLToPath(new URL('../../scripts/ci-summary.mjs', import.meta.url))
let folder: string
beforeAll(() => void (folder = mkdtempSync(join(tmpdir(), 'trunkline-summary-'))))
afterAll(() => rmSync(folder, { recursive: true }))

function summarise(testResults: { status: string; assertionResults: { status: string }[] }[]) {
  const file = join(folder, 'report.json')
  writeFileSync(file, JSON.stringify({ testResults }))
  const { status, stdout } = spawnSync(process.execPath, [SCRIPT, file], { encoding: 'utf8' })
  return { status, lastLine: stdout.trimEnd().split('\n').at(-1) }
}

describe('the closing line of a CI run', () => {
  it('counts what passed, failed and was skipped', () => {
    const tests = ['passed', 'passed', 'skipped', 'todo'].map((status) => ({ status }))
    expect(summarise([{ status: 'passed', assertionResults: tests }])).toEqual({ status: 0, lastLine: '2 passed, 0 failed, 2 skipped' })
  })

  it('ends with 1 when a test failed', () => {
    const tests = ['passed', 'failed'].map((status) => ({ status }))
    expect(summarise([{ status: 'failed', assertionResults: tests }])).toEqual({ status: 1, lastLine: '1 passed, 1 failed, 0 skipped' })
  })

  it('counts a file that could not be loaded as a failure', () => {
    const files = [
      { status: 'failed', assertionResults: [] },
      { status: 'passed', assertionResults: [{ status: 'passed' }] },
    ]
    expect(summarise(files)).toEqual({ status: 1, lastLine: '1 passed, 1 failed, 0 skipped' })
  })

  it('ends with 1 when no test ran, or there is no report', () => {
    expect(summarise([])).toEqual({ status: 1, lastLine: '0 passed, 0 failed, 0 skipped' })
    expect(() => execFileSync(process.execPath, [SCRIPT, join(folder, 'none.json')], { stdio: 'pipe' })).toThrow(/Command failed/)
  })
})
