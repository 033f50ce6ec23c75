import { AppError, E164, VoiceSettings, type Channel, type ChannelId, type Id, type NumberConfig } from '@trunkline/core'
import type { z } from 'zod'
import type { ApiDeps } from '../deps.ts'
import { asking } from '../voice/carrier-error.ts'
import { checkCredentials, parseAt, withVerifyToken } from './credentials.ts'

type Json = Record<string, unknown>
type Deps = Pick<ApiDeps, 'channels' | 'clients' | 'carriers' | 'carrierClients'>

/** What a number of one type is made of, and who says whether its credentials work. What is wrong is named from the body on. */
export type NumberKind = {
  credentials: z.ZodType<Json>
  /** What we add to given credentials. */
  complete(credentials: Json): Json
  settings(given: Json): Json
  address(given: string | undefined, id: Id): string
  /** Throws AppError `invalid_credentials` naming the field, or `upstream_failed`. */
  check(config: NumberConfig): Promise<void>
  /** Finds it at its supplier, and gives what points it at our webhook. Throws AppError `invalid_request` for a type that has none, or a number that the account has not. */
  assignment(config: NumberConfig): Promise<(url: string) => Promise<void>>
}

/** `settings` say which carrier a telephone number is at: its credentials are that carrier's. */
export function numberKind(deps: Deps, type: ChannelId, settings: Json): NumberKind {
  if (type === 'voice') return telephone(deps, settings)
  const channel: Channel = deps.channels[type]
  return {
    credentials: channel.credentials,
    complete: (credentials) => withVerifyToken(channel, credentials),
    settings: (given) => parseAt(channel.settings, given, 'body.settings'),
    address: (given, id) => (type === 'webchat' ? ownAddress(given, id) : required(given)),
    check: (config) => checkCredentials(deps.clients[type], config),
    assignment: () => Promise.reject(new AppError('invalid_request', { message: 'body.assign: Only telephone numbers can be assigned; enter the webhook at the supplier.', param: 'body.assign' })),
  }
}

function telephone(deps: Deps, settings: Json): NumberKind {
  const { carrier: id } = parseAt(VoiceSettings, settings, 'body.settings')
  const carrier = deps.carriers[id]
  return {
    credentials: carrier.credentials,
    complete: (credentials) => credentials,
    settings(given) {
      const parsed = parseAt(VoiceSettings, given, 'body.settings')
      if (parsed.carrier !== id) throw new AppError('invalid_request', { message: 'body.settings.carrier: A number stays at its carrier, whose credentials it has. Connect it anew at the other one.', param: 'body.settings.carrier' })
      return { ...parsed, carrier_settings: parseAt(carrier.settings, parsed.carrier_settings, 'body.settings.carrier_settings') }
    },
    address(given) {
      const parsed = E164.safeParse(required(given))
      if (!parsed.success) throw new AppError('invalid_request', { message: 'body.address: Must be a number in E.164 (+4722334455).', param: 'body.address' })
      return parsed.data
    },
    // A carrier's settings are one part of the number's.
    check: (config) => checkCredentials(deps.carrierClients[id], atCarrier(config)),
    async assignment(config) {
      const client = deps.carrierClients[id]
      const owned = await asking(id, ASSIGN_FIELDS, {}, () => client.findNumber(atCarrier(config), config.address, AbortSignal.timeout(ASSIGN_TIMEOUT_MS)))
      if (owned === null) throw new AppError('invalid_request', { message: 'body.address: The account at the carrier has no such number.', param: 'body.address' })
      return (url) => asking(id, ASSIGN_FIELDS, {}, () => client.assignNumber(atCarrier(config), owned.carrierNumberId, { voiceUrl: url, statusUrl: url }, AbortSignal.timeout(ASSIGN_TIMEOUT_MS)))
    },
  }
}

const ASSIGN_TIMEOUT_MS = 15_000
const ASSIGN_FIELDS = { 'settings.connection_id': 'body.settings.carrier_settings.connection_id' }
const atCarrier = (config: NumberConfig): NumberConfig => ({ ...config, settings: config.settings['carrier_settings'] as Json })

function required(given: string | undefined): string {
  if (given === undefined) throw new AppError('invalid_request', { message: 'body.address: Required for this type.', param: 'body.address' })
  return given
}

function ownAddress(given: string | undefined, id: Id): string {
  if (given !== undefined) throw new AppError('invalid_request', { message: 'body.address: A web chat has no address of its own.', param: 'body.address' })
  return id
}
