import { readdirSync, readFileSync } from 'node:fs'
import type { MessageChannelId, InboundEvent } from '@trunkline/core'

/** Recorded bodies in the platforms' real formats, with made-up people, and the events they mean. For tests and for whoever plays a platform. */
export type Fixture = { name: string; about: string; body: unknown; events: InboundEvent[] }

/** The time at which fixtures are received; only bodies without a time of their own carry it on. */
export const FIXTURE_NOW_MS = 1_790_000_000_000

export function fixturesOf(channel: MessageChannelId): Fixture[] {
  const folder = new URL(`../src/${channel}/fixtures/`, import.meta.url)
  const names = readdirSync(folder).filter((file) => file.endsWith('.json')).sort()
  return names.map((file) => {
    const recorded = JSON.parse(readFileSync(new URL(file, folder), 'utf8')) as Omit<Fixture, 'name'>
    return { name: file.slice(0, -'.json'.length), ...recorded }
  })
}
