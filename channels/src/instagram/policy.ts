import type { ErrorPolicy, ErrorRow } from '../graph.ts'

/**
 * What we do about each error of the Instagram Send API. One code means several things: the subcode decides, so it is looked up first.
 * Codes: developers.facebook.com/documentation/business-messaging/messenger-platform/error-codes.
 */

const reconnect: ErrorRow = { policy: 'reconnect', message: 'Instagram no longer accepts the access token or its permissions. Reconnect the account.' }
const transient: ErrorRow = { policy: 'retry', message: 'Instagram reports a passing fault.', retryAfterMs: 2_000 }
const throughput: ErrorRow = { policy: 'number_rate', message: 'Too many messages for this account.', retryAfterMs: 2_000 }
const window: ErrorRow = { policy: 'window_closed', message: 'The 24-hour window is closed.' }
const unreachable: ErrorRow = { policy: 'final', message: 'Instagram cannot deliver to this person.' }
const ourFault: ErrorRow = { policy: 'final', message: 'Instagram found the request not valid.' }
const media: ErrorRow = { policy: 'media_fault', message: 'Instagram could not use the file.' }

export const POLICY: ErrorPolicy = {
  rows: {
    '-1': transient,
    '1': transient,
    '2': transient,
    '1200': transient,
    '4': throughput,
    '32': throughput,
    '429': throughput,
    '613': throughput,
    '80002': throughput,
    '80006': throughput,
    '/2018278': window,
    '/2534022': window,
    '/1545041': window,
    '1545041': window,
    '10': reconnect,
    '10/1893063': { policy: 'stop_number', message: 'The account is restricted.' },
    '100': ourFault,
    '100/33': reconnect,
    '/2018001': unreachable,
    '/2534014': unreachable,
    '/2018008': media,
    '/2018047': media,
    '/2018109': media,
    '/2018294': media,
    '190': reconnect,
    '230': reconnect,
    '368': { policy: 'stop_number', message: 'The account is restricted for a policy violation.' },
    '551': unreachable,
  },
  ranges: [{ from: 200, to: 299, row: reconnect }],
}
