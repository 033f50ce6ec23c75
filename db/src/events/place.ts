/** The id of an event, `<milliseconds>-<number>`, as Redis gives it out (redis.io/docs/latest/develop/data-types/streams, "Entry IDs"). */
export const EVENT_ID = /^\d{1,15}-\d{1,15}$/

/** Below zero: `a` is earlier. */
export function compareEventIds(a: string, b: string): number {
  const [aMs, aSeq] = partsOf(a)
  const [bMs, bSeq] = partsOf(b)
  return aMs - bMs || aSeq - bSeq
}

function partsOf(id: string): [ms: number, seq: number] {
  const dash = id.indexOf('-')
  return [Number(id.slice(0, dash)), Number(id.slice(dash + 1))]
}
