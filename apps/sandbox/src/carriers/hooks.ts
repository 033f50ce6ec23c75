import { Agent, request } from 'undici'
import type { FaultTable } from '../faults/table.ts'
import type { Journal } from '../journal/journal.ts'
import type { Wheel } from './wheel.ts'

/** A webhook on its way out. */
export type Hook = {
  /** Journal and fault target: `twilio.webhook`, `telnyx.webhook`. */
  target: string
  url: string
  /** Our number that it is about. */
  number: string
  /** The call. */
  id: string
  /** `call.initiated`, `completed`, ... */
  kind: string
  body: string
  contentType: string
  /** `isWrong`: a fault wants the signature to fail. Made anew for each attempt: some carriers sign the time. */
  sign(isWrong: boolean): Record<string, string>
  /** Further attempts after anything but a 2xx, and the pause before each. */
  retriesMs: readonly number[]
}

export type HookAnswer = { status: number; contentType: string; body: string }
/** No answer came, or nothing was asked. */
export const UNSENT: HookAnswer = { status: 0, contentType: '', body: '' }

const TIMEOUT_MS = 15_000
const ANSWER_BYTES_MAX = 1024 * 1024

/** Posts webhooks and reads what is answered: TwiML comes that way. */
export class Hooks {
  readonly #agent = new Agent({ connections: 64, pipelining: 1, keepAliveTimeout: 10_000 })
  readonly #faults: FaultTable
  readonly #journal: Journal
  readonly #wheel: Wheel

  constructor(faults: FaultTable, journal: Journal, wheel: Wheel) {
    this.#faults = faults
    this.#journal = journal
    this.#wheel = wheel
  }

  /** The last answer; status 0 when none came. Never throws. */
  async post(hook: Hook): Promise<HookAnswer> {
    const fault = this.#faults.pick(hook.target, { number: hook.number, to: hook.url, text: hook.body })
    const action = fault?.action ?? {}
    if (action.drop) {
      this.#note(hook, UNSENT, 0, fault?.id)
      return UNSENT
    }
    if (action.delayMs) await this.#wheel.wait(action.delayMs)
    const copies = Array.from({ length: action.copies ?? 0 }, () => this.#attempt(hook, action.badSignature === true, fault?.id))
    const answer = await this.#insist(hook, action.badSignature === true, fault?.id)
    await Promise.all(copies)
    return answer
  }

  close(): Promise<void> {
    return this.#agent.destroy()
  }

  async #insist(hook: Hook, isWrong: boolean, fault: string | undefined): Promise<HookAnswer> {
    let answer = await this.#attempt(hook, isWrong, fault)
    for (const pauseMs of hook.retriesMs) {
      if (answer.status >= 200 && answer.status < 300) break
      await this.#wheel.wait(pauseMs)
      answer = await this.#attempt(hook, isWrong, fault)
    }
    return answer
  }

  async #attempt(hook: Hook, isWrong: boolean, fault: string | undefined): Promise<HookAnswer> {
    const startedMs = performance.now()
    const answer = await this.#send(hook, isWrong)
    this.#note(hook, answer, performance.now() - startedMs, fault)
    return answer
  }

  async #send(hook: Hook, isWrong: boolean): Promise<HookAnswer> {
    try {
      const answer = await request(hook.url, {
        method: 'POST', dispatcher: this.#agent, body: hook.body, headersTimeout: TIMEOUT_MS, bodyTimeout: TIMEOUT_MS,
        headers: { 'content-type': hook.contentType, ...hook.sign(isWrong) },
      })
      const body = await readText(answer.body)
      return { status: answer.statusCode, contentType: String(answer.headers['content-type'] ?? ''), body }
    } catch {
      return UNSENT
    }
  }

  #note(hook: Hook, { status }: HookAnswer, durationMs: number, fault: string | undefined): void {
    const outcome = status >= 200 && status < 300 ? 'accepted' : fault === undefined ? 'refused' : 'fault'
    this.#journal.add({ target: hook.target, outcome, status, number: hook.number, to: hook.url, id: hook.id, kind: hook.kind, fault, durationMs: Math.round(durationMs * 100) / 100, body: hook.body })
  }
}

async function readText(body: AsyncIterable<Buffer>): Promise<string> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of body) {
    size += chunk.length
    if (size > ANSWER_BYTES_MAX) throw new Error('The answer is too large.')
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString('utf8')
}
