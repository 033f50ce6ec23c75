import { afterEach, describe, expect, it } from 'vitest'
import { findWorker } from './testing.ts'
import { WorkerPool } from './workers.ts'
import type { WorkerSettings } from './workers.ts'

const worker = findWorker()
const title = worker.path === null ? `the worker pool (skipped: ${worker.reason})` : 'the worker pool'

describe.skipIf(worker.path === null)(title, () => {
  let pool: WorkerPool | null = null
  afterEach(() => pool?.close())

  const start = async (settings: Partial<WorkerSettings> = {}): Promise<WorkerPool> => {
    pool = await WorkerPool.start({ workerBin: worker.path!, count: 1, listen: { ip: '127.0.0.1' }, onFault() {}, ...settings })
    return pool
  }

  it('gives the worker with the fewest peers', async () => {
    await start({ count: 2 })
    const one = await pool!.take()
    one.peers++
    const two = await pool!.take()
    expect(two).not.toBe(one)
    two.peers += 2
    expect(await pool!.take()).toBe(one)
  })

  it('makes one router per codec and payload type, and hears again when it could not', async () => {
    await start()
    const host = await pool!.take()
    const [a, b, c] = await Promise.all([host.router({ codec: 'opus', payloadType: 111 }), host.router({ codec: 'opus', payloadType: 111 }), host.router({ codec: 'opus', payloadType: 96 })])
    expect(a).toBe(b)
    expect(a.id).not.toBe(c.id)
    expect(a.rtpCapabilities.codecs![0]!.preferredPayloadType).toBe(111)
  })

  it('kills and replaces a worker that hangs; who asks meanwhile waits for the new one', async () => {
    const faults: unknown[] = []
    await start({ probeMs: 50, hangTimeoutMs: 200, onFault: (error) => faults.push(error) })
    const before = await pool!.take()
    const died = new Promise((resolve) => before.worker.on('died', resolve))
    process.kill(before.worker.pid, 'SIGSTOP')
    await died
    const after = await pool!.take()
    expect(after.worker.pid).not.toBe(before.worker.pid)
    expect(faults).toHaveLength(1)
  })

  it('takes its ports from the range that was given, and says so when there is none', async () => {
    const range = { min: 47_000, max: 47_400 }
    await start({ listen: { ip: '127.0.0.1', portRange: range } })
    const { udpSockets, tcpServers } = await (await pool!.take()).server.dump()
    for (const { port } of [...udpSockets, ...tcpServers]) expect(port).toSatisfy((port: number) => port >= range.min && port <= range.max)
    const [taken] = udpSockets
    await expect(WorkerPool.start({ workerBin: worker.path!, count: 1, onFault() {}, listen: { ip: '127.0.0.1', portRange: { min: taken!.port, max: taken!.port } } })).rejects.toThrow()
  })

  it('leaves SIGTERM to the app: calls may end in peace', async () => {
    const before = process.listenerCount('SIGTERM')
    await start()
    expect(process.listenerCount('SIGTERM')).toBe(before)
  })
})
