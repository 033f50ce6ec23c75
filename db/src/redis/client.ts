import { Redis, type RedisOptions } from 'ioredis'
import { sentinelsOf } from './address.ts'
import { SwitchWatch } from './switch-watch.ts'

/** A client of the server at this address, or of whichever is the master behind these sentinels. */
export function clientOf(url: string, options: RedisOptions): Redis {
  const place = sentinelsOf(url)
  return place ? new Redis({ ...place, ...options, Connector: SwitchWatch as NonNullable<RedisOptions['Connector']> }) : new Redis(url, options)
}

/** What a server says that was the master a moment ago: the client looks for the new one. */
export const isDemoted = (error: Error): boolean => error.message.startsWith('READONLY')
