import ipaddr from 'ipaddr.js'

/** What outgoing calls of tenants may reach. Anything not public needs an entry here, made by the operator, never by a tenant. */
export type NetworkPolicy = {
  /** Exact `host:port` pairs that may be private (`127.0.0.1:8080`, `crm.internal:443`). */
  allow?: readonly string[]
  /** Ports a public host may be called on. */
  ports?: readonly number[]
}
export const DEFAULT_PORTS: readonly number[] = [80, 443, 8080, 8443]

/** Refused by the address policy. The message names the reason, not the address that a name resolved to. */
export class AddressRefused extends Error {
  readonly reason: string

  constructor(reason: string) {
    super(`The address is not allowed: ${reason}`)
    this.name = 'AddressRefused'
    this.reason = reason
  }
}

/** A URL that has passed; `allowed` when the operator's list names it, so that its addresses may be private. */
export type CheckedUrl = { url: URL; host: string; port: number; allowed: boolean }

/**
 * Judges a URL before any name is resolved. The WHATWG parser has already turned decimal, octal, hex and short IPv4 forms and
 * full-width digits into dotted decimals (URL standard, "host parsing"), so one check on the parsed host sees them all.
 */
export function checkUrl(raw: string, policy: NetworkPolicy = {}): CheckedUrl {
  const url = URL.parse(raw)
  if (!url) throw new AddressRefused('not a URL')
  if (url.protocol !== 'http:' && url.protocol !== 'https:') throw new AddressRefused('only http and https')
  if (url.username || url.password) throw new AddressRefused('user information in the URL')
  const host = url.hostname.replace(/^\[|\]$/g, '').toLowerCase()
  if (host === '' || host.endsWith('.')) throw new AddressRefused('host name is empty or ends with a dot')
  const port = Number(url.port || (url.protocol === 'https:' ? 443 : 80))
  const allowed = policy.allow?.includes(`${host}:${port}`) ?? false
  if (!allowed) checkPublic(host, port, policy)
  return { url, host, port, allowed }
}

/** For whoever takes an address down now and calls it later: why it will be refused, or null. */
export function addressFault(raw: string, policy: NetworkPolicy = {}): string | null {
  try {
    checkUrl(raw, policy)
    return null
  } catch (error) {
    if (error instanceof AddressRefused) return error.reason
    throw error
  }
}

function checkPublic(host: string, port: number, policy: NetworkPolicy): void {
  if (!(policy.ports ?? DEFAULT_PORTS).includes(port)) throw new AddressRefused('port')
  if (ipaddr.isValid(host)) {
    if (!isPublicAddress(host)) throw new AddressRefused('not a public address')
    return
  }
  // Single-label names and these endings are resolved inside a network (RFC 6761, RFC 6762, RFC 8375).
  if (!host.includes('.') || /\.(localhost|local|internal|intranet|lan|home|corp|home\.arpa|test|invalid|onion)$/.test(host)) throw new AddressRefused('not a public host name')
}

/** Unicast and global; IPv6 that carries an IPv4 address (mapped, 6to4, NAT64, Teredo) is never taken, whatever it carries. */
export function isPublicAddress(address: string): boolean {
  if (!ipaddr.isValid(address)) return false
  const parsed = ipaddr.parse(address)
  return parsed.range() === 'unicast' && !isTranslated(parsed)
}

/** Deprecated IPv4-compatible `::a.b.c.d` and site-local fec0::/10 count as plain unicast in some tables. */
function isTranslated(parsed: ipaddr.IPv4 | ipaddr.IPv6): boolean {
  if (parsed.kind() === 'ipv4') return false
  const ipv6 = parsed as ipaddr.IPv6
  // Only 2000::/3 is global unicast today (IANA IPv6 address space registry).
  return !ipv6.match(ipaddr.IPv6.parse('2000::'), 3)
}
