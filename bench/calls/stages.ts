import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import type { Table } from '../bench.ts'
import { profileBetween, profiled, readProfiles, timeByPlace, type Profile } from '../measure/profile.ts'
import type { Stack } from '../stage/stack.ts'
import { cpuPerFrameUs, measureLevel, type Level, type Timing } from './ramp.ts'
import { openCallTown } from './town.ts'

type Place = { url: string; functionName: string }

/** First fit. Places in the code of a call by what they do for it. */
const STAGES: [stage: string, where: RegExp][] = [
  ['WebSockets, in', /\/ws\/lib\/(receiver|websocket|websocket-server|event-target|buffer-util|validation)/],
  ['WebSockets, out', /\/ws\/lib\/sender/],
  ["carrier's JSON", /\/channels\/src\/|\/apps\/voice\/src\/calls\/line/],
  ['codecs, jitter buffer', /\/media\/src\/(codec|jitter|frame)/],
  ['speech detector', /\/media\/src\/(vad|onnx)|onnxruntime/],
  ['recogniser', /\/media\/src\/(stt|chain\/(stt|sound-tail))/],
  ['turns, pipeline', /\/media\/src\/(turn|pipeline)|\/apps\/voice\//],
  ['playout', /\/media\/src\/playout/],
  ['recording', /\/media\/src\/recording/],
  ['echo, tones, hold', /\/media\/src\/(echo|dsp|amd|dtmf|hold)/],
  ['voice (TTS), resampling', /\/media\/src\/(tts|chain|resample|house)|speex/],
  ['agent, model', /\/agents\/src\/|\/openai\/|\/undici\//],
  ['journal, PostgreSQL, Redis', /\/db\/src\/|\/pg|\/ioredis\/|\/drizzle-orm\/|\/billing\/|\/core\/src\//],
  ['Node: streams, sockets, timers', /^node:/],
]

export function stageOf({ url, functionName }: Place): string {
  if (url === '') return functionName === '(garbage collector)' ? 'garbage collection' : functionName.startsWith('(') ? functionName : 'native code, system calls'
  return STAGES.find(([, where]) => where.test(url))?.[0] ?? 'other'
}

/** A run of its own under the profiler; its figures are about shares, not about how many calls are possible. */
export async function profileCalls(stack: Stack, calls: number, timing: Timing): Promise<Table[]> {
  const folder = join(stack.folder, `profiles-${calls}`)
  mkdirSync(folder)
  const town = await openCallTown(stack, { interruptEvery: 4, recorded: true, settings: profiled(folder) })
  try {
    const level = await measureLevel(town, 0, calls, timing)
    await town.lines.hangUp()
    await stack.stop(town.voice)
    const profiles = readProfiles(folder).map((profile) => profileBetween(profile, level.span.fromMs, level.span.toMs))
    return [stageTable(profiles, level), threadTable(level), functionTable(profiles)]
  } finally {
    await town.close()
  }
}

const IDLE = new Set(['(idle)', '(root)'])
const busyOf = (places: Map<string, number>) => [...places].filter(([place]) => !IDLE.has(place)).toSorted(([, a], [, b]) => b - a)

/**
 * Shares of the samples of all JavaScript threads, laid on what they used in the measured time. `(program)` is native code outside of any
 * function, system calls of streams mostly; what threads of native code use stands in the next table only.
 */
function stageTable(profiles: readonly Profile[], level: Level): Table {
  const busy = busyOf(timeByPlace(profiles, stageOf))
  const allMs = busy.reduce((sum, [, ms]) => sum + ms, 0)
  const callFrames = (level.elapsedMs / 20) * level.calls
  return {
    title: `Voice process under the profiler, ${level.calls} calls: time of 20 ms of a call, by stage`,
    head: ['stage', 'us per 20 ms', '% of busy'],
    rows: busy.map(([stage, ms]) => [stage, (ms * 1_000) / callFrames, (100 * ms) / allMs]),
  }
}

function threadTable(level: Level): Table {
  const all = cpuPerFrameUs(level)
  const callFrames = (level.elapsedMs / 20) * level.calls
  const rows = Object.entries(level.threads).filter(([, ms]) => ms > 0).toSorted(([, a], [, b]) => b - a)
  return { title: 'The same by thread, CPU', head: ['thread', 'us per 20 ms', '% of all'], rows: rows.map(([name, ms]) => [name, (ms * 1_000) / callFrames, (100 * ((ms * 1_000) / callFrames)) / all]) }
}

function functionTable(profiles: readonly Profile[]): Table {
  const name = ({ functionName, url, lineNumber }: Place & { lineNumber: number }) => `${functionName || '(anonymous)'} ${url.split('/').slice(-3).join('/')}:${lineNumber + 1}`
  const busy = busyOf(timeByPlace(profiles, name))
  const allMs = busy.reduce((sum, [, ms]) => sum + ms, 0)
  return { title: 'The same by function, self time', head: ['function', '% of busy'], rows: busy.slice(0, 25).map(([place, ms]) => [place, (100 * ms) / allMs]) }
}
