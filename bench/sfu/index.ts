import { setTimeout as delay } from 'node:timers/promises'
import { findWorker } from '../../media/src/plane/webrtc/testing.ts'
import type { Bench, BenchOptions, BenchReport } from '../bench.ts'
import { meterCpu, type CpuUse } from '../measure/process.ts'
import { startActor, type Actor } from '../stage/actor.ts'
import type { HostCount, HostJob } from './host.ts'
import type { PeersJob } from './peers.ts'

const CALLERS = 24
const [SETTLE_MS, MEASURE_MS, QUICK_MEASURE_MS] = [2_000, 15_000, 3_000]

export const sfu: Bench = {
  name: 'sfu',
  help: 'packets that the mediasoup worker forwards for the time of one core, WebRTC callers on one side and our process on the other',
  async run(options) {
    const worker = findWorker()
    if (worker.path === null) return { figures: [], tables: [], notes: [`skipped: ${worker.reason}`] }
    const [host, peers] = await Promise.all([startActor(new URL('./host.ts', import.meta.url)), startActor(new URL('./peers.ts', import.meta.url))])
    try {
      return await run({ host, peers, workerBin: worker.path }, options)
    } finally {
      await Promise.all([host.stop(), peers.stop()])
    }
  },
}

type Place = { host: Actor; peers: Actor; workerBin: string }

async function run({ host, peers, workerBin }: Place, { quick, say }: BenchOptions): Promise<BenchReport> {
  const callers = quick ? 2 : CALLERS
  const workerPid = await host.ask<number>({ do: 'open', workerBin } satisfies HostJob)
  for (let made = 0; made < callers; made++) {
    const offerSdp = await peers.ask<string>({ do: 'offer' } satisfies PeersJob)
    const answerSdp = await host.ask<string>({ do: 'join', offerSdp } satisfies HostJob)
    await peers.ask({ do: 'accept', answerSdp } satisfies PeersJob)
  }
  say(`  ${callers} callers are connected`)
  await Promise.all([host.ask({ do: 'speak' } satisfies HostJob), peers.ask({ do: 'speak' } satisfies PeersJob)])
  await delay(SETTLE_MS)
  await counted({ host, peers })
  const meter = meterCpu([{ name: 'worker', pid: workerPid }, { name: 'host', pid: host.pid }, { name: 'peers', pid: peers.pid }])
  await delay(quick ? QUICK_MEASURE_MS : MEASURE_MS)
  const cpu = meter.stop()
  const found = await counted({ host, peers })
  await peers.ask({ do: 'close' } satisfies PeersJob)
  return reportOf(callers, found, cpu)
}

type Counted = HostCount & { received: number }

async function counted({ host, peers }: Omit<Place, 'workerBin'>): Promise<Counted> {
  const [ours, received] = await Promise.all([host.ask<HostCount>({ do: 'count' } satisfies HostJob), peers.ask<number>({ do: 'count' } satisfies PeersJob)])
  return { ...ours, received }
}

function reportOf(callers: number, { heard, said, received }: Counted, cpu: CpuUse): BenchReport {
  const packets = heard + received
  const perCore = (name: string) => packets / ((cpu[name] ?? 0) / 1_000)
  return {
    figures: [
      { figure: 'packets forwarded for a core of the worker', value: perCore('worker'), unit: 'packets/s', better: 'higher' },
      { figure: 'packets for a core of our process, codec and mixing included', value: perCore('host'), unit: 'packets/s', better: 'higher' },
      { figure: 'callers for a core of the worker', value: perCore('worker') / 100, unit: 'callers', better: 'higher' },
      { figure: 'frames of agents that came to callers', value: (100 * received) / Math.max(1, said), unit: '%', better: 'higher' },
    ],
    tables: [{ title: `${callers} callers, G.711`, head: ['process', 'CPU ms', 'us per packet'], rows: Object.entries(cpu).map(([name, ms]) => [name, ms, (ms * 1_000) / packets]) }],
    notes: [
      `${heard.toLocaleString('en')} packets of callers came to our process and ${received.toLocaleString('en')} of ours to callers, through ICE, DTLS-SRTP and the worker; a caller is a hundred packets a second`,
      'laid on a whole core from what these packets used: the callers (werift, beside it) take more of the machine than what is measured',
    ],
  }
}
