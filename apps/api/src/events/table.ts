import { LIVE_EVENT_TYPES } from '@trunkline/db'
import { scopeOf } from './protocol.ts'
import { EVENT_DATA } from './view.ts'

/** The table of events, as the documents show it: made from the schemas. */
export const eventTable = (): string =>
  ['| event | scope | when | `data` |', '|---|---|---|---|', ...LIVE_EVENT_TYPES.map((type) => `| \`${type}\` | \`${scopeOf(type)}\` | ${EVENT_DATA[type].when} | ${fieldsOf(type)} |`)].join('\n')

const fieldsOf = (type: (typeof LIVE_EVENT_TYPES)[number]): string => Object.keys(EVENT_DATA[type].data.shape).map((name) => `\`${name}\``).join(', ')
