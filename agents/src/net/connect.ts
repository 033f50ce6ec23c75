import { lookup as dnsLookup } from 'node:dns'
import type { LookupAddress } from 'node:dns'
import type { LookupFunction } from 'node:net'
import { Agent, fetch as undiciFetch } from 'undici'
import type { RequestInit as UndiciRequestInit } from 'undici'
import { AddressRefused, checkUrl, isPublicAddress } from './address.ts'
import type { NetworkPolicy } from './address.ts'

/** Resolves a name to all its addresses; `node:dns` by default, given by tests. */
export type Resolve = (host: string) => Promise<LookupAddress[]>

const systemResolve: Resolve = (host) =>
  new Promise((resolve, reject) => dnsLookup(host, { all: true, verbatim: true }, (error, addresses) => (error ? reject(error) : resolve(addresses))))

/**
 * The lookup that the socket itself uses: what is checked is what is connected to, so a name cannot answer "public" to the check and
 * "private" to the connection (DNS rebinding). One private address among several refuses all.
 */
export function guardedLookup(isAllowedHost: (host: string) => boolean, resolve: Resolve = systemResolve): LookupFunction {
  return (host, options, callback) => {
    resolve(host).then(
      (addresses) => {
        if (addresses.length === 0) return callback(new AddressRefused('the name has no address'), '', 0)
        if (!isAllowedHost(host) && !addresses.every((entry) => isPublicAddress(entry.address))) return callback(new AddressRefused('not a public address'), '', 0)
        if (options.all) return callback(null, addresses)
        callback(null, addresses[0]!.address, addresses[0]!.family)
      },
      (error: NodeJS.ErrnoException) => callback(error, '', 0),
    )
  }
}

export type GuardedNetwork = { agent: Agent; policy: NetworkPolicy; lookup: LookupFunction; close(): Promise<void> }

/** Connections of one process to addresses that tenants named. Kept alive per origin, few per origin. */
export function guardedNetwork(policy: NetworkPolicy = {}, resolve?: Resolve): GuardedNetwork {
  const allowedHosts = new Set(policy.allow?.map((entry) => entry.slice(0, entry.lastIndexOf(':'))))
  const lookup = guardedLookup((host) => allowedHosts.has(host.toLowerCase()), resolve)
  const agent = new Agent({
    connect: { lookup, timeout: 5_000 },
    connections: 32,
    maxHeaderSize: 16_384,
    pipelining: 1,
  })
  return { agent, policy, lookup, close: () => agent.close() }
}

/**
 * A `fetch` for SDKs that call an address a tenant typed in (Ollama, vLLM): checks the URL, pins the lookup, follows no redirect.
 * undici's option types and those of Node's own copy of it differ in name only, hence the cast.
 */
export function guardedFetch(network: GuardedNetwork): typeof fetch {
  return async (input, init) => {
    const { url } = checkUrl(input instanceof Request ? input.url : String(input), network.policy)
    const options = { ...init, ...(await formOf(init)), redirect: 'manual', dispatcher: network.agent } as unknown as UndiciRequestInit
    return undiciFetch(url, options)
  }
}

/** A form of Node's own is none to undici's fetch, which would send `[object FormData]`: it gets the bytes and their boundary. */
async function formOf({ body, headers }: RequestInit = {}): Promise<RequestInit> {
  if (!(body instanceof FormData)) return {}
  const form = new Response(body)
  const named = new Headers(headers)
  named.set('content-type', form.headers.get('content-type')!)
  return { body: await form.bytes(), headers: named }
}

/** The same guard for whoever has clients of its own: `check` an address once, then reach it through one of the others. None follows a redirect. */
export const guardedTransport = (network: GuardedNetwork) => ({
  check: (url: string): void => void checkUrl(url, network.policy),
  fetch: guardedFetch(network),
  dispatcher: network.agent,
  lookup: network.lookup,
})
