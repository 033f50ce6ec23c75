/** A thread without a model, for tests of threads: what it is asked for is what threads must survive. */
import { speechError } from '../../tts/failure.ts'
import { serveJobs } from '../serve.ts'

export type TestJobs = {
  /** Answers after so many turns of the loop; asks before each whether it is still wanted. */
  turns: { ask: { turns: number; tag: string }; answer: string }
  bytes: { ask: Uint8Array<ArrayBuffer>; answer: Uint8Array<ArrayBuffer> }
  fail: { ask: 'speech' | 'runtime'; answer: never }
  die: { ask: null; answer: never }
  /** Tags in the order in which they were begun. */
  begun: { ask: null; answer: string[] }
}

const begun: string[] = []

serveJobs<TestJobs>('test', {
  async turns({ turns, tag }, check) {
    begun.push(tag)
    for (let turn = 0; turn < turns; turn++) {
      await new Promise((resolve) => setImmediate(resolve))
      check()
    }
    return { answer: tag }
  },
  bytes: async (bytes) => ({ answer: bytes, transfer: [bytes.buffer] }),
  async fail(how) {
    if (how === 'speech') throw speechError('model_missing', 'test: no such file')
    throw new Error(`first line\n${'x'.repeat(1_000)}`)
  },
  async die() {
    process.exit(1)
  },
  begun: async () => ({ answer: begun }),
})
