import { spawn } from 'node:child_process'
import type { MessagePort } from 'node:worker_threads'
import { fileURLToPath } from 'node:url'

const CHILD = fileURLToPath(new URL('./child.ts', import.meta.url))
/** Wasm's memory is outside of it. */
const HEAP_MB = 128

/** What a thread that decodes says to the process that decodes AAC for it: bytes; that it may send more; that this was all. */
export type ToFaad = Uint8Array | 'more' | 'end'
/** Bytes; or how the process ended. */
export type FromFaad = Uint8Array | { exitCode: number | null }

/**
 * The process for one file of AAC, between its pipes and a thread's port. It is begun and ended here and not by the thread, which may be ended itself in the
 * middle: then nobody would. What it answers waits until the thread asks for more. Answers how to end it.
 */
export function startFaad(port: MessagePort): () => void {
  // No environment: nothing of ours is its business.
  const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', `--max-old-space-size=${HEAP_MB}`, CHILD], { stdio: ['pipe', 'pipe', 'ignore'], env: {} })
  const ended = new Promise<number | null>((resolve) => child.once('exit', resolve).once('error', () => resolve(null)))
  // It is gone, or going: its end tells.
  child.stdin.on('error', () => {})
  let isWanted = Promise.withResolvers<void>()
  port.on('message', (said: ToFaad) => {
    if (said === 'more') isWanted.resolve()
    else if (said === 'end') child.stdin.end()
    else child.stdin.write(said)
  })
  port.once('close', () => child.kill('SIGKILL'))

  async function answer(): Promise<void> {
    for await (const bytes of child.stdout as AsyncIterable<Buffer>) {
      port.postMessage(bytes satisfies FromFaad)
      await Promise.race([isWanted.promise, ended])
      isWanted = Promise.withResolvers()
    }
  }
  void answer().catch(() => {}).then(() => ended).then((exitCode) => {
    port.postMessage({ exitCode } satisfies FromFaad)
    port.close()
  })
  return () => child.kill('SIGKILL')
}
