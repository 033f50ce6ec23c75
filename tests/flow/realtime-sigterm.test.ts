import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { spawnNode, type SpawnedNode } from '../harness/processes.ts'
import type { Business, Json } from './business.ts'
import { dialRealtime, userSays, type RealtimeClient } from './realtime-client.ts'
import { openTown, type Town } from './town.ts'

// A voice as the operator runs it: told to go while its sessions are being answered, it says so, ends in time, and loses nothing.

const MAIN = fileURLToPath(new URL('../../apps/voice/src/main.ts', import.meta.url))
const PER_TOKEN_MS = 40
const DRAIN_MS = 30_000

let town: Town
let business: Business
const nodes: SpawnedNode[] = []
beforeAll(async () => {
  town = await openTown({ sandbox: { pace: { firstTokenMs: 10, perTokenMs: PER_TOKEN_MS, tokensPerDelta: 1 } } })
  business = await town.business()
})
afterAll(async () => {
  await Promise.all(nodes.map((node) => node.stop()))
  await town?.close()
})

async function voice(): Promise<{ node: SpawnedNode; url: string }> {
  const node = spawnNode(MAIN, { ...town.environment, VOICE_PORT: '0', DRAIN_MS: String(DRAIN_MS) })
  nodes.push(node)
  return { node, url: (await node.line(/"ready":"voice","url":"([^"]+)"/))[1]! }
}

const words = (name: string, count: number): string => Array.from({ length: count }, (_, at) => `${name}${at}`).join(' ')

/** In the middle of an answer of so many words. */
async function answered(url: string, name: string, count: number): Promise<{ client: RealtimeClient; id: string; itemId: string }> {
  const client = dialRealtime(url, business.key)
  const { session } = await client.until('session.created')
  client.send({ type: 'session.update', session: { type: 'realtime', output_modalities: ['text'], instructions: `You are ${name}.` } })
  client.send(userSays(`Tell me, ${name}.`))
  town.sandbox.faults.add({ target: 'openai.responses', times: 1, action: { text: words(name, count) } })
  client.send({ type: 'response.create' })
  const { item_id: itemId } = await client.until('response.output_text.delta', 3)
  return { client, id: session.id, itemId }
}

async function comeBack(url: string, id: string): Promise<{ client: RealtimeClient; session: Json }> {
  const client = dialRealtime(url, business.key, `session_id=${id}`)
  return { client, session: (await client.until('session.created')).session }
}

describe('SIGTERM', { timeout: 90_000 }, () => {
  it('lets answers be said that soon end, tells every session, and ends the process in time; each client goes on elsewhere', async () => {
    const [old, other] = await Promise.all([voice(), voice()])
    const short = await answered(old.url, 'short', 60)
    // More than the drain waits for.
    const long = await answered(old.url, 'long', 1_000)
    expect(old.node.signal('SIGTERM')).toBe(true)

    const [code, reason] = await short.client.closed
    expect([code, reason.toString()]).toEqual([1001, expect.stringContaining('session_id')])
    expect(short.client.of('response.done')[0]!.response).toMatchObject({ status: 'completed', output: [{ content: [{ text: words('short', 60) }] }] })
    expect(long.client.events.map(({ type }) => type)).not.toContain('response.done')
    expect((await dialRealtime(old.url, business.key).refused).status).toBe(503)

    const back = await comeBack(other.url, short.id)
    expect(back.session).toMatchObject({ id: short.id, instructions: 'You are short.' })
    back.client.send({ type: 'conversation.item.retrieve', item_id: short.itemId })
    expect((await back.client.until('conversation.item.retrieved')).item.content[0].text).toBe(words('short', 60))

    expect((await long.client.closed)[0]).toBe(1001)
    const after = await comeBack(other.url, long.id)
    expect(after.session).toMatchObject({ id: long.id, instructions: 'You are long.' })
    // Its engine is gone, and what it had said is kept.
    const { response } = await after.client.until('response.done')
    expect(response).toMatchObject({ status: 'failed', status_details: { error: { code: 'session_moved' } } })
    expect(response.output[0].content[0].text).toMatch(/^long0 long1 /)
    after.client.send({ type: 'response.create' })
    expect((await after.client.until('response.done', 2)).response.status).toBe('completed')

    // 1: not within DRAIN_MS.
    expect(await old.node.exited, old.node.report()).toEqual({ code: 0, signal: null })
    for (const { client } of [back, after]) client.socket.close()
  })
})
