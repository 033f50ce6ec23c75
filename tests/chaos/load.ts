import { setTimeout as delay } from 'node:timers/promises'
import { sign } from '@trunkline/app-sandbox'
import type { Chance } from '@trunkline/core'
import { Agent, request } from 'undici'
import type { OurNumber } from '../flow/business.ts'
import { whatsappBody } from '../flow/post.ts'

/** What customers write, as the supplier delivers it: signed, and again and again until somebody says 200. */

export type Letter = { number: OurNumber; body: string; id: string; copies: number }
export type LoadReport = { letters: number; posts: number; refused: number }

const PER_SECOND = 150
const IN_FLIGHT_MAX = 200
const RETRY_MS = 250
const GIVE_UP_MS = 120_000

/** One in five comes from somebody who has written before on that number; nobody so often that the pair limit counts. */
export function writeLetters(numbers: readonly OurNumber[], count: number, random: Chance, copies: (index: number) => number = () => 1): Letter[] {
  const customers = new Map<OurNumber, string[]>()
  return Array.from({ length: count }, (_, index) => {
    const number = random.pick(numbers)
    const known = customers.get(number) ?? customers.set(number, []).get(number)!
    const returning = known.length > 10 && random.next() < 0.2
    const customer = returning ? known[known.length - 1 - random.below(10)]! : `491${String(random.below(1e10)).padStart(10, '0')}`
    if (!returning) known.push(customer)
    const body = whatsappBody(number, customer, [`Message ${index}: when do you open?`])
    return { number, body: JSON.stringify(body), id: body.entry[0]!.changes[0]!.value.messages[0]!.id, copies: copies(index) }
  })
}

/** Open loop: the pace does not wait for answers. Resolves when each letter has been accepted; `onAccepted` hears how many are. */
export async function deliver(letters: readonly Letter[], options: { perSecond?: number; onAccepted?: (count: number) => void } = {}): Promise<LoadReport> {
  const agent = new Agent({ connections: 64, connect: { timeout: 2_000 } })
  const report: LoadReport = { letters: letters.length, posts: 0, refused: 0 }
  const everyMs = 1_000 / (options.perSecond ?? PER_SECOND)
  const startedMs = performance.now()
  const under = new Set<Promise<void>>()
  let accepted = 0
  try {
    for (const [index, letter] of letters.entries()) {
      const dueMs = startedMs + index * everyMs - performance.now()
      if (dueMs > 1) await delay(dueMs)
      while (under.size >= IN_FLIGHT_MAX) await Promise.race(under)
      const sending: Promise<void> = Promise.all(Array.from({ length: letter.copies }, () => post(agent, letter, report))).then(() => {
        under.delete(sending)
        options.onAccepted?.(++accepted)
      })
      under.add(sending)
    }
    await Promise.all(under)
  } finally {
    await agent.destroy()
  }
  return report
}

async function post(agent: Agent, { number, body }: Letter, report: LoadReport): Promise<void> {
  const headers = { 'content-type': 'application/json', 'x-hub-signature-256': sign(number.appSecret, body) }
  const untilMs = performance.now() + GIVE_UP_MS
  for (;;) {
    report.posts++
    const status = await attempt(agent, number.webhookUrl, headers, body)
    if (status === 200) return
    report.refused++
    if (status !== 0 && status < 500) throw new Error(`a signed webhook was answered ${status}`)
    if (performance.now() > untilMs) throw new Error(`a webhook was not accepted within ${GIVE_UP_MS} ms (last answer: ${status})`)
    await delay(RETRY_MS)
  }
}

/** 0: no answer. */
async function attempt(agent: Agent, url: string, headers: Record<string, string>, body: string): Promise<number> {
  try {
    const response = await request(url, { method: 'POST', dispatcher: agent, headers, body, headersTimeout: 10_000, bodyTimeout: 10_000 })
    await response.body.dump()
    return response.statusCode
  } catch {
    return 0
  }
}
