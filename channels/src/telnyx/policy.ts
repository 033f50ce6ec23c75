import type { RefusalPolicy, RefusalRow } from '../carriers/policy.ts'

/** Telnyx's error codes (developers.telnyx.com/development/api-fundamentals/api-errors). */

const credentials: RefusalRow = { code: 'invalid_credentials', message: 'Telnyx refused the API key.', param: 'credentials.api_key' }
const slower: RefusalRow = { code: 'rate_limited', message: 'Telnyx asks to go more slowly.', retryAfterMs: 2_000 }
const unknown: RefusalRow = { code: 'not_found', message: 'Telnyx knows no such thing.' }
const address: RefusalRow = { code: 'invalid_request', message: 'Telnyx cannot call this number.', param: 'to' }

export const POLICY: RefusalPolicy = {
  rows: {
    '10001': { code: 'invalid_request', message: 'This number is not active at Telnyx.', param: 'from' },
    '10002': address,
    '10005': unknown,
    '10009': credentials,
    '10010': { code: 'permission_denied', message: 'The Telnyx account may not do this.' },
    '10011': slower,
    '10016': address,
    '10027': { code: 'conflict', message: 'This number is no longer for sale.', param: 'number' },
    '20002': credentials,
    '20100': { code: 'upstream_rejected', message: 'The Telnyx account has no funds.' },
    '90015': unknown,
    // What comes twice (an event that is told again) starts one stream.
    '90061': { code: 'invalid_state', message: 'A stream runs on this call already.' },
    '90034': { code: 'invalid_state', message: 'The call is not answered yet.' },
  },
  over: new Set(['90018']),
}

/** Hanging up a call that Telnyx no longer knows is done, too. */
export const HANG_UP_POLICY: RefusalPolicy = { rows: POLICY.rows, over: new Set(['90018', '90015', '10005']) }
