import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { WaitingLanes } from './waiting-lanes.ts'

type Lane = { tenantId: string; numberId: number }
const lanes = (counts: Record<string, number>): Lane[] => Object.entries(counts).flatMap(([tenantId, count]) => Array.from({ length: count }, (_, numberId) => ({ tenantId, numberId })))
function waiting(all: readonly Lane[]): WaitingLanes<Lane> {
  const line = new WaitingLanes<Lane>()
  for (const lane of all) line.add(lane)
  return line
}
function* taken(line: WaitingLanes<Lane>): Generator<Lane> {
  for (let lane = line.take(); lane; lane = line.take()) yield lane
}

describe('lanes that wait', () => {
  it('are served tenant by tenant, and one after the other within each', () => {
    expect([...taken(waiting(lanes({ a: 3, b: 1, c: 2 })))].map((lane) => lane.tenantId + lane.numberId)).toEqual(['a0', 'b0', 'c0', 'a1', 'c1', 'a2'])
  })

  it('a lane that waits again stands behind its neighbours, its tenant behind the others', () => {
    const line = waiting(lanes({ a: 2, b: 1 }))
    const served: string[] = []
    for (let turn = 0; turn < 8; turn++) {
      const lane = line.take()!
      served.push(lane.tenantId + lane.numberId)
      line.add(lane)
    }
    expect(served).toEqual(['a0', 'b0', 'a1', 'b0', 'a0', 'b0', 'a1', 'b0'])
  })

  it('whoever waits is served after each other tenant at most once and each own lane at most once', () => {
    const tenants = fc.dictionary(fc.constantFrom('a', 'b', 'c', 'd'), fc.integer({ min: 1, max: 20 }), { minKeys: 1 })
    fc.assert(
      fc.property(tenants, (counts) => {
        const order = [...taken(waiting(lanes(counts)))]
        expect(order).toHaveLength(lanes(counts).length)
        order.forEach((lane, place) => expect(place).toBeLessThan((lane.numberId + 1) * Object.keys(counts).length))
      }),
    )
  })

  it('one that waits twice is served once, one that was taken out never', () => {
    const all = lanes({ a: 2, b: 1 })
    const line = waiting([...all, ...all])
    line.delete(all[2]!)
    line.delete(all[2]!)
    expect([...taken(line)]).toEqual(all.slice(0, 2))
  })
})
