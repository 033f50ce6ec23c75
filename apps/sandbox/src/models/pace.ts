/** How fast the sandbox's models speak; may change while they run. */
export type Pace = {
  /** Before the first token (and before an answer that is not streamed). */
  firstTokenMs: number
  perTokenMs: number
  tokensPerDelta: number
}

export const wait = (ms: number): Promise<void> => (ms > 0 ? new Promise((resolve) => setTimeout(resolve, ms)) : Promise.resolve())
