import type { Figure } from '../figure.ts'
import type { Result } from './results.ts'
import { cell } from './table.ts'

/** What the root README says of speed: a question, and the figures of one bench that answer it. */
const HEADLINES: { question: string; bench: string; answer: (value: (figure: string) => string) => string }[] = [
  { question: 'Messages through everything: HTTP, PostgreSQL, Redis, model (300 ms), supplier', bench: 'pipeline', answer: (value) => `${value('sustained')}; ${value('lost')} lost, ${value('doubled')} doubled, ${value('out of order')} out of order` },
  { question: 'A signed webhook to its durable 200, at 2,000 requests/s', bench: 'ingest', answer: (value) => `p50 ${value('p50 at 2000 requests/s')}, p99 ${value('p99 at 2000 requests/s')}; at most ${value('throughput, one message per body')}` },
  { question: 'Strict order beside bare BullMQ, which keeps none', bench: 'queue', answer: (value) => `${value('messages added and worked off')} (${value('messages added and worked off, ratio')} of its rate), ${value('out of order')} out of order` },
  { question: 'An API key', bench: 'auth', answer: (value) => `${value('CPU of a hot check')} of CPU; p99 of a forged one ${value('p99, forged')}` },
  { question: 'A message among a million stored ones, beside ten thousand', bench: 'growth', answer: (value) => `${value('time per message with 1,000,000 stored, ratio')} the time` },
  { question: 'Telephone calls at once, their callers beside them', bench: 'calls', answer: (value) => `${value('calls at once')}, frames late by p99 ${value('jitter at that, p99')}` },
  { question: 'Our own share of an answer in a call', bench: 'turn', answer: (value) => `p50 ${value('ours, outside of suppliers\' time, p50')}, p99 ${value('ours, outside of suppliers\' time, p99')}` },
  { question: 'Silence on the wire after an interruption', bench: 'barge', answer: (value) => `p99 ${value('words to silence on the wire, p99')}` },
  { question: 'Realtime sessions', bench: 'realtime', answer: (value) => `${value('sessions over 3 processes')} over three processes; back on another process within p99 ${value('back on another process, p99')}` },
]

/** A table in Markdown; benches that were never kept are left out. */
export function headlines(results: readonly Result[]): string {
  const rows = HEADLINES.flatMap(({ question, bench, answer }) => {
    const result = results.find((one) => one.bench === bench)
    return result ? [`| ${question} | ${answer((name) => valueOf(result.figures, name))} | [${bench}](bench/README.md#${bench}) |`] : []
  })
  const [machine] = results.map((result) => result.machine)
  const where = machine ? `On ${machine.cores} shared cores (${machine.cpu}) with load generator, sandbox, PostgreSQL and Redis beside it` : ''
  return [`${where}:\n`, '| question | measured | bench |', '|---|---|---|', ...rows].join('\n')
}

/** `<figure>` with its unit, a bare count for what is counted in what it counts, `<figure>, ratio` as a factor. */
function valueOf(figures: readonly Figure[], name: string): string {
  const asRatio = name.endsWith(', ratio')
  const figure = figures.find((one) => one.figure === (asRatio ? name.slice(0, -', ratio'.length) : name))
  if (!figure) throw new Error(`no figure "${name}" was kept`)
  if (asRatio) return `${cell(figure.ratio!)}x`
  return ['lost', 'doubled', 'out of order'].includes(name) ? cell(figure.value) : `${cell(figure.value)} ${figure.unit}`
}
