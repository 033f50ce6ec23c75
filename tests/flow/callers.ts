import type { CallHandle } from '@trunkline/app-sandbox'
import type { Business, Json } from './business.ts'
import { hears, kept, type PhoneTown, type Telephone } from './phone-town.ts'

/** The ways by which calls run; Telnyx has two. */
export const LINES = [['Twilio', { carrier: 'twilio' }], ['Telnyx', { carrier: 'telnyx' }], ['TeXML', { texml: true }]] as const

export const GREETING = 'Hello, harbour bikes.'
/** The agent hands over when it is asked to. */
export const HANDOVER = { tools: [{ type: 'builtin', name: 'handover_to_human' }] }

/** People outside, and what the API tells of their calls. */
export type Callers = {
  /** Somebody with a number of their own. */
  person(wish?: Omit<Parameters<PhoneTown['sandbox']['carriers']['describe']>[0], 'number'>): string
  /** Somebody rings the number, and has heard the greeting. */
  talking(telephone: Telephone): Promise<{ call: Json; phone: CallHandle }>
  /** Calls somebody, and has the phone in hand. */
  place(telephone: Telephone, wish: Record<string, unknown>): Promise<{ call: Json; phone: CallHandle }>
  read(id: string): Promise<Json>
  /** Once it has ended. */
  over(id: string): Promise<Json>
  /** What was told of its transfer, in order. */
  outcomes(id: string): Promise<string[]>
  /** The row, once it is as asked. */
  untilRow(id: string, condition: string): Promise<void>
}

export function callersOf(town: PhoneTown, business: Business, prefix: string): Callers {
  let people = 0
  const read = (id: string): Promise<Json> => business.ok('GET', `/v1/calls/${id}`)
  const untilRow = async (id: string, condition: string) => void (await town.until(`SELECT 1 FROM calls WHERE id = $1 AND ${condition}`, [id], (rows) => rows.length === 1))
  return {
    read, untilRow,
    person(wish = {}) {
      const number = `${prefix}${String(700_000 + ++people)}`
      town.sandbox.carriers.describe({ number, ...wish })
      return number
    },
    async talking(telephone) {
      const phone = town.ring(telephone)
      await hears(phone, /harbour bikes/)
      await kept(town, telephone, 1)
      const { data } = await business.ok('GET', `/v1/calls?number_id=${telephone.id}&live=true`)
      return { call: data[0], phone }
    },
    async place(telephone, wish) {
      const call = await business.ok('POST', '/v1/calls', { from: telephone.address, ...wish })
      return { call, phone: town.sandbox.carriers[telephone.carrier].call(call.carrier_call_id) }
    },
    async over(id) {
      await untilRow(id, 'ended_at IS NOT NULL')
      return read(id)
    },
    async outcomes(id) {
      const { data } = await business.ok('GET', `/v1/calls/${id}/events?kind=transfer`)
      return data.map((event: Json) => event.data.outcome)
    },
  }
}
