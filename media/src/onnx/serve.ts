import { parentPort } from 'node:worker_threads'
import { SpeechError } from '../stt/contract.ts'
import type { FromThread, Jobs, ToThread } from './protocol.ts'

/** `transfer`: memory that is given away with the answer. */
export type Answered<Answer> = { answer: Answer; transfer?: ArrayBuffer[] }
/** `check` throws when the request was called off: to be asked between the steps of long work. */
export type Handlers<List extends Jobs> = { [Job in keyof List]: (ask: List[Job]['ask'], check: () => void) => Promise<Answered<List[Job]['answer']>> }

type Request = Extract<ToThread, { job: string }>

/** The other end of an `OnnxThread`: one request at a time, in order. `name` stands before what the runtime complains of. */
export function serveJobs<List extends Jobs>(name: string, handlers: Handlers<List>): void {
  const port = parentPort!
  const waiting: Request[] = []
  let running: number | null = null
  let isCalledOff = false

  const check = () => {
    if (isCalledOff) throw new Error('Called off')
  }
  const serve = async ({ id, job, ask }: Request): Promise<void> => {
    running = id
    isCalledOff = false
    try {
      const { answer, transfer = [] } = await handlers[job]!(ask, check)
      port.postMessage({ id, answer } satisfies FromThread, transfer)
    } catch (error) {
      port.postMessage({ id, failed: reasonOf(name, error) } satisfies FromThread)
    }
  }
  const work = async (): Promise<void> => {
    for (let next = waiting.shift(); next; next = waiting.shift()) await serve(next)
    running = null
  }
  port.on('message', (message: ToThread) => {
    if (message.job !== null) {
      waiting.push(message)
      if (running === null) void work()
      return
    }
    const at = waiting.findIndex(({ id }) => id === message.id)
    if (at >= 0) waiting.splice(at, 1)
    isCalledOff ||= running === message.id
  })
}

/** The runtime's messages are about graphs and operators; they name nothing that was said. */
function reasonOf(name: string, error: unknown): { code: SpeechError['failure']['code']; message: string } {
  if (error instanceof SpeechError) return { code: error.failure.code, message: error.failure.message }
  return { code: 'unavailable', message: `${name}: ${(error instanceof Error ? error.message : String(error)).split('\n')[0]!.slice(0, 300)}` }
}
