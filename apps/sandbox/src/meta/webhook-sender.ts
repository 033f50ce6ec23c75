import { createHmac, randomUUID } from 'node:crypto'
import { Agent, request } from 'undici'
import type { FaultTable } from '../faults/table.ts'
import type { Journal } from '../journal/journal.ts'

/** Meta retries with growing pauses until 200, for up to 7 days; here the days are pressed into minutes. */
export type RetryPolicy = { timeoutMs: number; firstMs: number; factor: number; maxMs: number; attempts: number }

export type Destination = { number: string; url: string; secret: string }

export type Delivery = {
  id: string
  number: string
  url: string
  kind: string
  state: 'pending' | 'delivered' | 'given_up' | 'dropped'
  attempts: number
  /** Status of the last attempt; 0 when no answer came. */
  status: number
  error?: string
}

export const sign = (secret: string, body: string | Buffer): string => `sha256=${createHmac('sha256', secret).update(body).digest('hex')}`

const KEPT_DELIVERIES = 10_000

type Pending = { delivery: Delivery; /** Life of the sender in which it began; a reset ends a life. */ life: number; destination: Destination; body: string; copies: number; badSignature: boolean; onFirst: () => void }

/** Signs and POSTs webhooks, and retries as Meta does. One delivery is one body, whatever the number of attempts. */
export class WebhookSender {
  readonly #agent = new Agent({ connections: 64, pipelining: 1, keepAliveTimeout: 10_000 })
  readonly #deliveries = new Map<string, Delivery>()
  readonly #timers = new Set<NodeJS.Timeout>()
  readonly #policy: RetryPolicy
  readonly #faults: FaultTable
  #life = 0
  #pending = 0
  #isClosed = false
  readonly #journal: Journal

  constructor(policy: RetryPolicy, faults: FaultTable, journal: Journal) {
    this.#policy = policy
    this.#faults = faults
    this.#journal = journal
  }

  /** Resolves after the first attempt, whatever came of it; later attempts go on by themselves. */
  async deliver(destination: Destination, kind: string, payload: unknown): Promise<Delivery> {
    const body = typeof payload === 'string' ? payload : JSON.stringify(payload)
    const delivery = this.#open(destination, kind)
    const fault = this.#faults.pick('webhook.out', { number: destination.number, text: body })
    if (fault?.action.drop) return this.#dropped(delivery, fault.id)
    if (fault?.action.delayMs) await this.pause(fault.action.delayMs)
    await new Promise<void>((onFirst) => {
      const pending = { delivery, life: this.#life, destination, body, badSignature: fault?.action.badSignature ?? false, copies: fault?.action.copies ?? 0, onFirst }
      void this.#attempt(pending, fault?.id)
    })
    return delivery
  }

  deliveries(number?: string): Delivery[] {
    return [...this.#deliveries.values()].filter((delivery) => number === undefined || delivery.number === number)
  }

  delivery(id: string): Delivery | undefined {
    return this.#deliveries.get(id)
  }

  /** How many deliveries are still under way or waiting for a retry. */
  get pending(): number {
    return this.#pending
  }

  /** Forgets what waits for a retry. */
  reset(): void {
    for (const timer of this.#timers) clearTimeout(timer)
    this.#timers.clear()
    this.#deliveries.clear()
    this.#life++
    this.#pending = 0
  }

  async close(): Promise<void> {
    this.#isClosed = true
    this.reset()
    await this.#agent.destroy()
  }

  #open(destination: Destination, kind: string): Delivery {
    const delivery: Delivery = { id: randomUUID(), number: destination.number, url: destination.url, kind, state: 'pending', attempts: 0, status: 0 }
    this.#deliveries.set(delivery.id, delivery)
    this.#pending++
    if (this.#deliveries.size > KEPT_DELIVERIES) this.#deliveries.delete(this.#deliveries.keys().next().value!)
    return delivery
  }

  #end(delivery: Delivery, state: 'delivered' | 'given_up' | 'dropped'): void {
    delivery.state = state
    this.#pending--
  }

  #dropped(delivery: Delivery, fault: string): Delivery {
    this.#end(delivery, 'dropped')
    this.#journal.add({ target: 'webhook.out', outcome: 'fault', status: 0, number: delivery.number, to: delivery.url, id: delivery.id, kind: delivery.kind, fault })
    return delivery
  }

  async #attempt(pending: Pending, fault?: string): Promise<void> {
    const { delivery, copies } = pending
    delivery.attempts++
    const startedMs = performance.now()
    const posts = [this.#post(pending)]
    for (let copy = 0; copy < copies; copy++) posts.push(this.#post(pending))
    const [status] = await Promise.all(posts)
    if (pending.life !== this.#life) return pending.onFirst()
    delivery.status = status!
    this.#journal.add({
      target: 'webhook.out', outcome: status === 200 ? 'accepted' : 'refused', status: status!, number: delivery.number, to: delivery.url,
      id: delivery.id, kind: delivery.kind, fault, durationMs: Math.round((performance.now() - startedMs) * 100) / 100,
    })
    if (status === 200) this.#end(delivery, 'delivered')
    else this.#retryLater({ ...pending, copies: 0 })
    pending.onFirst()
  }

  async #post({ delivery, destination, body, badSignature }: Pending): Promise<number> {
    const secret = badSignature ? `${destination.secret}-wrong` : destination.secret
    try {
      const answer = await request(destination.url, {
        method: 'POST',
        dispatcher: this.#agent,
        headers: { 'content-type': 'application/json', 'user-agent': 'facebookexternalua', 'x-hub-signature-256': sign(secret, body) },
        body,
        headersTimeout: this.#policy.timeoutMs,
        bodyTimeout: this.#policy.timeoutMs,
      })
      await answer.body.dump({ limit: 65_536 })
      return answer.statusCode
    } catch (error) {
      delivery.error = (error as Error).message || (error as { code?: string }).code
      return 0
    }
  }

  #retryLater(pending: Pending): void {
    const { delivery } = pending
    if (delivery.attempts >= this.#policy.attempts) {
      this.#end(delivery, 'given_up')
      return
    }
    const waitMs = Math.min(this.#policy.maxMs, this.#policy.firstMs * this.#policy.factor ** (delivery.attempts - 1))
    void this.pause(waitMs).then(() => this.#attempt(pending))
  }

  /** A pause that never ends once `reset` or `close` came: what waits in it is forgotten. */
  pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      if (this.#isClosed) return
      const timer = setTimeout(() => {
        this.#timers.delete(timer)
        resolve()
      }, ms)
      this.#timers.add(timer)
    })
  }
}
