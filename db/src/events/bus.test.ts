import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { newId, silentLogger, systemClock } from '@trunkline/core'
import { afterEach, describe, expect, it } from 'vitest'
import { startRedis, type RunningRedis } from '../../../apps/standalone/src/infra/redis.ts'
import { startFaultProxy } from '../../../tests/harness/fault-proxy.ts'
import { freshRedis } from '../../../tests/harness/redis.ts'
import { connectRedis, redisReady } from '../redis/connect.ts'
import { createKeyring } from '../seal.ts'
import { compareEventIds, createEventBus, type EventBus, type EventLimits, type LiveEvent, type NewEvent } from './index.ts'

const keyring = createKeyring(['a-secret-of-thirty-two-characters-1'])
const closers: (() => Promise<unknown> | void)[] = []
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close()
})

type Place = { url: string; prefix: string }
/** A process: its own connections, and it knows who listens. */
async function processAt(place: Place, limits: Partial<EventLimits> = {}) {
  const redis = connectRedis({ ...place, commandTimeoutMs: 500 })
  await redisReady(redis, 5_000)
  const bus = createEventBus({ redis, keyring, clock: systemClock, log: silentLogger }, limits)
  closers.push(() => bus.close().finally(() => redis.disconnect()))
  await bus.ready(5_000)
  return { redis, bus }
}

const said = (text: string): NewEvent => {
  const id = newId()
  const data = { call_id: id, number_id: id, conversation_id: null, utterance_id: id, by: 'customer', text, start_ms: 0, end_ms: 1, interrupted: false, is_final: true } as const
  return { type: 'call.transcript', projectId: null, data }
}
const textOf = (event: LiveEvent) => (event.type === 'call.transcript' ? event.data.text : event.type)
const texts = (count: number, from = 0) => Array.from({ length: count }, (_, index) => `words ${from + index}`)

/** Reads on until a page is not full. */
async function readAll(bus: EventBus, tenantId: string, after: string): Promise<string[] | 'gap' | 'ended'> {
  const events: string[] = []
  for (let at = after; ; ) {
    const page = await bus.read(tenantId, at, 50)
    if (page.state !== 'whole') return page.state
    events.push(...page.events.map(textOf))
    if (!page.full) return events
    at = page.next
  }
}

describe('events of a tenant', () => {
  it('arrive in the order in which they were published, by several processes, each once', async () => {
    const place = freshRedis()
    const [{ bus: reader }, ...writers] = await Promise.all([processAt(place), processAt(place), processAt(place)])
    const tenantId = newId()
    const { position } = await reader.watch(tenantId)
    for (const { bus } of writers) await bus.watch(tenantId)
    for (const [index, { bus }] of writers.entries()) for (const text of texts(300)) bus.publish(tenantId, [said(`${index} ${text}`)])
    await Promise.all(writers.map(({ bus }) => bus.idle()))
    const heard = (await readAll(reader, tenantId, position)) as string[]
    expect(heard).toHaveLength(600)
    for (const index of [0, 1]) expect(heard.filter((text) => text.startsWith(`${index} `))).toEqual(texts(300).map((text) => `${index} ${text}`))
  })

  it('are not written for a tenant nobody listens to, and from the first listener on they are, in every process', async () => {
    const place = freshRedis()
    const [{ bus: writer, redis }, { bus: reader }] = await Promise.all([processAt(place), processAt(place)])
    const tenantId = newId()
    writer.publish(tenantId, [said('unheard')])
    await writer.idle()
    expect((await redis.keys(`${place.prefix}*`)).filter((key) => !key.endsWith(':publishers'))).toEqual([])
    const { position, isNew } = await reader.watch(tenantId)
    expect(isNew).toBe(true)
    await expect.poll(async () => {
      writer.publish(tenantId, [said('heard')])
      await writer.idle()
      return ((await readAll(reader, tenantId, position)) as string[]).includes('heard')
    }).toBe(true)
    expect(await readAll(reader, tenantId, position)).not.toContain('unheard')
    expect((await reader.watch(tenantId)).isNew).toBe(false)
  })

  it('are sealed for their tenant: Redis shows no word of them, and nobody else can open them', async () => {
    const place = freshRedis()
    const { bus, redis } = await processAt(place)
    const [ours, theirs] = [newId(), newId()]
    const [{ position }, { position: theirPosition }] = await Promise.all([bus.watch(ours), bus.watch(theirs)])
    bus.publish(ours, [said('a secret word')])
    await bus.idle()
    const [[, fields]] = (await redis.xrange(`{events}:of:${ours}`, '-', '+')) as [[string, string[]]]
    const raw = Buffer.from(fields[1]!, 'base64')
    expect(raw.toString('latin1')).not.toContain('secret')
    expect(await readAll(bus, ours, position)).toEqual(['a secret word'])
    // Somebody who can write to Redis moves it into another tenant's stream: it stays closed there.
    await redis.xadd(`{events}:of:${theirs}`, '*', ...fields)
    expect(await readAll(bus, theirs, theirPosition)).toEqual([])
  })
})

describe('coming back', () => {
  it('goes on after the last event that was heard, without a double', async () => {
    const { bus } = await processAt(freshRedis())
    const tenantId = newId()
    const { position } = await bus.watch(tenantId)
    bus.publish(tenantId, texts(10).map(said))
    await bus.idle()
    const page = await bus.read(tenantId, position, 4)
    expect(page).toMatchObject({ state: 'whole', full: true })
    bus.publish(tenantId, texts(3, 10).map(said))
    await bus.idle()
    expect(await readAll(bus, tenantId, (page as { next: string }).next)).toEqual(texts(9, 4))
  })

  it('is told of a gap when the events after the last one are not kept any more, and only then', async () => {
    const { bus } = await processAt(freshRedis(), { kept: 100 })
    const tenantId = newId()
    const { position } = await bus.watch(tenantId)
    bus.publish(tenantId, texts(99).map(said))
    await bus.idle()
    const [first] = ((await bus.read(tenantId, position, 1)) as { events: LiveEvent[] }).events
    expect(await readAll(bus, tenantId, first!.id)).toEqual(texts(98, 1))
    bus.publish(tenantId, texts(500, 99).map(said))
    await bus.idle()
    expect(await readAll(bus, tenantId, first!.id)).toBe('gap')
    expect(await readAll(bus, tenantId, position)).toBe('gap')
  })

  it('is told of a gap when nobody listened meanwhile, and when the place was never given out', async () => {
    const { bus, redis } = await processAt(freshRedis())
    const tenantId = newId()
    const { position } = await bus.watch(tenantId)
    await redis.del(`{events}:since:${tenantId}`)
    expect(await readAll(bus, tenantId, position)).toBe('ended')
    await expect.poll(async () => {
      await redis.del(`{events}:since:${tenantId}`)
      return compareEventIds((await bus.watch(tenantId)).since, position)
    }).toBeGreaterThan(0)
    expect(await readAll(bus, tenantId, position)).toBe('gap')
    expect(await readAll(bus, tenantId, '99999999999999-0')).toBe('gap')
  })
})

describe('a process that told events', () => {
  const quick = { rollMs: 50 }
  /** Its line is cut: as far as the others can see, it is dead. */
  async function mortal(place: Place) {
    const far = new URL(place.url)
    const proxy = await startFaultProxy({ host: far.hostname, port: Number(far.port) })
    closers.push(() => proxy.close())
    far.host = `127.0.0.1:${proxy.port}`
    const { bus } = await processAt({ ...place, url: far.href }, quick)
    return { bus, die: () => (proxy.set({ refuse: true }), proxy.cutAll()) }
  }
  const onRoll = (redis: Awaited<ReturnType<typeof processAt>>['redis']) => redis.zcard('{events}:publishers')

  it('is missed when it is gone without a word: whoever listens is told once that something may be missing', async () => {
    const place = freshRedis()
    const [{ bus, redis }, other] = await Promise.all([processAt(place, quick), processAt(place, quick)])
    const { die } = await mortal(place)
    const [tenantId, unheard] = [newId(), newId()]
    const { position } = await bus.watch(tenantId)
    await other.bus.watch(tenantId)
    await expect.poll(() => onRoll(redis)).toBe(3)
    die()
    await expect.poll(() => readAll(bus, tenantId, position)).toEqual(['events.gap'])
    await expect.poll(() => onRoll(redis)).toBe(2)
    bus.publish(tenantId, [said('after')])
    await bus.idle()
    expect(await readAll(bus, tenantId, position)).toEqual(['events.gap', 'after'])
    expect(await redis.exists(`{events}:of:${unheard}`)).toBe(0)
  })

  it('is not missed when it has said that it goes', async () => {
    const place = freshRedis()
    const [{ bus, redis }, { bus: leaving }] = await Promise.all([processAt(place, quick), processAt(place, quick)])
    const tenantId = newId()
    const { position } = await bus.watch(tenantId)
    await expect.poll(() => onRoll(redis)).toBe(2)
    await leaving.close()
    expect(await onRoll(redis)).toBe(1)
    bus.publish(tenantId, [said('after')])
    await bus.idle()
    expect(await readAll(bus, tenantId, position)).toEqual(['after'])
  })
})

describe('without Redis', () => {
  let server: RunningRedis
  async function ownRedis(): Promise<{ place: Place; folder: string }> {
    const folder = await mkdtemp(join(tmpdir(), 'trunkline-events-'))
    closers.push(() => rm(folder, { recursive: true, force: true }))
    server = await startRedis({ dataDir: folder, fresh: true })
    closers.push(() => server.stop())
    return { place: { url: server.url, prefix: 't:' }, folder }
  }

  it('publishing costs nobody anything, is bounded, and the gap is told when Redis is there again', async () => {
    const { place } = await ownRedis()
    const far = new URL(place.url)
    const proxy = await startFaultProxy({ host: far.hostname, port: Number(far.port) })
    closers.push(() => proxy.close())
    far.port = String(proxy.port)
    const { bus: reader } = await processAt(place)
    const { bus: writer } = await processAt({ ...place, url: far.href }, { waitingMax: 50 })
    const tenantId = newId()
    const { position } = await reader.watch(tenantId)
    await writer.watch(tenantId)
    writer.publish(tenantId, [said('before')])
    await writer.idle()
    proxy.set({ refuse: true })
    proxy.cutAll()
    for (const text of texts(1_000)) writer.publish(tenantId, [said(text)])
    expect(writer.stats().waiting).toBeLessThanOrEqual(50)
    await writer.idle()
    expect(writer.stats()).toMatchObject({ published: 1, lost: 1_000 })
    proxy.set({})
    await expect.poll(() => readAll(reader, tenantId, position), { timeout: 10_000 }).toEqual(['before', 'events.gap'])
    await expect.poll(async () => {
      writer.publish(tenantId, [said('after')])
      await writer.idle()
      return (await readAll(reader, tenantId, position)) as string[]
    }).toContain('after')
  })

  it('that has lost everything: the watch is over, the next one begins later, and publishers hear of it', async () => {
    const { place, folder } = await ownRedis()
    const { bus, redis } = await processAt(place)
    const tenantId = newId()
    const { position } = await bus.watch(tenantId)
    bus.publish(tenantId, [said('before')])
    await bus.idle()
    const port = Number(new URL(place.url).port)
    await server.stop()
    server = await startRedis({ dataDir: folder, port, fresh: true })
    await redisReady(redis, 5_000)
    expect(await readAll(bus, tenantId, position)).toBe('ended')
    const again = await bus.watch(tenantId)
    expect(again.isNew).toBe(true)
    expect(await readAll(bus, tenantId, position)).toBe('gap')
    await expect.poll(async () => {
      bus.publish(tenantId, [said('after')])
      await bus.idle()
      return (await readAll(bus, tenantId, again.position)) as string[]
    }).toContain('after')
  })
})
