import { composeVoice, readEnv, type Voice } from '@trunkline/app-voice'
import { silentLogger } from '@trunkline/core'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { Caller, findWorker } from '../../media/src/plane/webrtc/testing.ts'
import { freePort } from '../harness/processes.ts'
import { dialRealtime } from './realtime-client.ts'
import { openTown, type Town } from './town.ts'

// Calls over WebRTC take the same places as sockets: one too many is told so over HTTP, before anything is set up.

const worker = findWorker()
const title = worker.path === null ? `a call over WebRTC beyond the limit (skipped: ${worker.reason})` : 'a call over WebRTC beyond the limit'

let town: Town
let voice: Voice
const callers: Caller[] = []
beforeAll(async () => {
  const port = await freePort()
  town = await openTown({ settings: { VOICE_URL: `http://127.0.0.1:${port}` } })
  voice = await composeVoice(readEnv({ ...town.environment, VOICE_PORT: String(port), SESSIONS_PER_TENANT_MAX: '1', ...(worker.path === null ? {} : { MEDIASOUP_WORKER_BIN: worker.path }) }), silentLogger)
  await voice.listen()
})
afterEach(async () => {
  await Promise.all(callers.splice(0).map((caller) => caller.close()))
})
afterAll(async () => {
  await voice?.close()
  await town?.close()
})

const offered = (key: string, body: string) => fetch(`${town.apiUrl}/v1/realtime/calls`, { method: 'POST', headers: { authorization: `Bearer ${key}`, 'content-type': 'application/sdp', origin: 'https://shop.example.com' }, body })
const hangUp = (key: string, location: string) => fetch(`${town.apiUrl}${location}/hangup`, { method: 'POST', headers: { authorization: `Bearer ${key}` } })

async function ring(key: string): Promise<{ caller: Caller; answer: Response }> {
  const caller = await Caller.create('pcmu')
  callers.push(caller)
  caller.openChannel('oai-events')
  return { caller, answer: await offered(key, await caller.offer()) }
}

/** As the address says it: the limit, when to come again, in the error's shape of this API. */
async function isRefused(answer: Response): Promise<void> {
  expect([answer.status, answer.headers.get('content-type')]).toEqual([429, expect.stringContaining('application/json')])
  expect(Number(answer.headers.get('retry-after'))).toBeGreaterThanOrEqual(1)
  expect(answer.headers.get('location')).toBeNull()
  // A page of anybody may read both.
  expect(answer.headers.get('access-control-allow-origin')).toBe('*')
  expect(answer.headers.get('access-control-expose-headers')).toMatch(/retry-after/i)
  expect(await answer.json()).toEqual({ error: expect.objectContaining({ type: 'rate_limit_error', code: 'rate_limited', message: expect.stringContaining('1 session'), param: null }) })
}

describe.skipIf(worker.path === null)(title, { timeout: 40_000 }, () => {
  it('is refused, and may come when the other has gone', async () => {
    const business = await town.business()
    const first = await ring(business.key)
    expect(first.answer.status).toBe(201)
    await isRefused((await ring(business.key)).answer)
    expect((await ring((await town.business('Neighbour')).key)).answer.status).toBe(201)
    expect((await hangUp(business.key, first.answer.headers.get('location')!)).status).toBe(200)
    await expect.poll(async () => (await ring(business.key)).answer.status, { timeout: 15_000, interval: 500 }).toBe(201)
  })

  it('has its places together with sockets', async () => {
    const business = await town.business()
    const socket = dialRealtime(town.apiUrl, business.key)
    await socket.until('session.created')
    await isRefused((await ring(business.key)).answer)
    socket.socket.terminate()
    await socket.closed
    await expect.poll(async () => (await ring(business.key)).answer.status, { timeout: 15_000, interval: 500 }).toBe(201)
    expect(await dialRealtime(town.apiUrl, business.key).refused).toMatchObject({ status: 429 })
  })

  it('takes no place when its offer cannot be answered', async () => {
    const business = await town.business()
    for (const body of ['v=0', 'no sdp at all']) expect((await offered(business.key, body)).status).toBe(400)
    expect((await ring(business.key)).answer.status).toBe(201)
  })

  it('does not use its client secret up: the same page may try again', async () => {
    const business = await town.business()
    const first = await ring(business.key)
    expect(first.answer.status).toBe(201)
    const secret = (await business.ok('POST', '/v1/realtime/client_secrets', { session: { type: 'realtime' } })).value
    await isRefused((await ring(secret)).answer)
    await hangUp(business.key, first.answer.headers.get('location')!)
    await expect.poll(async () => (await ring(secret)).answer.status, { timeout: 15_000, interval: 500 }).toBe(201)
    expect((await ring(secret)).answer.status).toBe(401)
  })
})
