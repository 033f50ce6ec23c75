import type { Item } from './items.ts'

/** A stored response: its JSON, and what it adds to the context of a follower. */
export type StoredResponse = { id: string; owner: string; json: string; previous: string | null; items: Item[] }

const KEPT = 10_000

/** Responses by id, as `store: true` keeps them (OpenAI: 30 days; here: the newest ten thousand). */
export class ResponseStore {
  readonly #responses = new Map<string, StoredResponse>()

  add(response: StoredResponse): void {
    this.#responses.set(response.id, response)
    if (this.#responses.size > KEPT) this.#responses.delete(this.#responses.keys().next().value!)
  }

  get(owner: string, id: string): StoredResponse | undefined {
    const response = this.#responses.get(id)
    return response?.owner === owner ? response : undefined
  }

  /** The context that `previous_response_id` stands for, oldest first. */
  contextOf(last: StoredResponse): Item[] {
    const chain: StoredResponse[] = []
    for (let at: StoredResponse | undefined = last; at; at = at.previous === null ? undefined : this.#responses.get(at.previous)) chain.push(at)
    return chain.reverse().flatMap(({ items }) => items)
  }

  delete(id: string): void {
    this.#responses.delete(id)
  }

  reset(): void {
    this.#responses.clear()
  }
}
