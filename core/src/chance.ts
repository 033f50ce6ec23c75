/** Chance as a dependency, like the clock: the same seed plays the same game again, everywhere. Never for secrets. */
export type Chance = {
  /** 0 to below 1. */
  next(): number
  /** A whole number, 0 to below `max`. */
  below(max: number): number
  /** True this often. */
  happens(probability: number): boolean
  pick<Item>(items: readonly Item[]): Item
  shuffle<Item>(items: readonly Item[]): Item[]
}

/** mulberry32, public domain (Tommy Ettinger): 0 to below 1. */
export function mulberry(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

export function seededChance(seed: number): Chance {
  const next = mulberry(seed)
  const below = (max: number) => Math.floor(next() * max)
  return {
    next,
    below,
    happens: (probability) => next() < probability,
    pick: (items) => items[below(items.length)]!,
    shuffle(items) {
      const mixed = [...items]
      for (let at = mixed.length - 1; at > 0; at--) {
        const other = below(at + 1)
        ;[mixed[at], mixed[other]] = [mixed[other]!, mixed[at]!]
      }
      return mixed
    },
  }
}
