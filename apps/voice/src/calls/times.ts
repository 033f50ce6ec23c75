import type { PipelineEvent, SaidInCall } from '@trunkline/media'

/**
 * A pipeline counts from its own opening. A call whose sound was away (keys, a transfer that came to nothing, another process) has had
 * pipelines before: `sinceMs` is when this one was opened, in milliseconds of the call.
 */
export function inCall(event: PipelineEvent, sinceMs: number): PipelineEvent {
  if (sinceMs === 0) return event
  switch (event.type) {
    case 'said': return { ...event, said: saidIn(event.said, sinceMs) }
    case 'times': return { ...event, times: { ...mapped(event.times, sinceMs), turn: event.times.turn } }
    case 'interrupted': return { ...event, atMs: event.atMs + sinceMs }
    default: return event
  }
}

const saidIn = (said: SaidInCall, sinceMs: number): SaidInCall => ({
  ...said, startMs: said.startMs + sinceMs, endMs: said.endMs + sinceMs,
  words: said.words.map((word) => ({ ...word, startMs: word.startMs + sinceMs, endMs: word.endMs + sinceMs })),
})

/** All figures later by so much; what did not happen stays unsaid. */
const mapped = <Times extends Record<string, number | null>>(times: Times, byMs: number): Times =>
  Object.fromEntries(Object.entries(times).map(([name, value]) => [name, value === null ? null : value + byMs])) as Times
