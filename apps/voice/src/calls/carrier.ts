import { CARRIER_TIMEOUT_MS, streamCall, type Carrier, type CarrierClient, type CarrierConfig, type VoiceAddresses } from '@trunkline/channels'
import { newId, type CarrierId, type Logger, type VoiceSettings } from '@trunkline/core'
import { calls, type Db, type RoutedNumber } from '@trunkline/db'

export const configOf = (number: RoutedNumber, settings: VoiceSettings): CarrierConfig => ({ credentials: number.credentials, settings: settings.carrier_settings })

/** Never rejects: what the carrier could not be told, its own end of the line will. What is wished for is written first, so that the end of the line has its reason. */
export async function hangUpAtCarrier({ db, carrierClients, log }: { db: Db; carrierClients: Record<CarrierId, CarrierClient>; log: Logger }, call: calls.Call, config: CarrierConfig): Promise<void> {
  const now = await db.system('calls', async (tx) => ((await calls.wish(tx, call.id, 'hang_up')) ? calls.get(tx, call.id) : null)).catch(() => call)
  const carrierCallId = now?.carrierCallId ?? call.carrierCallId
  if (carrierCallId === null) return
  await carrierClients[call.carrier].hangUp(config, carrierCallId, AbortSignal.timeout(CARRIER_TIMEOUT_MS)).catch((error: unknown) => log.warn({ error, callId: call.id }, 'the carrier could not be told to hang up'))
}

export type ReturnDeps = { carrierClients: Record<CarrierId, CarrierClient>; addresses: VoiceAddresses; log: Logger }

/** Whatever the carrier does with it ends, and its sound comes to us again: whoever takes it says what became of the transfer. Never rejects; false: the carrier was not reached, and the recovery tries again. */
export async function bringBack({ carrierClients, addresses, log }: ReturnDeps, call: calls.Call, carrier: Carrier, config: CarrierConfig): Promise<boolean> {
  try {
    await carrierClients[carrier.id].redirect(config, call.carrierCallId!, streamCall(addresses, carrier, call), { key: `return:${newId()}`, reference: call.id }, AbortSignal.timeout(CARRIER_TIMEOUT_MS))
    return true
  } catch (error) {
    log.warn({ error, callId: call.id }, 'the sound of a call could not be brought back')
    return false
  }
}
