import { AppError } from '@trunkline/core'
import { webchat } from '@trunkline/db'

type Range = { from: number; to: number }

/** More holes than this are old refusals: they are taken as held. */
const HOLES_MAX = 20
const RANGES_MAX = 100

/** `1-4,6-9`: what a client says it holds. Rising, not touching. */
export const HELD_PATTERN = /^\d{1,16}-\d{1,16}(?:,\d{1,16}-\d{1,16}){0,99}$/

/**
 * Which positions one reader has. The end of the line alone does not say it: a message of ours that failed leaves a hole, and it
 * may be sent again later by a person; two conversations have a gap between them that can still be written into.
 */
export class Held {
  readonly #ranges: Range[]

  constructor(ranges: readonly Range[] = []) {
    this.#ranges = ranges.map((range) => ({ ...range }))
  }

  /** Everything up to a position. */
  static upTo(position: number): Held {
    return new Held([{ from: 0, to: position }])
  }

  /** Throws AppError `invalid_request` for ranges that do not rise. What lies before the first one counts as held. */
  static parse(text: string, param: string): Held {
    const ranges = text.split(',').map((part) => part.split('-').map(Number)).map(([from, to]) => ({ from: from!, to: to! }))
    const rises = ranges.every((range, index) => range.from <= range.to && Number.isSafeInteger(range.to) && (index === 0 || range.from > ranges[index - 1]!.to))
    if (!rises || ranges.length > RANGES_MAX) throw new AppError('invalid_request', { message: 'Expected rising ranges such as 1-4,6-9.', param })
    return new Held([{ from: 0, to: ranges[0]!.to }, ...ranges.slice(1)])
  }

  get last(): number {
    return this.#ranges.at(-1)?.to ?? 0
  }

  has(position: number): boolean {
    return this.#ranges.some((range) => position >= range.from && position <= range.to)
  }

  add(position: number): void {
    if (this.has(position)) return
    const index = this.#ranges.findLastIndex((range) => range.to < position)
    const [before, after] = [this.#ranges[index], this.#ranges[index + 1]]
    const [touchesBefore, touchesAfter] = [before?.to === position - 1, after?.from === position + 1]
    if (before && after && touchesBefore && touchesAfter) {
      before.to = after.to
      this.#ranges.splice(index + 1, 1)
    } else if (before && touchesBefore) before.to = position
    else if (after && touchesAfter) after.from = position
    else this.#ranges.splice(index + 1, 0, { from: position, to: position })
  }

  /** What is missing: the newest holes, and everything after the end. */
  missing(): webchat.Span[] {
    const holes = this.#ranges.slice(1).map((range, index) => ({ after: this.#ranges[index]!.to, before: range.from }))
    return [...holes.slice(-HOLES_MAX), { after: this.last, before: webchat.POSITION_MAX }]
  }
}
