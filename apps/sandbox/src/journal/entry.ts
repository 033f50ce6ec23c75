/** One thing that happened at the border of the sandbox. Compact: some 200,000 of them are kept. */
export type JournalEntry = {
  /** Rises by one, never reused, also not after `reset`. */
  seq: number
  atMs: number
  /** `whatsapp.send`, `openai.responses`, `webhook.out`, `mail.received`, ...: the same names that faults use. */
  target: string
  /** `accepted`: the supplier took it. `refused`: answered with an error of its own. `fault`: a scripted fault ended it. */
  outcome: 'accepted' | 'refused' | 'fault'
  /** HTTP status that was answered; 0 when no answer was given. */
  status: number
  /** `phone_number_id` or Instagram account id. */
  number?: string
  /** Customer's address for sends; webhook URL for `webhook.out`; recipients for mail. */
  to?: string
  /** Id that the sandbox gave out: wamid, mid, response id, delivery id. */
  id?: string
  /** What the caller sent to recognise its message again (`biz_opaque_callback_data`, Instagram `metadata`). */
  callbackData?: string
  /** Message type (`text`, `interactive`, ...), model, or event kind. */
  kind?: string
  /** Plain words, cut at 500 characters. */
  text?: string
  /** Of speech suppliers: the key it came with, so that tests see whose it was. */
  key?: string
  /** Id of the fault that interfered. */
  fault?: string
  /** Wall time of the exchange, where it was measured. */
  durationMs?: number
  /** The parsed body; only the newest entries keep theirs. */
  body?: unknown
}

export type JournalDraft = Omit<JournalEntry, 'seq' | 'atMs'>

/** What a query may ask for; every given field must be equal (`target` may end in `*`). */
export type JournalFilter = {
  target?: string
  number?: string
  to?: string
  id?: string
  outcome?: string
  callbackData?: string
  /** Only entries with a greater `seq`. */
  after?: number
}

export function matches(entry: JournalEntry, filter: JournalFilter): boolean {
  return (
    (filter.after === undefined || entry.seq > filter.after) &&
    (filter.target === undefined || targetMatches(filter.target, entry.target)) &&
    (filter.number === undefined || entry.number === filter.number) &&
    (filter.to === undefined || entry.to === filter.to) &&
    (filter.id === undefined || entry.id === filter.id) &&
    (filter.outcome === undefined || entry.outcome === filter.outcome) &&
    (filter.callbackData === undefined || entry.callbackData === filter.callbackData)
  )
}

export function targetMatches(pattern: string, target: string): boolean {
  return pattern === target || pattern === '*' || (pattern.endsWith('*') && target.startsWith(pattern.slice(0, -1)))
}

/** Wire form: snake_case, ISO time. */
export function toWire(entry: JournalEntry) {
  const { atMs, callbackData, durationMs, ...rest } = entry
  return { ...rest, at: new Date(atMs).toISOString(), callback_data: callbackData, duration_ms: durationMs }
}
