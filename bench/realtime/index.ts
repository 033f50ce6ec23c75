import { newId } from '@trunkline/core'
import { API_KEY_PURPOSE, mintKey } from '@trunkline/db'
import type { Bench, BenchOptions, BenchReport, Table } from '../bench.ts'
import { Histogram, type HistogramCounts } from '../measure/histogram.ts'
import { anonymousBytes, meterCpu } from '../measure/process.ts'
import type { Latencies } from '../measure/statistics.ts'
import { startActor, type Actor } from '../stage/actor.ts'
import { withStack, type Server, type Stack } from '../stage/stack.ts'
import type { ClientsJob, Talked } from './clients.ts'
import type { EchoJob } from './echo.ts'

type Size = { idle: number; active: number; talkMs: number; sound: number[]; returns: number; settleMs: number; crowd: number }
const FULL: Size = { idle: 5_000, active: 1_000, talkMs: 15_000, sound: [100, 200, 400, 700, 1_000], returns: 200, settleMs: 5_000, crowd: 16_667 }
const QUICK: Size = { idle: 300, active: 100, talkMs: 3_000, sound: [20], returns: 10, settleMs: 1_000, crowd: 500 }
const TRIP_MS = 50
const BACK_MS = 500
const IDLE_KIB = 40
const CROWD_PROCESSES = 3

export const realtime: Bench = {
  name: 'realtime',
  help: 'Realtime sessions on one voice process beside a bare `ws` echo: memory of an idle one, round trip of active ones, coming back to another process',
  run: (options) => withStack((stack) => run(stack, options)),
}

/** A place where sessions are held, and those who talk to it. */
type Side = { name: string; pid: number; url: string; clients: Actor }

async function run(stack: Stack, options: BenchOptions): Promise<BenchReport> {
  const size = options.quick ? QUICK : FULL
  const key = await makeKey(stack)
  const actors: Actor[] = []
  const open = async (entry: string) => {
    const actor = await startActor(new URL(entry, import.meta.url))
    actors.push(actor)
    return actor
  }
  try {
    const [voice, echo] = [await voiceOf(stack), await open('./echo.ts')]
    const ours: Side = { name: 'voice', pid: voice.pid, url: addressOf(voice), clients: await open('./clients.ts') }
    const bare: Side = { name: 'bare ws', pid: echo.pid, url: await echo.ask<string>({ do: 'open' } satisfies EchoJob), clients: await open('./clients.ts') }
    const idle = { ours: await measureIdle(ours, key, size), bare: await measureIdle(bare, key, size) }
    options.say(`  idle: ${kib(idle.ours)} KiB a session, bare ws ${kib(idle.bare)}`)
    const trips = { ours: await measureTalk(ours, size.active, false, size), bare: await measureTalk(bare, size.active, false, size) }
    options.say(`  ${size.active} active: p99 ${trips.ours.trips.p99.toFixed(1)} ms, bare ws ${trips.bare.trips.p99.toFixed(1)} ms`)
    const sound = await climb(ours, size, options)
    const back = await measureReturn(stack, ours, key, size)
    options.say(`  back on another process: p50 ${back.p50.toFixed(1)} p99 ${back.p99.toFixed(1)} ms`)
    await Promise.all([ours, bare].map(({ clients }) => clients.ask({ do: 'hang up' } satisfies ClientsJob)))
    const crowd = options.long ? await measureCrowd(stack, key, size, open) : null
    return reportOf(size, idle, trips, sound, back, crowd)
  } finally {
    await Promise.all(actors.map((actor) => actor.stop()))
  }
}

const voiceOf = (stack: Stack): Promise<Server> => stack.voice({ OPENAI_API_KEY: 'bench', OPENAI_BASE_URL: 'http://127.0.0.1:9', SESSIONS_MAX: '20000', SESSIONS_PER_TENANT_MAX: '0', DB_CONNECTIONS: '2' })
const addressOf = ({ url }: Server): string => `${url.replace('http', 'ws')}/v1/realtime?model=gpt-realtime`
const kib = (bytes: number): string => (bytes / 1_024).toFixed(1)

/** Resident memory of a session that says nothing. The first few hundred pay for what all share. */
async function measureIdle({ pid, url, clients }: Side, key: string, { idle, settleMs }: Size): Promise<number> {
  await clients.ask({ do: 'dial', url, key, count: Math.ceil(idle / 10) } satisfies ClientsJob)
  await pause(settleMs)
  const before = anonymousBytes(pid)
  await clients.ask({ do: 'dial', url, key, count: idle } satisfies ClientsJob)
  await pause(settleMs)
  return (anonymousBytes(pid) - before) / idle
}

type Trip = { count: number; trips: Latencies; lost: number; broken: number; coreShare: number }

async function measureTalk({ name, pid, clients }: Side, count: number, sound: boolean, { talkMs }: Size): Promise<Trip> {
  const [cpu, beganMs] = [meterCpu([{ name, pid }]), performance.now()]
  const { trips, lost, broken } = await clients.ask<Talked>({ do: 'talk', count, forMs: talkMs, sound } satisfies ClientsJob)
  return { count, trips: summaryOf(trips), lost, broken, coreShare: (100 * cpu.stop()[name]!) / (performance.now() - beganMs) }
}

/** Sessions that send sound, which is looked at for speech, until they are too many. */
async function climb(side: Side, size: Size, { say }: BenchOptions): Promise<Trip[]> {
  const levels: Trip[] = []
  for (const count of size.sound) {
    const level = await measureTalk(side, count, true, size)
    levels.push(level)
    say(`  ${count} with sound: p99 ${level.trips.p99.toFixed(1)} ms, ${level.coreShare.toFixed(0)} % of a core${level.broken > 0 ? `, ${level.broken} broke` : ''}`)
    if (!holds(level)) break
  }
  return levels
}

const holds = ({ trips, lost, broken }: Trip): boolean => trips.p99 < TRIP_MS && lost === 0 && broken === 0

async function measureReturn(stack: Stack, { clients }: Side, key: string, { returns }: Size): Promise<Latencies> {
  const other = await voiceOf(stack)
  const times = await clients.ask<HistogramCounts>({ do: 'return', url: addressOf(other), key, count: returns } satisfies ClientsJob)
  await stack.stop(other)
  return summaryOf(times)
}

type Crowd = { sessions: number; mib: number; trip: Trip }

/** As many as three processes hold, their clients beside them; some of them talk. */
async function measureCrowd(stack: Stack, key: string, size: Size, open: (entry: string) => Promise<Actor>): Promise<Crowd> {
  const voices = await Promise.all(Array.from({ length: CROWD_PROCESSES }, () => voiceOf(stack)))
  const sides = await Promise.all(voices.map(async (voice): Promise<Side> => ({ name: 'voice', pid: voice.pid, url: addressOf(voice), clients: await open('./clients.ts') })))
  await Promise.all(sides.map(({ url, clients }) => clients.ask({ do: 'dial', url, key, count: size.crowd } satisfies ClientsJob)))
  const trip = await measureTalk(sides[0]!, Math.round(size.active / CROWD_PROCESSES), false, size)
  const mib = sides.reduce((sum, { pid }) => sum + anonymousBytes(pid), 0) / 1_048_576
  await Promise.all(sides.map(({ clients }) => clients.ask({ do: 'hang up' } satisfies ClientsJob)))
  return { sessions: size.crowd * CROWD_PROCESSES, mib, trip }
}

function reportOf(size: Size, idle: Record<'ours' | 'bare', number>, trips: Record<'ours' | 'bare', Trip>, sound: Trip[], back: Latencies, crowd: Crowd | null): BenchReport {
  const held = sound.filter(holds).at(-1)
  return {
    figures: [
      { figure: 'memory of an idle session, over a bare socket', value: (idle.ours - idle.bare) / 1_024, unit: 'KiB', better: 'lower', floor: IDLE_KIB },
      { figure: 'memory of an idle session', value: idle.ours / 1_024, unit: 'KiB', better: 'lower', baseline: { name: 'bare ws', value: idle.bare / 1_024 } },
      { figure: `round trip, ${size.active} active, p99`, value: trips.ours.trips.p99, unit: 'ms', better: 'lower', baseline: { name: 'bare ws', value: trips.bare.trips.p99 }, floor: TRIP_MS, judged: 'value' },
      { figure: `round trip, ${size.active} active, p50`, value: trips.ours.trips.p50, unit: 'ms', better: 'lower', baseline: { name: 'bare ws', value: trips.bare.trips.p50 } },
      { figure: `sessions that send sound, p99 under ${TRIP_MS} ms`, value: held?.count ?? 0, unit: 'sessions', better: 'higher' },
      { figure: 'back on another process, p99', value: back.p99, unit: 'ms', better: 'lower', floor: BACK_MS },
      ...(crowd ? [{ figure: `sessions over ${CROWD_PROCESSES} processes`, value: crowd.sessions, unit: 'sessions', better: 'higher' as const, goal: 50_000 }, { figure: 'memory of those processes', value: crowd.mib, unit: 'MiB', better: 'lower' as const }, { figure: 'round trip among them, p99', value: crowd.trip.trips.p99, unit: 'ms', better: 'lower' as const, floor: TRIP_MS }] : []),
    ],
    tables: [tableOf('Sessions that say something every second', [trips.ours, trips.bare], ['voice', 'bare ws']), tableOf('and send sound, which is looked at for speech', sound, sound.map(() => 'voice'))],
    notes: [
      `a round trip: an item is put into the conversation until it is said to be there; the one before is deleted, so that it stays as long as it was`,
      `${size.idle} sessions were idle beside those that talked; sound comes in pieces of 100 ms, silence`,
      `coming back: the socket is cut, and another process is dialled with the session's id; ${size.returns} one after the other`,
    ],
  }
}

const tableOf = (title: string, levels: Trip[], names: string[]): Table => ({
  title, head: ['', 'sessions', 'p50 ms', 'p99', 'p99.9', 'max', 'not heard', 'broke', '% of core'],
  rows: levels.map(({ count, trips, lost, broken, coreShare }, place) => [names[place]!, count, ...[trips.p50, trips.p99, trips.p999, trips.max].map((ms) => ms.toFixed(2)), lost, broken, coreShare.toFixed(0)]),
})

function summaryOf(counts: HistogramCounts): Latencies {
  const histogram = new Histogram()
  histogram.merge(counts)
  return histogram.summary()
}

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))

/** One tenant with a key for this, as the API would have written it. */
async function makeKey({ db, keyring }: Stack): Promise<string> {
  const [tenantId, projectId] = [newId(), newId()]
  const { text, keyId, digest } = mintKey(keyring.derive(API_KEY_PURPOSE), 'production')
  await db.system('test', async (tx) => {
    await tx.query("INSERT INTO tenants (id, name) VALUES ($1, 'Sessions')", [tenantId])
    await tx.query("INSERT INTO projects (id, tenant_id, name, environment) VALUES ($1, $2, 'Main', 'production')", [projectId, tenantId])
    await tx.query(
      "INSERT INTO api_keys (id, tenant_id, project_id, name, environment, key_id, secret_hash, digest, last_four, scopes) VALUES ($1, $2, $3, 'bench', 'production', $4, 'none', $5, 'last', '{realtime:write}')",
      [newId(), tenantId, projectId, keyId, digest],
    )
  })
  return text
}
