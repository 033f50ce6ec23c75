import { hash } from 'node:crypto'

/** Where and as whom to call a vendor; one per tenant that brings its own key. */
export type Connection = {
  baseUrl: string
  /** null: the server asks for none (Ollama, vLLM on a private net). */
  apiKey: string | null
  /** Until the answer's headers; the chain has its own, shorter deadlines for tokens. */
  timeoutMs?: number
  /** Given for addresses that a tenant typed in: the guarded fetch of `net/`. Absent: Node's own, for addresses of the operator. */
  fetch?: typeof fetch
}

export const DEFAULT_TIMEOUT_MS = 15_000

/**
 * SDK clients by address and key, least recently used ones dropped first. Reuse keeps HTTP connections warm over turns and saves
 * building ~20 resource objects per turn. The key itself is not kept as a map key.
 */
export class ClientCache<Client> {
  readonly #clients = new Map<string, Client>()
  readonly #max: number
  readonly #build: (connection: Connection) => Client

  constructor(max: number, build: (connection: Connection) => Client) {
    this.#max = max
    this.#build = build
  }

  get size(): number {
    return this.#clients.size
  }

  get(connection: Connection): Client {
    const key = `${connection.baseUrl}|${connection.timeoutMs ?? ''}|${connection.fetch ? 'guarded' : ''}|${connection.apiKey === null ? '' : hash('sha256', connection.apiKey)}`
    const client = this.#clients.get(key) ?? this.#build(connection)
    this.#clients.delete(key)
    this.#clients.set(key, client)
    if (this.#clients.size > this.#max) this.#clients.delete(this.#clients.keys().next().value!)
    return client
  }
}
