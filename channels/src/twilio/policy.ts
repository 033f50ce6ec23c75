import type { RefusalPolicy, RefusalRow } from '../carriers/policy.ts'

/** Twilio's error codes (twilio.com/docs/api/errors). */

const credentials: RefusalRow = { code: 'invalid_credentials', message: 'Twilio refused the credentials.', param: 'credentials.auth_token' }
const account: RefusalRow = { code: 'invalid_credentials', message: 'The Twilio account is not active or may not do this.', param: 'credentials.account_sid' }
const to: RefusalRow = { code: 'invalid_request', message: 'Twilio cannot call this number.', param: 'to' }
const from: RefusalRow = { code: 'invalid_request', message: 'Twilio does not let this number call.', param: 'from' }
const taken: RefusalRow = { code: 'conflict', message: 'This number is no longer for sale.', param: 'number' }
const papers: RefusalRow = { code: 'upstream_rejected', message: 'Twilio wants an address or papers for this number first.', param: 'number' }
const slower: RefusalRow = { code: 'rate_limited', message: 'Twilio asks to go more slowly.', retryAfterMs: 2_000 }

export const POLICY: RefusalPolicy = {
  rows: {
    '20003': credentials,
    '20005': account,
    '10001': account,
    '10002': account,
    '20404': { code: 'not_found', message: 'Twilio knows no such thing.' },
    '20429': slower,
    '10004': slower,
    '21205': { code: 'invalid_request', message: 'Twilio cannot use this address.', param: 'instructions' },
    '21210': from,
    '21212': from,
    '21213': from,
    '21201': to,
    '21211': to,
    '21214': to,
    '21215': { code: 'permission_denied', message: 'The Twilio account may not call this country.', param: 'to' },
    '21216': to,
    '21217': to,
    '21219': { code: 'permission_denied', message: 'A trial account of Twilio calls verified numbers only.', param: 'to' },
    '21404': account,
    '21421': { code: 'invalid_request', message: 'This is no number that Twilio sells.', param: 'number' },
    '21422': taken,
    '21452': { code: 'not_found', message: 'Twilio has no such number.', param: 'number' },
    '21615': papers,
    '21631': papers,
    '21649': papers,
  },
  // 20404 answers a call that is long gone, 21220 one that has just ended ("Call is not in-progress. Cannot redirect.").
  over: new Set(['21220']),
}

/** Hanging up a call that Twilio no longer knows is done, too. */
export const HANG_UP_POLICY: RefusalPolicy = { rows: POLICY.rows, over: new Set(['21220', '20404']) }
