import { randomBytes } from 'node:crypto'

const run = randomBytes(8).toString('hex')
let counter = 0

/** `resp_…`, `msg_…`, `conv_…`, `call_…`: unlike any other, also after a restart. */
export const newOpenAiId = (prefix: string): string => `${prefix}_${run}${(++counter).toString(16).padStart(16, '0')}`
