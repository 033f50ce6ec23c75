import { expect, it } from 'vitest'
import type { Sandbox } from '@trunkline/app-sandbox'
import type { CarrierClient, CarrierConfig } from '../src/carriers/index.ts'
import type { Business } from './business.ts'

/** Numbers as every carrier sells them, played by the sandbox. */
export type NumberStage = { sandbox: Sandbox; client: CarrierClient; business: Business; config: CarrierConfig }

export type NumberFacts = {
  carrier: 'twilio' | 'telnyx'
  /** One that is sold already. */
  sold: string
  /** The business answers calls that are incoming with a stream of this token. */
  answerWith(token: string): void
  /** An area in which numbers are for sale, and a number there that nobody has. */
  areaCode: string
  free: string
}

const soon = (): AbortSignal => AbortSignal.timeout(10_000)

/** `stage` is asked in each test: it is built before each. */
export function numberChecks(stage: () => NumberStage, { carrier, sold, answerWith, areaCode, free }: NumberFacts): void {
  const routing = () => ({ voiceUrl: `${stage().business.url}/voice`, statusUrl: `${stage().business.url}/status` })
  const ring = (to: string) => stage().sandbox.carriers[carrier].ring({ from: '+14155550100', to })

  it('are found, bought, rung, bound elsewhere and given back', async () => {
    const { client, config, business, sandbox } = stage()
    const [offer] = await client.searchNumbers(config, { country: 'US', areaCode, limit: 3 }, soon())
    expect(offer).toMatchObject({ number: expect.stringMatching(new RegExp(`^\\+1${areaCode}`)) as string, features: expect.arrayContaining(['voice']) as string[] })
    const owned = await client.buyNumber(config, offer!.number, routing(), soon())
    expect(owned.number).toBe(offer!.number)
    expect(await client.findNumber(config, offer!.number, soon())).toEqual(owned)
    answerWith('bought')
    ring(offer!.number)
    expect((await business.line()).token).toBe('bought')
    await client.assignNumber(config, owned.carrierNumberId, { voiceUrl: `${business.url}/elsewhere` }, soon())
    ring(offer!.number)
    await sandbox.waitFor(({ target, to }) => target === `${carrier}.webhook` && to === `${business.url}/elsewhere`)
    await client.releaseNumber(config, owned.carrierNumberId, soon())
    expect(await client.findNumber(config, offer!.number, soon())).toBeNull()
  })

  it('are not sold twice; a purchase without an answer is looked up', async () => {
    const { client, config, sandbox } = stage()
    await expect(client.buyNumber(config, sold, routing(), soon())).rejects.toMatchObject({ code: 'conflict', param: 'number' })
    sandbox.faults.add({ target: `${carrier}.numbers.buy`, times: 1, action: { acceptThenReset: true } })
    expect(await client.buyNumber(config, free, routing(), soon())).toMatchObject({ number: free })
    await expect(client.assignNumber(config, 'nothing', routing(), soon())).rejects.toMatchObject({ code: 'not_found' })
  })
}
