import { fork } from 'node:child_process'
import { once } from 'node:events'

/** A process of the bench itself (load, baseline) that is asked and answers over Node's channel. */
export type Actor = { pid: number; ask<Answer>(job: unknown): Promise<Answer>; stop(): Promise<void> }

type Reply = { id: number; answer?: unknown; error?: string }

export async function startActor(entry: URL, execArgv: string[] = []): Promise<Actor> {
  const child = fork(entry, [], { execArgv, stdio: ['ignore', 'inherit', 'inherit', 'ipc'], serialization: 'advanced' })
  const waiting = new Map<number, PromiseWithResolvers<unknown>>()
  let nextId = 1
  let over = false
  const exited = once(child, 'exit')
  void exited.then(() => {
    over = true
    for (const { reject } of waiting.values()) reject(new Error(`${entry.pathname} ended`))
  })
  child.on('message', ({ id, answer, error }: Reply) => {
    const asked = waiting.get(id)
    waiting.delete(id)
    if (error === undefined) asked?.resolve(answer)
    else asked?.reject(new Error(error))
  })
  process.once('exit', () => child.kill('SIGKILL'))
  return {
    pid: child.pid!,
    ask<Answer>(job: unknown) {
      if (over) return Promise.reject(new Error(`${entry.pathname} ended`))
      const asked = Promise.withResolvers<unknown>()
      waiting.set(nextId, asked)
      child.send({ id: nextId++, job })
      return asked.promise as Promise<Answer>
    },
    async stop() {
      if (over) return
      child.disconnect()
      await exited
    },
  }
}

/** The other end: serves jobs until the bench lets go. */
// oxlint-disable-next-line typescript/no-unnecessary-type-parameters -- the caller says what its jobs are; they come from its own bench.
export function serveJobs<Job>(work: (job: Job) => Promise<unknown>): void {
  process.on('message', ({ id, job }: { id: number; job: Job }) => {
    work(job).then(
      (answer) => process.send!({ id, answer }),
      (error: unknown) => process.send!({ id, error: error instanceof Error ? (error.stack ?? error.message) : String(error) }),
    )
  })
  process.on('disconnect', () => process.exit(0))
}
