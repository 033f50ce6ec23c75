import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, describe, expect, it } from 'vitest'
import { startRedis, type RunningRedis } from '../../../standalone/src/infra/redis.ts'
import { WebSocket } from 'ws'
import { openEventWorld, type Client, type EventWorld } from './testing.ts'

const closers: (() => Promise<unknown>)[] = []
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close()
})

type Options = Parameters<typeof openEventWorld>
async function open(...options: Options): Promise<EventWorld> {
  const world = await openEventWorld(...options)
  closers.push(() => world.close())
  return world
}
async function listen(world: EventWorld, query: Record<string, string> = {}): Promise<Client> {
  const client = await world.listen(world.tenant.key, query)
  closers.push(() => client.end())
  return client
}
const numbered = (count: number, from = 0) => Array.from({ length: count }, (_, index) => `words ${from + index}`)
const sayAll = (world: EventWorld, texts: string[]) => texts.forEach((text) => world.say(world.tenant, text))

describe('who comes back', () => {
  it('hears what was missed, in order, without a double, while new events keep coming', async () => {
    const world = await open({ pageSize: 50 })
    const first = await listen(world)
    sayAll(world, numbered(10))
    await first.heard(10)
    await first.end()
    sayAll(world, numbered(700, 10))
    await world.told()
    const coming = listen(world, { last_event_id: first.lastId })
    sayAll(world, numbered(300, 710))
    const second = await coming
    expect(second.frames[0]).toMatchObject({ type: 'ready', resumed: true, last_event_id: first.lastId })
    await second.heard(1_000)
    expect(second.texts).toEqual(numbered(1_000, 10))
    sayAll(world, ['and on'])
    await second.heard(1_001)
    expect(second.texts.at(-1)).toBe('and on')
  })

  it('in the middle of anything: however often the line breaks, nothing is missed or doubled', async () => {
    const world = await open({ pageSize: 20 })
    const first = await listen(world)
    const all = numbered(600)
    const heard: (string | undefined)[] = []
    let place = first.lastId
    await first.end()
    for (let index = 0; index < all.length; index += 60) {
      sayAll(world, all.slice(index, index + 60))
      const client = await listen(world, { last_event_id: place })
      await client.until((frames) => frames.length > 1)
      client.socket.terminate()
      await client.closed
      heard.push(...client.texts)
      place = client.lastId
    }
    const last = await listen(world, { last_event_id: place })
    await last.until(() => last.texts.at(-1) === all.at(-1) || heard.at(-1) === all.at(-1))
    expect([...heard, ...last.texts]).toEqual(all)
  })

  it('was only idle: a heartbeat keeps its place young, also where its filter lets nothing through', async () => {
    const world = await open({ heartbeatMs: 30 }, { kept: 100 })
    const [idle, witness] = [await listen(world, { types: 'lead.*' }), await listen(world)]
    const begun = idle.lastId
    for (let said = 0; said < 500; said += 50) {
      sayAll(world, numbered(50, said))
      await witness.heard(said + 50)
    }
    await idle.until(() => idle.lastId === witness.events.at(-1)!.id)
    expect(idle.events).toEqual([])
    // More has been cut off the stream than was ever heard, and yet nothing was missed.
    expect(await world.deps.events.read(world.tenant.id, begun, 1)).toEqual({ state: 'gap' })
    const again = await listen(world, { last_event_id: idle.lastId })
    expect(again.frames[0]).toMatchObject({ resumed: true })
  })

  it('too late: hears of the gap once, and everything from there on', async () => {
    const world = await open({}, { kept: 100 })
    const first = await listen(world)
    sayAll(world, ['early'])
    await first.heard(1)
    await first.end()
    sayAll(world, numbered(500))
    await world.told()
    const late = await listen(world, { last_event_id: first.lastId, types: 'lead.*,call.*' })
    await late.heard(1)
    expect(late.frames.slice(0, 2)).toMatchObject([{ type: 'ready', resumed: false }, { type: 'events.gap', data: { reason: 'too_old' } }])
    sayAll(world, ['on'])
    await late.heard(2)
    expect(late.texts).toEqual(['events.gap', 'on'])
    const next = await listen(world, { last_event_id: late.lastId })
    expect(next.frames[0]).toMatchObject({ resumed: true })
  })
})

describe('who reads too slowly', () => {
  const long = (index: number) => `${index} `.padEnd(8_000, '.')

  it('is sent away with what it holds of our memory, and comes back for the rest; others hear on', async () => {
    const world = await open({ unreadBytesMax: 200_000 })
    const [slow, quick] = [await listen(world), await listen(world)]
    slow.socket.pause()
    const texts: string[] = []
    // The kernel's buffers take some megabytes first.
    for (let index = 0; (await world.held()) > 1 && index < 5_000; index += 50) {
      const some = Array.from({ length: 50 }, (_, at) => long(index + at))
      texts.push(...some)
      sayAll(world, some)
      await quick.heard(texts.length)
    }
    slow.socket.resume()
    expect([1013, 1006]).toContain(await slow.closed)
    const heard = slow.texts.length
    expect(heard).toBeLessThan(texts.length)
    const again = await listen(world, { last_event_id: slow.lastId })
    await again.heard(texts.length - heard)
    expect([...slow.texts, ...again.texts]).toEqual(texts)
  }, 60_000)

  it('while it catches up is waited for, and sent away when it stands still', async () => {
    const world = await open({ unreadBytesMax: 200_000, slowMs: 300 })
    const first = await listen(world)
    for (let index = 0; index < 2_000; index += 100) {
      sayAll(world, Array.from({ length: 100 }, (_, at) => long(index + at)))
      await world.told()
    }
    await first.heard(2_000)
    const place = first.events[0]!.id!
    const still = await listen(world, { last_event_id: place })
    still.socket.pause()
    await expect.poll(() => world.held(), { timeout: 20_000 }).toBe(1)
    const steady = await listen(world, { last_event_id: place })
    await steady.heard(1_999)
    expect(steady.texts).toEqual(first.texts.slice(1))
  }, 60_000)
})

describe('Redis', () => {
  async function ownRedis(): Promise<{ place: { url: string; prefix: string }; again(fresh: boolean): Promise<void>; stop(): Promise<void> }> {
    const folder = await mkdtemp(join(tmpdir(), 'trunkline-events-'))
    let server: RunningRedis = await startRedis({ dataDir: folder, fresh: true })
    const port = Number(new URL(server.url).port)
    closers.push(async () => {
      await server.stop()
      await rm(folder, { recursive: true, force: true })
    })
    return {
      place: { url: server.url, prefix: 't:' },
      stop: () => server.stop(),
      async again(fresh) {
        server = await startRedis({ dataDir: folder, port, fresh })
      },
    }
  }

  it.each([['keeps what it had', false], ['has lost everything', true]])('is away for a while and %s: sockets stay, the gap is told, and news goes on', async (_, fresh) => {
    const redis = await ownRedis()
    const world = await open({ sweepMs: 50, renewMs: 100 }, {}, redis.place)
    const listener = await listen(world)
    sayAll(world, ['before'])
    await listener.heard(1)
    await redis.stop()
    sayAll(world, numbered(20))
    await world.told()
    await redis.again(fresh)
    await listener.until(() => listener.texts.includes('events.gap'))
    expect(listener.events.find(({ type }) => type === 'events.gap')!.data).toEqual({ reason: 'lost' })
    await expect.poll(() => {
      sayAll(world, ['after'])
      return listener.texts.includes('after')
    }, { timeout: 10_000 }).toBe(true)
    expect(listener.texts.slice(0, 2)).toEqual(['before', 'events.gap'])
    expect(listener.socket.readyState).toBe(listener.socket.OPEN)
  }, 40_000)

  it('is away when somebody comes: they are told to try again, and nothing hangs', async () => {
    const redis = await ownRedis()
    const world = await open({ sweepMs: 50 }, {}, redis.place)
    await redis.stop()
    const socket = new WebSocket(`${world.url.replace('http', 'ws')}/v1/events`, { headers: { authorization: `Bearer ${world.tenant.key}` } })
    expect(await new Promise((resolve) => socket.once('close', resolve))).toBe(1013)
    await redis.again(false)
    await expect.poll(() => listen(world).then(() => 'in', () => 'out'), { timeout: 10_000 }).toBe('in')
  }, 40_000)
})
