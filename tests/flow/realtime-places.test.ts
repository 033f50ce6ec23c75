import { composeVoice, readEnv, type Voice } from '@trunkline/app-voice'
import { silentLogger } from '@trunkline/core'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import type { Business } from './business.ts'
import { dialRealtime, type RealtimeClient } from './realtime-client.ts'
import { openTown, type Town } from './town.ts'

// A tenant has so many sessions at a time, whichever process they are in.

const MAX = 2

let town: Town
const voices: Voice[] = []
const clients: RealtimeClient[] = []
const urls: string[] = []
beforeAll(async () => {
  town = await openTown()
  for (let nth = 0; nth < 2; nth++) {
    const voice = await composeVoice(readEnv({ ...town.environment, VOICE_PORT: '0', SESSIONS_PER_TENANT_MAX: String(MAX) }), silentLogger)
    voices.push(voice)
    urls.push(await voice.listen())
  }
})
afterEach(async () => {
  await Promise.all(clients.splice(0).map(leave))
})
afterAll(async () => {
  await Promise.all(voices.map((voice) => voice.close()))
  await town?.close()
})

function dial(business: Business, at: number, query?: string, key = business.key): RealtimeClient {
  const client = dialRealtime(urls[at]!, key, query)
  clients.push(client)
  return client
}
async function leave(client: RealtimeClient): Promise<void> {
  if (client.socket.readyState === client.socket.CLOSED) return
  client.socket.terminate()
  await client.closed
}
/** In: the session's id. Out: the refusal. */
const outcome = (client: RealtimeClient) => Promise.race([client.until('session.created').then(({ session }) => session.id as string), client.refused])

describe('sessions of a tenant', { timeout: 30_000 }, () => {
  it('are limited over all processes, and one too many is refused before the socket', async () => {
    const business = await town.business()
    const ends = await Promise.all([0, 1, 0, 1].map((at) => outcome(dial(business, at))))
    expect(ends.filter((end) => typeof end === 'string')).toHaveLength(MAX)
    const refusals = ends.filter((end) => typeof end !== 'string')
    for (const refusal of refusals) expect(refusal).toMatchObject({ status: 429, retryAfter: expect.stringMatching(/^\d+$/), body: { error: { code: 'rate_limited', message: expect.stringContaining('2 sessions') } } })
    expect(await outcome(dial(await town.business('Neighbour'), 0))).toEqual(expect.any(String))
  })

  it('make room for others when they end', async () => {
    const business = await town.business()
    const [one, two] = [dial(business, 0), dial(business, 1)]
    await Promise.all([one, two].map((client) => outcome(client)))
    expect(await outcome(dial(business, 1))).toMatchObject({ status: 429 })
    await leave(one)
    // The server hears of it in its own time.
    await expect.poll(() => outcome(dial(business, 1)), { timeout: 10_000 }).toEqual(expect.any(String))
  })

  it('keep their place on the way to another process', async () => {
    const business = await town.business()
    const [one, two] = [dial(business, 0), dial(business, 0)]
    const [{ session }] = await Promise.all([one.until('session.created'), two.until('session.created')])
    const back = dial(business, 1, `session_id=${session.id}`)
    expect(await outcome(back)).toBe(session.id)
    await one.closed
    expect(await outcome(dial(business, 0))).toMatchObject({ status: 429 })
  })

  it('are not used up by those who are refused for another reason', async () => {
    const business = await town.business()
    for (let nth = 0; nth <= MAX; nth++) expect(await outcome(dial(business, 0, 'session_id=sess_00000000000000000000000a'))).toMatchObject({ status: 404 })
    expect(await outcome(dial(business, 0))).toEqual(expect.any(String))
  })
})
