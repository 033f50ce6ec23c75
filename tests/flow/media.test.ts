import { afterAll, beforeAll, expect, it } from 'vitest'
import { redisCommand } from '../harness/probe.ts'
import type { Business, Json, OurNumber } from './business.ts'
import { newCustomer } from './post.ts'
import { openTown, type Town } from './town.ts'

let town: Town
let business: Business
beforeAll(async () => {
  town = await openTown()
  business = await town.business()
})
afterAll(() => town?.close())

type Row = Record<string, Json>
const PICTURE = { base64: Buffer.from('a picture').toString('base64'), mime_type: 'image/jpeg', caption: 'My bicycle' }
const files = (number: OurNumber, check: (row: Row) => boolean) =>
  town.until<Row>("SELECT id, state, error, attempts, message_id, next_attempt_at BETWEEN now() AND now() + interval '150 seconds' AS later FROM media WHERE number_id = $1", [number.id], (rows) => rows.length === 1 && check(rows[0]!)).then((rows) => rows[0]!)
/** The clock is moved instead of waited for. A try under way has a lease of three minutes: `later` is true only between tries. */
async function later(number: OurNumber, age = '1 minute'): Promise<void> {
  await town.rows('UPDATE media SET next_attempt_at = now(), created_at = created_at - $2::interval WHERE number_id = $1 AND state = $3', [number.id, age, 'pending'])
  await redisCommand(town.redis.url, 'PUBLISH', `${town.redis.prefix}bell:media`, '')
}

it('a download that fails for a while is tried again until it works: the same message gains its file', async () => {
  const number = await business.number()
  const faults = ['whatsapp.media.get', 'whatsapp.media.download'].map((target) => town.sandbox.faults.add({ target, match: { phone_number_id: number.address }, times: 1, action: { status: 500 } }))
  const customer = newCustomer()
  await town.sandbox.whatsapp.customerWrites(customer, { phone_number_id: number.address, file: PICTURE })
  const first = await files(number, (row) => row['attempts'] === 1 && row['later'] === true && row['error'] !== null)
  expect(first).toMatchObject({ state: 'pending', later: true })
  // The answer does not wait for the file.
  await town.sandbox.waitFor((entry) => entry.target === 'whatsapp.send' && entry.to === customer)

  await later(number)
  expect(await files(number, (row) => row['attempts'] === 2 && row['later'] === true && row['error'] !== null)).toMatchObject({ state: 'pending', message_id: first['message_id'] })
  await later(number)
  expect(await files(number, (row) => row['state'] === 'stored')).toMatchObject({ id: first['id'], message_id: first['message_id'], attempts: 3 })
  expect(faults).toHaveLength(2)

  const message = await business.ok('GET', `/v1/messages/${first['message_id']}`)
  expect(message.content).toMatchObject({ kind: 'image', caption: 'My bicycle', media: { media_id: first['id'] } })
  const file = await fetch(`${town.apiUrl}/v1/media/${first['id']}/content`, { headers: { authorization: `Bearer ${business.key}` } })
  expect(file.status).toBe(200)
  expect(await file.text()).toBe('a picture')
})

it('a file that the supplier no longer keeps is given up visibly', async () => {
  const number = await business.number()
  town.sandbox.faults.add({ target: 'whatsapp.media.get', match: { phone_number_id: number.address }, action: { status: 500 } })
  await town.sandbox.whatsapp.customerWrites(newCustomer(), { phone_number_id: number.address, file: PICTURE })
  const first = await files(number, (row) => row['attempts'] === 1 && row['later'] === true && row['error'] !== null)
  await later(number, '8 days')
  expect(await files(number, (row) => row['state'] !== 'pending')).toMatchObject({ state: 'failed', error: 'expired' })
  expect(await business.ok('GET', `/v1/media/${first['id']}`)).toMatchObject({ state: 'failed', error: 'expired' })
})

it('an id that the supplier does not know ends at once', async () => {
  const number = await business.number()
  const message = { type: 'image', image: { id: '123456789012345', mime_type: 'image/jpeg', sha256: 'x' } }
  await town.sandbox.whatsapp.customerWrites(newCustomer(), { phone_number_id: number.address, message })
  expect(await files(number, (row) => row['state'] !== 'pending')).toMatchObject({ state: 'failed', attempts: 1 })
})
