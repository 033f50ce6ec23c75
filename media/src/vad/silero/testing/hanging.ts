/** A thread that judges everything to be speech, and never answers when a batch of 8 kHz begins with the loudest sample there is. */
import { serveJobs } from '../../../onnx/serve.ts'
import { BatchMemory, CONTEXT, type SileroJobs } from '../shape.ts'

const HANG = 32_767
let memory: BatchMemory

serveJobs<SileroJobs>('silero', {
  async open({ memory: buffer, capacity }) {
    memory = new BatchMemory(capacity, buffer)
    return { answer: null }
  },
  async judge({ rows }) {
    if (memory.samples[CONTEXT[8_000]] === HANG) await new Promise(() => {})
    memory.probabilities.fill(1, 0, rows)
    return { answer: null }
  },
})
