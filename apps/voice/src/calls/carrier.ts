import { CARRIER_TIMEOUT_MS, type CarrierClient, type CarrierConfig } from '@trunkline/channels'
import type { CarrierId, Logger, VoiceSettings } from '@trunkline/core'
import { calls, type Db, type RoutedNumber } from '@trunkline/db'

export const configOf = (number: RoutedNumber, settings: VoiceSettings): CarrierConfig => ({ credentials: number.credentials, settings: settings.carrier_settings })

/** Never rejects: what the carrier could not be told, its own end of the line will. What is wished for is written first, so that the end of the line has its reason. */
export async function hangUpAtCarrier({ db, carrierClients, log }: { db: Db; carrierClients: Record<CarrierId, CarrierClient>; log: Logger }, call: calls.Call, config: CarrierConfig): Promise<void> {
  const now = await db.system('calls', async (tx) => ((await calls.wish(tx, call.id, 'hang_up')) ? calls.get(tx, call.id) : null)).catch(() => call)
  const carrierCallId = now?.carrierCallId ?? call.carrierCallId
  if (carrierCallId === null) return
  await carrierClients[call.carrier].hangUp(config, carrierCallId, AbortSignal.timeout(CARRIER_TIMEOUT_MS)).catch((error: unknown) => log.warn({ error, callId: call.id }, 'the carrier could not be told to hang up'))
}
