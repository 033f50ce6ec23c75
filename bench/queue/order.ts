export type Done = { number: string; nth: number }

/** Messages that ended after a later one of the same number. */
export function countDisorder(done: readonly Done[]): number {
  const last = new Map<string, number>()
  let wrong = 0
  for (const { number, nth } of done) {
    if (nth < (last.get(number) ?? -1)) wrong += 1
    else last.set(number, nth)
  }
  return wrong
}
