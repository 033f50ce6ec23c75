import type { PlaceOutcome } from '@trunkline/channels'
import { AppError, type CarrierId, type ErrorCode, type Id } from '@trunkline/core'

type Refusal = { code: ErrorCode; message: string; param: string | null; details?: Record<string, unknown> | undefined; retryAfterMs?: number | undefined; cause?: unknown }
/** Where in the request a carrier's field came from: `to` -> `body.to`. */
export type Fields = Readonly<Record<string, string>>

/** Words about what we asked for in our own words, unless they name a field of the request. */
const ABOUT_US: ReadonlySet<ErrorCode> = new Set(['not_found', 'invalid_request'])

/** A carrier's refusal as an answer of this API: it names the field where the caller gave it, and the carrier's own code is in the details. Rights in the carrier's account are none of ours. */
function refusedBy(carrier: CarrierId, { code, message, param, details, retryAfterMs, cause }: Refusal, fields: Fields, about: Record<string, unknown>): AppError {
  const field = param === null ? undefined : fields[param]
  const isUpstream = code === 'permission_denied' || (field === undefined && ABOUT_US.has(code))
  return new AppError(isUpstream ? 'upstream_rejected' : code, {
    message, cause, details: { carrier, ...details, ...about },
    ...(field === undefined ? {} : { param: field }),
    ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
  })
}

/** Runs what a carrier is asked for; its refusals come out as above, everything else as it is. */
export async function asking<Value>(carrier: CarrierId, fields: Fields, about: Record<string, unknown>, work: () => Promise<Value>): Promise<Value> {
  try {
    return await work()
  } catch (error) {
    if (!(error instanceof AppError)) throw error
    const { code, message, param, details, retryAfterMs } = error
    throw refusedBy(carrier, { code, message, param, details, retryAfterMs, cause: error }, fields, about)
  }
}

/** A call that was not taken. Its row tells why, too. */
export const rejectedCall = (carrier: CarrierId, { code, message, param, carrierCode, retryAfterMs }: Extract<PlaceOutcome, { status: 'rejected' }>, fields: Fields, callId: Id): AppError =>
  refusedBy(carrier, { code, message, param: param ?? null, details: { carrier_code: carrierCode }, retryAfterMs }, fields, { call_id: callId })
