import { setTimeout as delay } from 'node:timers/promises'
import type { FaultInput } from '@trunkline/app-sandbox'
import { seededChance, type Chance } from '@trunkline/core'
import { startFaultProxy } from '../harness/fault-proxy.ts'
import { noSentinels, openWatchedRedis, type Loss } from '../harness/sentinels.ts'
import { LEASE_MS, openFleet, type Fleet, type FleetOptions } from './fleet.ts'
import type { Ground } from './ground.ts'
import { deliver, writeLetters, type Letter, type LoadReport } from './load.ts'
import { mutateOaiEvents, noCalls } from './oai-events.ts'
import { loseVoice, mutateMedia, replaceVoice } from './phone.ts'
import type { Counts, Scenario } from './scenario.ts'
import { mutateEvents, mutateRealtime, mutateWebchat } from './sockets.ts'
import { judge } from './verdict.ts'

const numbersFor = (size: number): number => Math.min(40, Math.max(6, Math.round(size / 50)))

/** `mayFail`: what a supplier refuses for good fails visibly. Otherwise every message is answered, or its outcome is unknown. */
type Wish = Partial<FleetOptions> & { copies?: (index: number) => number; shuffle?: boolean; mayFail?: boolean }
type Play = { fleet: Fleet; letters: Letter[]; random: Chance; load: () => Promise<LoadReport> }

/** Opens a fleet, writes the letters, lets `strike` do its worst while they are delivered, then judges. It answers how often it struck, or how to count that once everything has come to rest. */
async function play(ground: Ground, size: number, seed: number, wish: Wish, strike: (play: Play) => Promise<number | (() => number)>): Promise<Counts> {
  const startedMs = performance.now()
  const random = seededChance(seed)
  const fleet = await openFleet(ground, { numbers: numbersFor(size), ...wish })
  try {
    const letters = writeLetters(fleet.numbers, size, random, wish.copies)
    let report: LoadReport = { letters: 0, posts: 0, refused: 0 }
    const load = async () => (report = await deliver(wish.shuffle ? random.shuffle(letters) : letters))
    const struck = await strike({ fleet, letters, random, load })
    const verdict = await judge(fleet, letters)
    const faults = typeof struck === 'number' ? struck : struck()
    if (!wish.mayFail && verdict.failed - verdict.resent + verdict.parked > 0) verdict.broken.push(`${verdict.failed - verdict.resent} turns failed and ${verdict.parked} were parked although nobody refused anything`)
    return { ...verdict, posts: report.posts, faults, tookMs: Math.round(performance.now() - startedMs) }
  } finally {
    await fleet.close()
  }
}

/** Points of the journal at which to strike: `count` of them, spread at random over what `size` messages will write there. */
function points(random: Chance, count: number, size: number): { target: string; nth: number }[] {
  const slice = Math.floor((size * 0.8) / count)
  return Array.from({ length: count }, (_, index) => ({ target: random.pick(['whatsapp.send', 'openai.responses']), nth: Math.max(1, index * slice + random.below(slice) + 5) }))
}

const reached = ({ sandbox }: Fleet, target: string, nth: number) => sandbox.waitForCount((entry) => entry.target === target, nth, 120_000)

/** kill -9 of a worker whenever the outside world has seen the nth message or question; another one starts at once. */
export const killWorkers: Scenario = (ground, size, seed) =>
  play(ground, size, seed, {}, async ({ fleet, random, load }) => {
    const kills = Math.max(3, Math.round(size / 250))
    const loading = load()
    const starting: Promise<void>[] = []
    for (const { target, nth } of points(random, kills, size)) {
      await reached(fleet, target, nth)
      if (fleet.workers.length === 0) await Promise.all(starting)
      const [victim] = fleet.workers.splice(random.below(fleet.workers.length), 1)
      victim!.signal('SIGKILL')
      await victim!.exited
      starting.push(fleet.addWorker())
    }
    await Promise.all([loading, ...starting])
    return kills
  })

/** SIGSTOP of a worker beyond its lease, while others take over; then it wakes and wants to go on where it was. */
export const freezeWorker: Scenario = (ground, size, seed) =>
  play(ground, size, seed, {}, async ({ fleet, random, load }) => {
    const freezes = Math.max(2, Math.round(size / 1_000))
    const loading = load()
    for (const { target, nth } of points(random, freezes, size)) {
      await reached(fleet, target, nth)
      const victim = fleet.workers[random.below(fleet.workers.length)]!
      victim.signal('SIGSTOP')
      // The fault itself: longer than a lease.
      await delay(LEASE_MS * 1.5)
      victim.signal('SIGCONT')
    }
    await loading
    return freezes
  })

/** Redis dies under load and comes back with what its log kept. */
export const killRedis: Scenario = (ground, size, seed) =>
  play(ground, size, seed, {}, async ({ fleet, random, load }) => {
    const kills = Math.max(1, Math.round(size / 1_500))
    const loading = load()
    for (const { target, nth } of points(random, kills, size)) {
      await reached(fleet, target, nth)
      await ground.killRedis(() => delay(300 + random.below(1_500)))
    }
    await loading
    return kills
  })

/** Redis loses everything, several times: queue, leases, counts, caches. */
export const emptyRedis: Scenario = (ground, size, seed) =>
  play(ground, size, seed, {}, async ({ fleet, random, load }) => {
    const times = Math.max(2, Math.round(size / 500))
    const loading = load()
    for (const { target, nth } of points(random, times, size)) {
      await reached(fleet, target, nth)
      await ground.emptyRedis()
    }
    await loading
    return times
  })

const LOSSES: readonly Loss[] = ['kill', 'freeze', 'ask']

/** Redis is watched by sentinels: its master is killed, frozen and asked to step down in turn, and the replica takes over with what it had heard. A frozen one wakes up and still holds what it held. */
export const failOver: Scenario = async (ground, size, seed) => {
  const watched = await openWatchedRedis()
  try {
    return await play({ ...ground, redisUrl: watched.url, emptyRedis: async () => {} }, size, seed, {}, async ({ fleet, random, load }) => {
      const times = Math.max(LOSSES.length, Math.round(size / 500))
      const loading = load()
      for (const [index, { target, nth }] of points(random, times, size).entries()) {
        await reached(fleet, target, nth)
        await watched.failOver(LOSSES[index % LOSSES.length]!)
      }
      await loading
      return times
    })
  } finally {
    await watched.close()
  }
}

/** Postgres stops at once under load and recovers. What was answered with 200 is there. */
export const restartPostgres: Scenario = (ground, size, seed) =>
  play(ground, size, seed, {}, async ({ fleet, random, load }) => {
    const restarts = Math.max(1, Math.round(size / 1_500))
    const loading = load()
    for (const { target, nth } of points(random, restarts, size)) {
      await reached(fleet, target, nth)
      // Long enough that a turn which counted its attempts would have used them all.
      await ground.killPostgres(() => delay(4_000 + random.below(1_000)))
    }
    await loading
    return restarts
  })

/** The supplier answers 500, 429 and nothing, before and after it has accepted; the model too. */
export const brokenSuppliers: Scenario = (ground, size, seed) =>
  play(ground, size, seed, { mayFail: true, settings: { SEND_TIMEOUT_MS: '1500' } }, async ({ fleet, random, load }) => {
    const actions: [target: string, probability: number, action: FaultInput['action']][] = [
      ['whatsapp.send', 0.03, { status: 500, errorCode: 131000, retryAfter: 0 }],
      ['whatsapp.send', 0.02, { errorCode: 130429, retryAfter: 0 }],
      ['whatsapp.send', 0.01, { errorCode: 131026 }],
      ['whatsapp.send', 0.01, { hang: true }],
      ['whatsapp.send', 0.01, { reset: true }],
      ['whatsapp.send', 0.01, { acceptThenHang: true }],
      ['whatsapp.send', 0.02, { acceptThenReset: true }],
      ['whatsapp.send', 0.01, { garbage: true }],
      ['openai.responses', 0.03, { status: 500 }],
      ['openai.responses', 0.02, { cutStreamAfterEvents: 3 }],
    ]
    const faults = actions.map(([target, probability, action]) => fleet.sandbox.faults.add({ target, match: { probability, seed: random.below(1e9) }, action }))
    await load()
    // Not yet: on a busy machine the last letter is accepted before the first answer leaves.
    return () => fleet.sandbox.faults.list().filter((fault) => faults.some(({ id }) => id === fault.id)).reduce((sum, fault) => sum + fault.struck, 0)
  })

/** Every webhook several times at once, one of them a thousand times, all in disorder. */
export const floodOfRepeats: Scenario = (ground, size, seed) =>
  play(ground, size, seed, { copies: (index) => (index === 0 ? 1_000 : 5), shuffle: true }, async ({ letters, load }) => {
    await load()
    return letters.reduce((sum, letter) => sum + letter.copies - 1, 0)
  })

/** kill -9 of the API at random moments, and in the moment between commit and 200: the supplier repeats what it heard no answer to. */
export const killApi: Scenario = (ground, size, seed) =>
  play(ground, size, seed, {}, async ({ fleet, letters, random, load }) => {
    const kills = Math.max(2, Math.round(size / 500))
    await dieBetweenCommitAndAnswer(fleet, letters[0]!)
    const loading = load()
    for (const { target, nth } of points(random, kills, size)) {
      await reached(fleet, target, nth)
      fleet.api.signal('SIGKILL')
      await fleet.api.exited
      await fleet.startApi()
    }
    await loading
    return kills + 1
  })

/** The answer is swallowed on the way back, so nobody has heard of the commit when the process dies; the first answer to the customer proves the commit. */
async function dieBetweenCommitAndAnswer(fleet: Fleet, letter: Letter): Promise<void> {
  const port = Number(new URL(letter.number.webhookUrl).port)
  const proxy = await startFaultProxy({ port })
  proxy.set({ halfOpen: true })
  const unheard = new URL(letter.number.webhookUrl)
  unheard.port = String(proxy.port)
  const posting = deliver([{ ...letter, number: { ...letter.number, webhookUrl: unheard.href } }])
  await reached(fleet, 'whatsapp.send', 1)
  fleet.api.signal('SIGKILL')
  await fleet.api.exited
  await fleet.startApi()
  proxy.set({})
  proxy.cutAll()
  await posting
  await proxy.close()
}

/** `missing`: what it needs and is not here; it is skipped, and counted as such. */
type Entry = { run: Scenario; fullSize: number; smallSize: number; missing?: string | null }

/** In the order of the table; the full size beside each. */
export const SCENARIOS: Record<string, Entry> = {
  'kill-workers': { run: killWorkers, fullSize: 5_000, smallSize: 300 },
  'freeze-worker': { run: freezeWorker, fullSize: 3_000, smallSize: 150 },
  'kill-redis': { run: killRedis, fullSize: 3_000, smallSize: 100 },
  'empty-redis': { run: emptyRedis, fullSize: 3_000, smallSize: 100 },
  'fail-over': { run: failOver, fullSize: 3_000, smallSize: 150, missing: noSentinels },
  'restart-postgres': { run: restartPostgres, fullSize: 3_000, smallSize: 100 },
  'broken-suppliers': { run: brokenSuppliers, fullSize: 3_000, smallSize: 150 },
  'flood-of-repeats': { run: floodOfRepeats, fullSize: 1_000, smallSize: 100 },
  'kill-api': { run: killApi, fullSize: 3_000, smallSize: 100 },
  // Of telephone calls.
  'lose-voice': { run: loseVoice, fullSize: 50, smallSize: 10 },
  'replace-voice': { run: replaceVoice, fullSize: 50, smallSize: 10 },
  // Of messages on sockets.
  'mutate-media': { run: mutateMedia, fullSize: 100_000, smallSize: 5_000 },
  'mutate-realtime': { run: mutateRealtime, fullSize: 100_000, smallSize: 4_000 },
  'mutate-oai-events': { run: mutateOaiEvents, fullSize: 100_000, smallSize: 1_000, missing: noCalls },
  'mutate-events': { run: mutateEvents, fullSize: 100_000, smallSize: 3_600 },
  'mutate-webchat': { run: mutateWebchat, fullSize: 100_000, smallSize: 1_800 },
}
