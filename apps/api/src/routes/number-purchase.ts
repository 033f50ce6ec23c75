import type { CarrierConfig, OwnedNumber } from '@trunkline/channels'
import { AppError, type CarrierId } from '@trunkline/core'
import { numbers } from '@trunkline/db'
import type { FastifyRequest } from 'fastify'
import { audit } from '../audit.ts'
import type { ApiDeps } from '../deps.ts'
import { asking, type Fields } from '../voice/carrier-error.ts'
import { webhookUrl } from './credentials.ts'

/** A number that waits, stopped, until it is known to be bought. `isAgain`: an attempt before may have bought it. */
export type Purchase = { number: numbers.PhoneNumber; carrier: CarrierId; config: CarrierConfig; isAgain: boolean; fields: Fields }

const BUY_TIMEOUT_MS = 20_000

/**
 * Buys it and lets it ring. Our row is there before the carrier hears of it, so what was bought is always found here: by its state, and by the
 * same request made again. Refused for certain, the row is gone as if it had not been.
 */
export async function buy(deps: ApiDeps, request: FastifyRequest, purchase: Purchase): Promise<numbers.PhoneNumber> {
  const { number, carrier, fields } = purchase
  const url = webhookUrl(deps.config.publicUrl, 'voice', number.id)
  const seen = { isNotOurs: !purchase.isAgain }
  const owned = await asking(carrier, fields, { number_id: number.id }, () => own(deps, purchase, { voiceUrl: url, statusUrl: url }, seen)).catch(async (error: unknown) => {
    if (seen.isNotOurs && isRefusal(error)) await forget(deps, number)
    throw error
  })
  return keep(deps, request, purchase, owned)
}

/** One that the account has already is connected: an attempt before bought it, or somebody did by hand. */
async function own({ carrierClients }: ApiDeps, { number: { address }, carrier, config, isAgain }: Purchase, routing: { voiceUrl: string; statusUrl: string }, seen: { isNotOurs: boolean }): Promise<OwnedNumber> {
  const [client, signal] = [carrierClients[carrier], AbortSignal.timeout(BUY_TIMEOUT_MS)]
  const connect = async (owned: OwnedNumber): Promise<OwnedNumber> => {
    seen.isNotOurs = false
    await client.assignNumber(config, owned.carrierNumberId, routing, signal)
    return owned
  }
  const bought = isAgain ? await client.findNumber(config, address, signal) : null
  if (bought) return connect(bought)
  seen.isNotOurs = true
  try {
    return await client.buyNumber(config, address, routing, signal)
  } catch (error) {
    const owned = error instanceof AppError && error.code === 'conflict' ? await client.findNumber(config, address, signal) : null
    if (owned) return connect(owned)
    throw error
  }
}

async function keep({ db, log }: ApiDeps, request: FastifyRequest, { number: { id, tenantId, address }, carrier }: Purchase, { carrierNumberId }: OwnedNumber): Promise<numbers.PhoneNumber> {
  try {
    return await db.tenant(tenantId, async (tx) => {
      const ready = await numbers.resume(tx, id)
      await audit(tx, request, { action: 'number.bought', target: { kind: 'number', id }, changes: { address, carrier, carrier_number_id: carrierNumberId } })
      return ready
    })
  } catch (cause) {
    log.error({ error: cause, numberId: id, carrierNumberId }, 'a number is bought and could not be kept')
    throw new AppError('unavailable', {
      message: 'The number is bought, and could not be made ready here. Send the same request again: it is connected then, and not bought twice.',
      details: { number_id: id, number: address, carrier_number_id: carrierNumberId }, cause, retryAfterMs: 5_000,
    })
  }
}

/** The carrier has certainly not sold it. */
const isRefusal = (error: unknown): boolean => error instanceof AppError && error.code !== 'upstream_timeout' && error.code !== 'upstream_failed'

async function forget({ db, log }: ApiDeps, { id, tenantId }: numbers.PhoneNumber): Promise<void> {
  await db.tenant(tenantId, (tx) => numbers.discard(tx, id)).catch((error: unknown) => log.warn({ error, numberId: id }, 'a number that was not bought stays, stopped'))
}
