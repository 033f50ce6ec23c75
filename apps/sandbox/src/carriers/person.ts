import { z } from 'zod'
import { Utterance } from './sound.ts'

/** How somebody outside behaves when called. By number; who is not described answers after a moment and says nothing. */
export const Person = z.strictObject({
  number: z.string().regex(/^(\+\d{5,18}|sips?:\S{3,240})$/, 'E.164 or a SIP address'),
  does: z.enum(['answer', 'busy', 'no_answer', 'reject', 'fail', 'unknown']).default('answer'),
  /** Ringing before the phone is taken (or turned down). */
  after_ms: z.number().int().min(0).max(600_000).default(20),
  /** What is said after the answer, in order. */
  says: z.array(Utterance).max(100).default([]),
  /** An answering machine: speaks its greeting (`says`), beeps, and records. */
  machine: z.boolean().default(false),
  fax: z.boolean().default(false),
  hangs_up_after_ms: z.number().int().min(0).max(3_600_000).optional(),
  /** Of the phone's own network; what Telnyx forwards to us. */
  codec: z.enum(['PCMU', 'PCMA']).optional(),
})
export type Person = z.output<typeof Person>
export type PersonInput = z.input<typeof Person>

const KEPT = 10_000

export class People {
  readonly #people = new Map<string, Person>()

  describe(input: PersonInput): Person {
    const person = Person.parse(input)
    this.#people.set(person.number, person)
    if (this.#people.size > KEPT) this.#people.delete(this.#people.keys().next().value!)
    return person
  }

  get(number: string): Person {
    return this.#people.get(number) ?? Person.parse({ number: number.startsWith('+') ? number : '+10000000000' })
  }

  list(): Person[] {
    return [...this.#people.values()]
  }

  clear(): void {
    this.#people.clear()
  }
}
