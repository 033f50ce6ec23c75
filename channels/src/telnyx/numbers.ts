import { AppError } from '@trunkline/core'
import type { AvailableNumber, CarrierConfig, OwnedNumber } from '../carriers/contract.ts'
import { checked } from '../carriers/parsing.ts'
import { errorOf } from '../carriers/policy.ts'
import { NumberRouting, NumberSearch, PhoneNumber, type NumberSearchInput } from '../carriers/requests.ts'
import { POLICY } from './policy.ts'
import { attempt, connectionOf, run, settingsOf, type Line } from './sdk.ts'

/** Numbers: found, ordered, and bound to the application whose webhook hears of their calls. */

export async function searchNumbers(line: Line, config: CarrierConfig, input: NumberSearchInput, signal: AbortSignal): Promise<AvailableNumber[]> {
  const { country, type, areaCode, contains, limit } = checked(NumberSearch, input, '')
  const filter = {
    country_code: country, phone_number_type: type, features: ['voice' as const], limit,
    ...(areaCode === undefined ? {} : { national_destination_code: areaCode }),
    // Telnyx knows no wildcard: `555*01` asks for the longest part without one.
    ...(contains === undefined ? {} : { phone_number: { contains: longestPart(contains) } }),
  }
  const { data } = await run(line, config, signal, async (sdk) => sdk.availablePhoneNumbers.list({ filter }))
  return (data ?? []).flatMap(({ phone_number: number, region_information: regions, features }) => {
    if (number === undefined) return []
    const named = (kind: string): string | null => regions?.find((region) => region.region_type === kind)?.region_name ?? null
    return [{ number, region: named('state'), locality: named('rate_center'), features: (features ?? []).flatMap(({ name }) => name ?? []) }]
  })
}

const longestPart = (pattern: string): string => pattern.split('*').reduce((best, part) => (part.length > best.length ? part : best), '')

export async function findNumber(line: Line, config: CarrierConfig, number: string, signal: AbortSignal): Promise<OwnedNumber | null> {
  const page = await run(line, config, signal, async (sdk) => sdk.phoneNumbers.list({ filter: { phone_number: number }, 'page[size]': 1 }))
  const owned = page.data.find((one) => one.phone_number === number)
  return owned ? { carrierNumberId: owned.id, number } : null
}

/** An order is carried out a little later; the number answers under its own id only then. */
export async function buyNumber(line: Line, config: CarrierConfig, input: string, routing: NumberRouting, signal: AbortSignal): Promise<OwnedNumber> {
  const [number, connection] = [checked(PhoneNumber, input, 'number'), connectionOf(config)]
  checked(NumberRouting, routing, 'routing')
  const ordered = await attempt(line, config, signal, async (sdk) => sdk.numberOrders.create({ phone_numbers: [{ phone_number: number }], connection_id: connection }))
  if (!ordered.ok && ordered.refusal.kind !== 'lost') throw errorOf(ordered.refusal, POLICY)
  const owned = await findNumber(line, config, number, signal).catch(() => null)
  if (owned) {
    await routeTo(line, config, routing, signal)
    return owned
  }
  if (!ordered.ok) throw errorOf(ordered.refusal, POLICY)
  throw new AppError('upstream_timeout', { message: 'The order is accepted, and the number is not there yet.', details: { order: ordered.value.data?.id ?? null }, retryAfterMs: 5_000 })
}

/** All numbers of an application ring at one address: events say by `to` which number is meant. */
async function routeTo(line: Line, config: CarrierConfig, routing: NumberRouting, signal: AbortSignal): Promise<void> {
  const [connection, { mode }] = [connectionOf(config), settingsOf(config)]
  if (mode === 'texml') return texmlTo(line, config, connection, routing, signal)
  const { voiceUrl } = routing
  const { data } = await run(line, config, signal, async (sdk) => sdk.callControlApplications.retrieve(connection))
  if (data?.webhook_event_url === voiceUrl) return
  await run(line, config, signal, async (sdk) => sdk.callControlApplications.update(connection, { application_name: data?.application_name ?? 'trunkline', webhook_event_url: voiceUrl }))
}

/** TeXML asks by GET unless it is told otherwise, and tells the end of a call that came in to the application's own address only. */
async function texmlTo(line: Line, config: CarrierConfig, connection: string, { voiceUrl, statusUrl = voiceUrl }: NumberRouting, signal: AbortSignal): Promise<void> {
  const { data } = await run(line, config, signal, async (sdk) => sdk.texmlApplications.retrieve(connection))
  const wanted = { voice_url: voiceUrl, voice_method: 'post', status_callback: statusUrl, status_callback_method: 'post' } as const
  if (data && Object.entries(wanted).every(([name, value]) => data[name as keyof typeof wanted] === value)) return
  await run(line, config, signal, async (sdk) => sdk.texmlApplications.update(connection, { friendly_name: data?.friendly_name ?? 'trunkline', ...wanted }))
}

export async function assignNumber(line: Line, config: CarrierConfig, carrierNumberId: string, input: NumberRouting, signal: AbortSignal): Promise<void> {
  const [routing, connection] = [checked(NumberRouting, input, 'routing'), connectionOf(config)]
  await run(line, config, signal, async (sdk) => sdk.phoneNumbers.update(carrierNumberId, { connection_id: connection }))
  await routeTo(line, config, routing, signal)
}
