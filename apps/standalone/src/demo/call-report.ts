import { relative } from 'node:path'
import pc from 'picocolors'
import { WAITS, type CallFacts, type Said, type Turn, type Wait } from './call-facts.ts'
import { heading, SIDE, WIDTH, wrap } from './page.ts'

/** A call for people: what both heard, where the time went, what it cost, and where it can be listened to. */
export function printCall(call: CallFacts): void {
  heading('A telephone call')
  console.log(`\n${pc.bold(`${call.from} rings ${call.to}`)} ${pc.dim(`at Twilio, ${call.seconds} s, ${call.reason.replaceAll('_', ' ')}; here is what was heard`)}\n`)
  for (const said of call.said) printSaid(said)
  printWaterfall(call.turns)
  console.log('')
  const row = (name: string, text: string) => wrap(text, WIDTH - 10).forEach((line, index) => console.log(`  ${pc.dim((index === 0 ? name : '').padEnd(10))}${line}`))
  row('lead', `${call.lead['name']} · ${call.lead['phone']} · ${call.lead['intent']}`)
  const parts = call.cost.filter(({ part }) => part !== 'total').map(({ part, credits }) => `${PARTS[part] ?? part} ${credits}`)
  row('credits', `${call.cost.find(({ part }) => part === 'total')?.credits} = ${parts.join(' + ')}`)
  row('listen', `${relative(process.cwd(), call.recording.path)} · stereo WAV, ${call.recording.seconds.toFixed(1)} s: Emma left, the agent right`)
  row('', 'both voices spell in tones, which the sandbox’s recognisers read back: no model needed')
}

const PARTS: Record<string, string> = { carrier: 'carrying', stt: 'hearing', tts: 'speaking', model: 'thinking' }

const clock = (ms: number) => `${Math.floor(ms / 60_000)}:${String(Math.floor(ms / 1_000) % 60).padStart(2, '0')}`

/** As in a conversation, the caller on the left; with the time of the call. */
function printSaid({ by, text, startMs, cut }: Said): void {
  const [indent, paint] = by === 'customer' ? [0, pc.white] : [WIDTH - SIDE - 8, pc.green]
  const lines = wrap(text, SIDE - 2)
  lines.forEach((line, index) => {
    const end = cut && index === lines.length - 1 ? pc.red(' ✂ she interrupts') : ''
    console.log(`  ${pc.dim(index === 0 ? clock(startMs) : '    ')}  ${' '.repeat(indent)}${paint(line)}${end}`)
  })
}

const STAGES: Record<Wait, { glyph: string; paint: (text: string) => string; name: string }> = {
  endpoint: { glyph: '░', paint: pc.yellow, name: 'sure that she is done' },
  model: { glyph: '▒', paint: pc.magenta, name: 'first word' },
  voice: { glyph: '▓', paint: pc.cyan, name: 'first sound' },
  send: { glyph: '█', paint: pc.blue, name: 'on the line' },
  play: { glyph: '▪', paint: pc.green, name: 'in her ear' },
}
const BAR = 44

/** One row an answer, its bar as long as the caller waited. */
function printWaterfall(turns: Turn[]): void {
  console.log(`\n  ${pc.bold('How long she waited')} ${pc.dim('from her last word to the first sound of the answer, in milliseconds')}`)
  console.log(`  ${WAITS.map((wait) => `${STAGES[wait].paint(STAGES[wait].glyph)} ${pc.dim(STAGES[wait].name)}`).join('   ')}\n`)
  const longestMs = Math.max(...turns.map((turn) => turn.totalMs), 1)
  for (const turn of turns) {
    const bar = barOf(turn, longestMs)
    const question = turn.question.length > 26 ? `${turn.question.slice(0, 25)}…` : turn.question
    console.log(`  ${question.padEnd(27)}${bar}  ${pc.dim(WAITS.map((wait) => String(turn.waitsMs[wait])).join('+').padStart(15))} ${pc.bold(String(turn.totalMs).padStart(5))}`)
  }
  console.log(`\n  ${pc.dim('While it waits it thinks of the answer. Asked for an e-mail, a caller gets longer: people spell.')}`)
}

/** Cells are shared out by where a stage begins and ends, so that rounding never makes a bar longer. */
function barOf({ waitsMs }: Turn, longestMs: number): string {
  let [atMs, cells, bar] = [0, 0, '']
  for (const wait of WAITS) {
    atMs += waitsMs[wait]
    const until = Math.round((atMs / longestMs) * BAR)
    bar += STAGES[wait].paint(STAGES[wait].glyph.repeat(Math.max(0, until - cells)))
    cells = Math.max(cells, until)
  }
  return bar + ' '.repeat(BAR - cells)
}
