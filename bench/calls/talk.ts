import { setTimeout as delay } from 'node:timers/promises'
import type { Sighting } from './line.ts'
import type { CallTown } from './town.ts'
import type { Notes } from './vendors/notes.ts'

const LOOK_EVERY_MS = 1_000

/** What one question's line saw and what its suppliers saw. */
export type Heard = { sightings: Map<string, Sighting>; notes: Notes; underruns: number; broken: string[] }

/** Lets so many callers talk until enough of what is looked for has been seen; throws when it does not come. */
export async function talk(town: CallTown, wish: { calls: number; dialMs: number; wanted: number; withinMs: number; isOne: (sighting: Sighting) => boolean }): Promise<Heard> {
  await town.lines.dial(wish.calls, wish.dialMs)
  const heard: Heard = { sightings: new Map(), notes: new Map(), underruns: 0, broken: [] }
  const deadlineMs = performance.now() + wish.withinMs
  for (;;) {
    await delay(LOOK_EVERY_MS)
    const found = await town.lines.find()
    join(heard.sightings, found.sightings)
    heard.underruns += found.underruns
    heard.broken = found.broken
    const seen = [...heard.sightings.values()].filter(wish.isOne).length
    if (seen >= wish.wanted) break
    if (performance.now() > deadlineMs) throw new Error(`only ${seen} of ${wish.wanted} came within ${wish.withinMs} ms${heard.broken.length > 0 ? `; ${heard.broken.length} lines broke (${heard.broken[0]})` : ''}`)
  }
  heard.notes = await town.vendors.notes()
  return heard
}

function join(all: Map<string, Sighting>, more: Map<string, Sighting>): void {
  for (const [key, sighting] of more) all.set(key, { ...all.get(key), ...sighting })
}
