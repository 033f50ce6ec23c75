import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Table } from '../bench.ts'

// V8's format: https://chromedevtools.github.io/devtools-protocol/tot/Profiler/#type-Profile
type Frame = { functionName: string; url: string; lineNumber: number }
/** Times in microseconds; `startTime` is of the machine's monotonic clock. */
export type Profile = { nodes: { id: number; callFrame: Frame; children?: number[] }[]; startTime?: number; samples: number[]; timeDeltas: number[] }

/** Settings that make a Node process write a CPU profile into `folder` when it ends. */
export const profiled = (folder: string): Record<string, string> => ({ NODE_OPTIONS: `--cpu-prof --cpu-prof-interval=500 --cpu-prof-dir=${folder}` })

export const readProfiles = (folder: string): Profile[] => readdirSync(folder).filter((name) => name.endsWith('.cpuprofile')).map((name) => JSON.parse(readFileSync(join(folder, name), 'utf8')) as Profile)

/** What was sampled from one moment to another (milliseconds of the monotonic clock): without the start of the process. */
export function profileBetween(profile: Profile, fromMs: number, toMs: number): Profile {
  const kept = { samples: [] as number[], timeDeltas: [] as number[] }
  let atUs = profile.startTime ?? 0
  profile.samples.forEach((id, index) => {
    const delta = profile.timeDeltas[index] ?? 0
    atUs += delta
    if (atUs < fromMs * 1_000 || atUs > toMs * 1_000) return
    kept.samples.push(id)
    kept.timeDeltas.push(delta)
  })
  return { ...profile, ...kept }
}

/** Self time in milliseconds by place: a library, a folder of ours, a part of Node, or the collector. */
export function timeByPlace(profiles: readonly Profile[], placeOf: (frame: Frame) => string = libraryOf): Map<string, number> {
  const total = new Map<string, number>()
  for (const profile of profiles) {
    const places = new Map(profile.nodes.map((node) => [node.id, placeOf(node.callFrame)]))
    profile.samples.forEach((id, index) => {
      const place = places.get(id)!
      total.set(place, (total.get(place) ?? 0) + (profile.timeDeltas[index] ?? 0) / 1_000)
    })
  }
  return total
}

export function libraryOf({ url, functionName }: Frame): string {
  if (url === '') return functionName.startsWith('(') ? functionName : 'native'
  if (url.startsWith('node:')) return url.split('/').slice(0, 2).join('/')
  const library = /.*\/node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(url)?.[1]
  if (library && library !== '@trunkline') return library
  return /\/((?:apps\/)?[^/]+\/src(?:\/[^/]+(?=\/))?)/.exec(url)?.[1]?.replace('/src', '') ?? 'other'
}

const functionOf = (frame: Frame) => `${frame.functionName || '(anonymous)'} ${frame.url.split('/').slice(-3).join('/')}:${frame.lineNumber + 1}`

export function profileTables(title: string, profiles: readonly Profile[], per: { count: number; unit: string }): Table[] {
  const busy = (places: Map<string, number>) => [...places].filter(([place]) => place !== '(idle)' && place !== '(root)').toSorted(([, a], [, b]) => b - a)
  const table = (what: string, places: [string, number][], most: number): Table => {
    const all = places.reduce((sum, [, ms]) => sum + ms, 0)
    return { title: `${title}: self time by ${what}`, head: [what, `us per ${per.unit}`, '% of busy'], rows: places.slice(0, most).map(([place, ms]) => [place, (ms * 1_000) / per.count, (100 * ms) / all]) }
  }
  return [table('library', busy(timeByPlace(profiles)), 25), table('function', busy(timeByPlace(profiles, functionOf)), 25)]
}
