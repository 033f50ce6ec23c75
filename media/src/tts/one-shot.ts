import type { Pcm } from '../frame.ts'
import type { SpeechUsage } from '../stt/contract.ts'
import { SpeechError } from '../stt/contract.ts'
import type { SpokenSpan, TtsEngine, TtsOptions } from './contract.ts'

export type Synthesis = { pcm: Pcm; spans: SpokenSpan[]; usage: SpeechUsage }

/**
 * A whole text at once, at `options.sampleRateHz`. Rejects with the engine's SpeechError, or with the signal's reason; `onUsage` is told in
 * each case what is to be paid, since a failure can cost too.
 */
export async function synthesise(engine: TtsEngine, text: string, options: TtsOptions, onUsage: (usage: SpeechUsage) => void = () => undefined): Promise<Synthesis> {
  options.signal.throwIfAborted()
  const stream = engine.speak(options)
  try {
    stream.write(text)
    stream.end()
    const heard: Pcm[] = []
    const spans: SpokenSpan[] = []
    for await (const event of stream.events) {
      if (event.type === 'audio') heard.push(event.pcm)
      if (event.type === 'spans') spans.push(...event.spans)
      if (event.type === 'failed') throw new SpeechError(event.failure)
    }
    options.signal.throwIfAborted()
    return { pcm: joinPcm(heard), spans, usage: stream.close() }
  } finally {
    onUsage(stream.close())
  }
}

export function joinPcm(parts: readonly Pcm[]): Pcm {
  const joined = new Int16Array(parts.reduce((sum, part) => sum + part.length, 0))
  let at = 0
  for (const part of parts) {
    joined.set(part, at)
    at += part.length
  }
  return joined
}
