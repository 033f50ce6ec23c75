import { createHash } from 'node:crypto'
import { targetMatches } from '../journal/entry.ts'
import type { Fault, FaultFacts, FaultInput as FaultInputType } from './fault.ts'
import { FaultInput } from './fault.ts'

/** Repeatable numbers from 0 to below 1, so that a seeded fault replays: the nth is a hash of the seed and n. */
function seededRandom(seed: number): () => number {
  let n = 0
  return () => createHash('sha256').update(`${seed}:${n++}`).digest().readUInt32BE(0) / 2 ** 32
}

/** The faults of the moment. `pick` costs nothing while there is none. */
export class FaultTable {
  readonly #faults = new Map<string, Fault & { random: () => number }>()
  #nextId = 1

  add(input: FaultInputType): Fault {
    const parsed = FaultInput.parse(input)
    const fault = { ...parsed, id: `fault_${this.#nextId++}`, seen: 0, struck: 0, random: seededRandom(parsed.match.seed ?? 1) }
    this.#faults.set(fault.id, fault)
    return fault
  }

  list(): Fault[] {
    return [...this.#faults.values()].map(({ random: _random, ...fault }) => fault)
  }

  remove(id: string): boolean {
    return this.#faults.delete(id)
  }

  clear(): void {
    this.#faults.clear()
  }

  /** The first fault that strikes this request, counted as struck; a spent one is taken from the table. */
  pick(target: string, facts: FaultFacts): Fault | undefined {
    if (this.#faults.size === 0) return undefined
    for (const fault of this.#faults.values()) {
      if (!targetMatches(fault.target, target) || !meets(fault, facts)) continue
      fault.seen++
      if (!isDue(fault)) continue
      fault.struck++
      if (fault.times !== undefined && fault.struck >= fault.times) this.#faults.delete(fault.id)
      return fault
    }
    return undefined
  }
}

function meets({ match }: Fault, facts: FaultFacts): boolean {
  return (
    (match.phone_number_id === undefined || match.phone_number_id === facts.number) &&
    (match.to === undefined || match.to === facts.to) &&
    (match.model === undefined || match.model === facts.model) &&
    (match.contains === undefined || (facts.text ?? '').toLowerCase().includes(match.contains.toLowerCase()))
  )
}

function isDue(fault: Fault & { random: () => number }): boolean {
  const { nth, every, probability } = fault.match
  if (nth !== undefined && fault.seen !== nth) return false
  if (every !== undefined && fault.seen % every !== 0) return false
  return probability === undefined || fault.random() < probability
}
