/** What a visitor wrote, as the server takes it. */
export type Outgoing = {
  client_message_id: string
  text?: string
  choice?: { id: string; title: string }
  media_id?: string
  page_url?: string
  page_title?: string
  pre_chat?: Record<string, string>
}
/** `acked`: committed by the server, and shown until it comes back in the line. `preview` shows a file before that. */
export type Queued = Outgoing & { at: string; acked?: boolean; failed?: boolean; preview?: Record<string, unknown> }

export type Memory = {
  token?: string
  queue: Queued[]
  /** Position up to which the visitor has seen the line. */
  readSeq: number
  /** Answers of the form, until they have gone out with the first message. */
  preChat?: Record<string, string>
  asked?: boolean
}

const EMPTY: Memory = { queue: [], readSeq: 0 }

/**
 * Read and written as a whole at every step, so that two tabs of a page share one queue. Where storage is refused (private mode,
 * a sandboxed frame) it lives as long as the page.
 */
export function createMemory(key: string) {
  let inPage: Memory = EMPTY
  const read = (): Memory => {
    try {
      return { ...EMPTY, ...(JSON.parse(localStorage.getItem(key) ?? 'null') as Memory | null) }
    } catch {
      return inPage
    }
  }
  return {
    read,
    change(edit: (memory: Memory) => Partial<Memory>): void {
      const now = read()
      inPage = { ...now, ...edit(now) }
      try {
        localStorage.setItem(key, JSON.stringify(inPage))
      } catch {
        // Full or refused: `inPage` has it.
      }
    },
  }
}
export type MemoryStore = ReturnType<typeof createMemory>
