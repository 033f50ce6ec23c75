import type { RedisOptions } from 'ioredis'
import { z } from 'zod'

/** How a server, or whoever knows where it is now, is reached: the part of a client's options that an address decides. */
type Place = Pick<RedisOptions, 'sentinels' | 'name' | 'username' | 'password' | 'db' | 'tls' | 'sentinelUsername' | 'sentinelPassword' | 'sentinelTLS' | 'enableTLSForSentinelMode'>

const SENTINEL_PORT = 26_379
const SENTINEL = /^redis(?<tls>s?)\+sentinel:\/\/(?:(?<user>[^:@/?#]*)(?::(?<password>[^@/?#]*))?@)?(?<hosts>[^@/?#]+)\/(?<name>[\w.-]+)(?:\/(?<db>\d{1,4}))?(?:\?(?<query>[^#]*))?$/
const HOST = /^(?<host>\[[\da-f:.]+\]|[\w.-]+)(?::(?<port>\d{1,5}))?$/i
const SHAPE = 'redis://…, rediss://…, or redis+sentinel://[user:password@]host:port,host:port/master-name[/db][?sentinel_password=…] (rediss+sentinel:// with TLS)'

/** `redis://`, `rediss://` (TLS), or sentinels that are asked where the master is. Stays text: it travels to other processes. */
export const RedisUrl = z.string().refine((url) => z.url({ protocol: /^rediss?$/ }).safeParse(url).success || sentinelsOf(url) !== null, SHAPE)

/**
 * `redis+sentinel://user:password@host:port,host:port/master-name/db?sentinel_username=…&sentinel_password=…`: the credentials before the
 * hosts are the servers', those of the query the sentinels'. Null when the address is of another kind, or is none.
 */
export function sentinelsOf(url: string): Place | null {
  const { tls, user, password, hosts = '', name, db, query } = SENTINEL.exec(url)?.groups ?? {}
  const sentinels = hosts.split(',').map(hostOf)
  const asked = queryOf(query)
  if (name === undefined || asked === null || sentinels.some((each) => each === null)) return null
  try {
    return {
      sentinels: sentinels as { host: string; port: number }[],
      name,
      ...(user ? { username: decodeURIComponent(user) } : {}),
      ...(password ? { password: decodeURIComponent(password) } : {}),
      ...(db === undefined ? {} : { db: Number(db) }),
      ...(tls === 's' ? { tls: {}, sentinelTLS: {}, enableTLSForSentinelMode: true } : {}),
      ...asked,
    }
  } catch {
    // Not what percent-encoding allows.
    return null
  }
}

function hostOf(text: string): { host: string; port: number } | null {
  const { host, port } = HOST.exec(text)?.groups ?? {}
  if (host === undefined || Number(port ?? SENTINEL_PORT) > 65_535) return null
  return { host: host.replace(/^\[|\]$/g, ''), port: Number(port ?? SENTINEL_PORT) }
}

/** Null for a word that is not known: a mistyped password would be no password. */
function queryOf(query: string | undefined): Pick<Place, 'sentinelUsername' | 'sentinelPassword'> | null {
  const given = Object.fromEntries(new URLSearchParams(query ?? ''))
  const { sentinel_username: sentinelUsername, sentinel_password: sentinelPassword, ...unknown } = given
  if (Object.keys(unknown).length > 0) return null
  return { ...(sentinelUsername === undefined ? {} : { sentinelUsername }), ...(sentinelPassword === undefined ? {} : { sentinelPassword }) }
}
