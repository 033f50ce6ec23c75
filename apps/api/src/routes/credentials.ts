import { AppError, type Channel, type ChannelId, type NumberConfig } from '@trunkline/core'
import { randomBytes } from 'node:crypto'
import type { z } from 'zod'

type Json = Record<string, unknown>

const CHECK_DEADLINE_MS = 10_000
/** The end of a shorter secret would say too much of it. */
const LAST_FOUR_FROM = 16

/** `value` by the channel's own schema. What is wrong is named from the body on: `body.credentials.access_token`. */
export function parseAt<Parsed extends Json>(schema: z.ZodType<Parsed>, value: Json, path: string): Parsed {
  const parsed = schema.safeParse(value)
  if (!parsed.success) {
    const issue = parsed.error.issues[0]!
    const unknown = issue.code === 'unrecognized_keys' ? issue.keys.slice(0, 1) : []
    const param = [path, ...issue.path.map(String), ...unknown].join('.')
    if (unknown.length > 0) throw new AppError('invalid_request', { message: `${param}: This field is not known here.`, param })
    throw new AppError('invalid_request', { message: `${param}: ${issue.message}`, param })
  }
  const unknown = Object.keys(value).find((key) => !(key in parsed.data))
  if (unknown !== undefined) throw new AppError('invalid_request', { message: `${path}.${unknown}: This field is not known here.`, param: `${path}.${unknown}` })
  return parsed.data
}

/** A verify token is ours to invent: it is made when none was given and the channel asks for one. */
export function withVerifyToken(channel: Channel, credentials: Json): Json {
  if ('verify_token' in credentials) return credentials
  const completed = { ...credentials, verify_token: randomBytes(24).toString('base64url') }
  const known = channel.credentials.safeParse(completed)
  const asked = known.success ? 'verify_token' in known.data : !channel.credentials.safeParse(credentials).success
  return asked ? completed : credentials
}

/** What webhooks are checked with, by supplier: Meta, Twilio, Telnyx. */
const SIGNED_WITH = ['app_secret', 'auth_token', 'public_key'] as const

/** Given values over the present ones. Webhooks that were signed with the old secret go on being accepted. */
export function rotated(present: Json, given: Json): Json {
  const replaced = SIGNED_WITH.filter((name) => name in given && name in present && given[name] !== present[name] && !(`previous_${name}` in given))
  return { ...present, ...given, ...Object.fromEntries(replaced.map((name) => [`previous_${name}`, present[name]])) }
}

/** Which secrets are set, and the ends of those that are long enough to be told apart by them. */
export function describeCredentials(credentials: Json): { name: string; last_four: string | null }[] {
  return Object.entries(credentials)
    .filter(([, value]) => value !== undefined && value !== null)
    .map(([name, value]) => ({ name, last_four: typeof value === 'string' && value.length >= LAST_FOUR_FROM ? value.slice(-4) : null }))
}

type Checker = { check(config: NumberConfig, signal: AbortSignal): Promise<void> }

/** Asks the supplier. Throws AppError `invalid_credentials` naming the field, or `upstream_failed` when it does not answer. */
export async function checkCredentials(client: Checker, config: NumberConfig): Promise<void> {
  try {
    await client.check(config, AbortSignal.timeout(CHECK_DEADLINE_MS))
  } catch (error) {
    if (!(error instanceof AppError) || error.code !== 'invalid_credentials') throw error
    throw new AppError('invalid_credentials', { message: error.message, param: `body.${error.param ?? 'credentials'}`, cause: error })
  }
}

/** Where the supplier is to send its webhooks. */
export const webhookUrl = (publicUrl: string, channel: ChannelId, numberId: string): string => `${publicUrl}/webhooks/${channel}/${numberId}`
