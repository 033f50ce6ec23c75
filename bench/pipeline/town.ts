import { request } from 'node:http'
import type { BenchOptions } from '../bench.ts'
import { startActor, type Actor } from '../stage/actor.ts'
import { CREDENTIALS, makeNumbers, type BenchNumber } from '../stage/numbers.ts'
import type { Server, Stack } from '../stage/stack.ts'

/** The whole system and its outside world, ready for messages. */
export type Town = { stack: Stack; generator: Actor; numbers: BenchNumber[]; api: Server; workers: Server[]; sandbox: Server }
export type TownWish = { tenants: number; perTenant: number; workers: number; receipts: boolean; workerSettings?: Record<string, string>; options: BenchOptions }

export const MODEL_MS = 300
const JOURNAL_ENTRIES = '1000000'
const AT_ONCE = 16

export async function openTown(stack: Stack, wish: TownWish): Promise<Town> {
  const numbers = await makeNumbers(stack.db, stack.keyring, wish)
  const sandbox = await stack.sandbox({ SANDBOX_FIRST_TOKEN_MS: String(MODEL_MS), SANDBOX_PER_TOKEN_MS: '0', SANDBOX_JOURNAL_ENTRIES: JOURNAL_ENTRIES })
  const api = await stack.api()
  await register(sandbox, api, numbers, wish.receipts)
  const workers = await Promise.all(Array.from({ length: wish.workers }, () => stack.worker(wish.workerSettings)))
  const named = workers.map((worker, index) => ({ ...worker, name: wish.workers > 1 ? `worker ${index + 1}` : 'worker' }))
  return { stack, numbers, api, sandbox, workers: named, generator: await startActor(new URL('../load/generator.ts', import.meta.url)) }
}

/** The supplier knows our numbers, and where to tell what becomes of our messages (`sent`, `delivered`, `read`: one webhook each). */
async function register(sandbox: Server, api: Server, numbers: BenchNumber[], receipts: boolean): Promise<void> {
  const queue = [...numbers]
  const registerSome = async (): Promise<void> => {
    for (let number = queue.pop(); number; number = queue.pop()) {
      const body = { phone_number_id: number.address, webhook_url: `${api.url}/webhooks/whatsapp/${number.id}`, ...CREDENTIALS, ...(receipts ? {} : { statuses: false }) }
      const response = await fetch(`${sandbox.url}/sandbox/whatsapp/numbers`, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) })
      if (!response.ok) throw new Error(`The sandbox refused a number: ${response.status} ${await response.text()}`)
      await response.arrayBuffer()
    }
  }
  await Promise.all(Array.from({ length: AT_ONCE }, registerSome))
}

export type Sent = { seq: number; number: string; callback_data: string }

/** Every message that the supplier accepted, in the order in which it did. */
export async function acceptedSends(sandbox: Server): Promise<Sent[]> {
  const sends: Sent[] = []
  for (let after = 0; ;) {
    const page = (await getJson(`${sandbox.url}/sandbox/journal?target=whatsapp.send&outcome=accepted&limit=10000&after=${after}`)) as { data: Sent[] }
    sends.push(...page.data)
    if (page.data.length < 10_000) return sends
    after = page.data.at(-1)!.seq
  }
}

/** Node's plain client: a page of the journal may take the sandbox longer than `fetch` waits. */
function getJson(url: string): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const asked = request(url, (response) => {
      const chunks: Buffer[] = []
      response.on('data', (chunk: Buffer) => chunks.push(chunk)).on('end', () => resolve(JSON.parse(Buffer.concat(chunks).toString('utf8'))))
    })
    asked.on('error', reject).end()
  })
}
