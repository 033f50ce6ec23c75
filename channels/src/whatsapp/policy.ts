import type { ErrorPolicy, ErrorRow } from '../graph.ts'

/**
 * What we do about each error of the Cloud API. Data, so that it can be read, tested and extended without touching the client.
 * Codes: developers.facebook.com/documentation/business-messaging/whatsapp/support/error-codes (15 May 2026).
 */

const reconnect: ErrorRow = { policy: 'reconnect', message: 'WhatsApp no longer accepts the access token or its permissions. Reconnect the number.' }
const transient: ErrorRow = { policy: 'retry', message: 'WhatsApp reports a passing fault.', retryAfterMs: 2_000 }
const throughput: ErrorRow = { policy: 'number_rate', message: 'Too many messages for this number or account.', retryAfterMs: 1_000 }
const undeliverable: ErrorRow = { policy: 'final', message: 'WhatsApp cannot deliver to this person.' }
const ourFault: ErrorRow = { policy: 'final', message: 'WhatsApp found the request not valid.' }
const template: ErrorRow = { policy: 'template_fault', message: 'The template is missing, paused or does not fit its parameters.' }
const media: ErrorRow = { policy: 'media_fault', message: 'WhatsApp could not use the file.' }
const capped: ErrorRow = { policy: 'final', message: 'WhatsApp limits marketing messages to this person.', retryAfterMs: 24 * 60 * 60 * 1000 }

export const POLICY: ErrorPolicy = {
  rows: {
    '0': reconnect,
    '1': transient,
    '2': transient,
    '3': reconnect,
    '4': throughput,
    '10': reconnect,
    '100': ourFault,
    // The id in the path does not exist for this token: wrong phone_number_id or the permission is gone.
    '100/33': reconnect,
    '190': reconnect,
    '368': { policy: 'stop_number', message: 'The account is restricted for a policy violation.' },
    '80007': throughput,
    '130429': throughput,
    '130472': capped,
    '130497': undeliverable,
    '131000': transient,
    '131005': reconnect,
    '131008': ourFault,
    '131009': ourFault,
    '131016': transient,
    '131021': ourFault,
    '131026': undeliverable,
    '131030': undeliverable,
    '131031': { policy: 'stop_number', message: 'The account is locked.' },
    '131037': { policy: 'stop_number', message: 'The display name of the number is not approved.' },
    '131042': { policy: 'stop_number', message: 'Payment for the account failed.' },
    '131045': { policy: 'stop_number', message: 'The number is not registered.' },
    '131047': { policy: 'window_closed', message: 'The 24-hour window is closed; only a template can be sent.' },
    // Blocked or flagged too often. Waiting is the only remedy besides writing less.
    '131048': { policy: 'number_rate', message: 'The number is limited because messages were flagged as spam.', retryAfterMs: 15 * 60 * 1000 },
    '131049': capped,
    '131050': { policy: 'opt_out', message: 'This person stopped marketing messages.' },
    '131051': ourFault,
    '131052': media,
    '131053': media,
    // One message per 6 s and person; back off 4^x s (throughput doc, 21 May 2026).
    '131056': { policy: 'pair_rate', message: 'Too many messages to this person in a short time.', retryAfterMs: 4_000 },
    '131057': { policy: 'stop_number', message: 'The account is in maintenance.' },
    '133010': { policy: 'stop_number', message: 'The number is not registered.' },
    '135000': ourFault,
  },
  ranges: [
    { from: 200, to: 299, row: reconnect },
    { from: 132000, to: 132999, row: template },
  ],
}
