/** Computes Whisper in a thread of its own: a sentence takes a core for long. One recording at a time, in order. */
import { parentPort } from 'node:worker_threads'
import { SpeechError } from '../contract.ts'
import { hear } from './hear.ts'
import { WhisperModel } from './model.ts'
import type { Ask, ModelChoice, Reply } from './protocol.ts'

const port = parentPort!
const models = new Map<string, Promise<WhisperModel>>()
const waiting: Exclude<Ask, { type: 'cancel' }>[] = []
let running: number | null = null
let isCalledOff = false

const tell = (reply: Reply): void => port.postMessage(reply)

port.on('message', (ask: Ask) => {
  if (ask.type === 'cancel') {
    const at = waiting.findIndex(({ id }) => id === ask.id)
    if (at >= 0) waiting.splice(at, 1)
    isCalledOff ||= running === ask.id
    return
  }
  waiting.push(ask)
  if (running === null) void work()
})

async function work(): Promise<void> {
  for (let ask = waiting.shift(); ask; ask = waiting.shift()) {
    running = ask.id
    isCalledOff = false
    try {
      await serve(ask)
    } catch (error) {
      tell({ id: ask.id, type: 'failed', ...reasonOf(error) })
    }
  }
  running = null
}

async function serve(ask: Exclude<Ask, { type: 'cancel' }>): Promise<void> {
  const model = await open(ask.model)
  if (ask.type === 'load') return tell({ id: ask.id, type: 'loaded', device: model.device })
  const heard = await hear(model, ask.pcm, ask.language, () => {
    if (isCalledOff) throw new Error('Called off')
  })
  tell({ id: ask.id, type: 'heard', heard })
}

function open(choice: ModelChoice): Promise<WhisperModel> {
  const key = JSON.stringify(choice)
  const known = models.get(key)
  if (known) return known
  const opened = WhisperModel.open(choice.path, choice.device, choice.precision)
  models.set(key, opened)
  // What was missing may be there the next time.
  opened.catch(() => models.delete(key))
  return opened
}

/** The runtime's messages are about graphs and operators; they name nothing that was said. */
function reasonOf(error: unknown): { code: Extract<Reply, { type: 'failed' }>['code']; message: string } {
  if (error instanceof SpeechError) return { code: error.failure.code, message: error.failure.message }
  return { code: 'unavailable', message: `whisper: ${(error instanceof Error ? error.message : String(error)).split('\n')[0]!.slice(0, 300)}` }
}
