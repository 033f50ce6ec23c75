import type { Pcm } from '../../frame.ts'
import type { Device } from '../../onnx/session.ts'
import { OnnxThread } from '../../onnx/thread.ts'
import { createResampler } from '../../resample/resampler.ts'
import { SpeechError } from '../contract.ts'
import type { SttEngine, SttOptions } from '../contract.ts'
import { sttEngine } from '../engine.ts'
import type { SttSettings } from '../engine.ts'
import type { Transcript } from '../part.ts'
import { joinTranscripts, quietParts } from '../recording.ts'
import { WHISPER_RATE_HZ } from './mel.ts'
import type { Precision } from './model.ts'
import type { ModelChoice, WhisperJobs } from './protocol.ts'

export type WhisperSttOptions = {
  /** Folder of a Whisper model as exported for transformers.js. */
  directory: string
  /** `cuda` falls back to the processor where there is no such device or library. */
  device?: Device
  precision?: Precision
  /** Measured on the operator's machine; default: a small model on two cores. */
  finalP99Ms?: number
}

/** Loads the model ahead of its first use, and ends the thread that computes. Streams of a closed engine start another. */
export type WhisperEngine = SttEngine & { load(signal: AbortSignal): Promise<Device>; close(): Promise<void> }

const ID = 'whisper'
type WhisperThread = OnnxThread<WhisperJobs>
/** Whisper hears 30 s at once; a little less leaves its times room. */
const MAX_SEGMENT_MS = 28_000
/** The first recording loads the model. */
const PATIENCE = { finalMs: 30_000, recordingMs: 120_000 }

/** Whisper on this machine, from a folder: nothing leaves it, nothing is fetched. Key terms are not known to it. */
export function whisperStt(options: WhisperSttOptions, settings: SttSettings = {}): WhisperEngine {
  const { directory, device = 'cpu', precision = 'auto', finalP99Ms = 3_000 } = options
  const choice: ModelChoice = { path: directory, device, precision }
  const thread: WhisperThread = new OnnxThread({ entry: new URL('./worker.ts', import.meta.url), name: ID })
  const engine = sttEngine(
    {
      live: 'segments', id: ID, model: directory.split(/[\\/]/).findLast((part) => part !== '') ?? ID, finalP99Ms, maxSegmentMs: MAX_SEGMENT_MS,
      failure: (error) => (error instanceof SpeechError ? error.failure : { code: 'unavailable', message: 'The local recogniser failed', requestId: null }),
      transcribe: (pcm, stt) => transcribe(thread, choice, pcm, stt),
    },
    { ...settings, deadlines: { ...PATIENCE, ...settings.deadlines } },
  )
  return { ...engine, load: (signal) => thread.ask('load', choice, signal), close: () => thread.end() }
}

async function transcribe(thread: WhisperThread, choice: ModelChoice, pcm: Pcm, { sampleRateHz, language, signal }: SttOptions): Promise<Transcript> {
  const parts: { startMs: number; heard: Transcript }[] = []
  for (const { pcm: part, startMs } of quietParts(atWhisperRate(pcm, sampleRateHz), WHISPER_RATE_HZ, MAX_SEGMENT_MS)) {
    // Its own memory: of a part, the whole that it belongs to would be copied.
    const own = part.slice()
    const heard = await thread.ask('hear', { model: choice, pcm: own, language }, signal, [own.buffer])
    parts.push({ startMs, heard: { ...heard, requestId: null } })
  }
  return joinTranscripts(parts, language)
}

function atWhisperRate(pcm: Pcm, fromHz: number): Pcm {
  const resampler = createResampler({ fromHz, toHz: WHISPER_RATE_HZ, aligned: true })
  const [first, last] = [resampler.process(pcm), resampler.flush()]
  resampler.close()
  const all = new Int16Array(first.length + last.length)
  all.set(first)
  all.set(last, first.length)
  return all
}
