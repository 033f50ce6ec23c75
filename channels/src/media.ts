import { request, type Dispatcher } from 'undici'
import { AppError, type FetchedMedia, type MediaRef } from '@trunkline/core'
import { discard, readBody } from './graph.ts'

/** Downloads from the platform's own file hosts only: an address comes out of a webhook, and a token goes with it. */

export type DownloadPlan = {
  url: string
  /** Hosts that may be asked, `example.com` with its subdomains. The client's own base address is always allowed. */
  hosts: readonly string[]
  baseUrl: string
  /** Sent as bearer where the platform wants one. */
  accessToken?: string
  maxBytes: number
  signal: AbortSignal
}

const REDIRECTS_MAX = 3
/** For a whole file; a pause within it ends earlier, by the pool's body timeout. */
const DOWNLOAD_DEADLINE_MS = 120_000

export function isAllowedHost(url: URL, plan: Pick<DownloadPlan, 'hosts' | 'baseUrl'>): boolean {
  if (url.origin === new URL(plan.baseUrl).origin) return true
  if (url.protocol !== 'https:' || url.port !== '') return false
  return plan.hosts.some((host) => url.hostname === host || url.hostname.endsWith(`.${host}`))
}

function tooLarge(maxBytes: number): AppError {
  return new AppError('upstream_rejected', { message: `The file is larger than ${maxBytes} bytes.`, param: 'media' })
}

function refusal(status: number): AppError {
  // 401/403 of a signed address: it expired, a fresh one is fetched on the next try.
  if (status === 404 || status === 410) return new AppError('not_found', { message: 'The platform no longer has this file.' })
  if (status >= 500 || status === 429 || status === 401 || status === 403 || status === 408) return new AppError('upstream_failed', { details: { status } })
  return new AppError('upstream_rejected', { details: { status } })
}

async function open(agent: Dispatcher, url: URL, plan: DownloadPlan): Promise<Dispatcher.ResponseData> {
  try {
    return await request(url, {
      dispatcher: agent,
      signal: AbortSignal.any([plan.signal, AbortSignal.timeout(DOWNLOAD_DEADLINE_MS)]),
      headers: plan.accessToken ? { authorization: `Bearer ${plan.accessToken}` } : {},
    })
  } catch (cause) {
    throw new AppError('upstream_failed', { message: 'The file could not be fetched.', cause })
  }
}

async function readFile(response: Dispatcher.ResponseData, maxBytes: number): Promise<FetchedMedia> {
  const announced = Number(response.headers['content-length'])
  if (announced > maxBytes) {
    await discard(response.body)
    throw tooLarge(maxBytes)
  }
  const bytes = await readBody(response.body, maxBytes).catch((cause: unknown) => {
    throw new AppError('upstream_failed', { message: 'The file broke off.', cause })
  })
  if (!bytes) throw tooLarge(maxBytes)
  const type = response.headers['content-type']
  return { bytes, mimeType: (typeof type === 'string' && type.slice(0, 255)) || 'application/octet-stream' }
}

/** Throws AppError `upstream_failed` (later), `upstream_rejected` or `not_found` (for ever). */
export async function download(agent: Dispatcher, plan: DownloadPlan): Promise<FetchedMedia> {
  let url = new URL(plan.url)
  for (let hop = 0; hop <= REDIRECTS_MAX; hop += 1) {
    if (!isAllowedHost(url, plan)) throw new AppError('upstream_rejected', { message: 'The file is not on a host of the platform.', param: 'media.url' })
    const response = await open(agent, url, plan)
    if (response.statusCode === 200) return readFile(response, plan.maxBytes)
    await discard(response.body)
    const location = response.headers.location
    if (response.statusCode < 300 || response.statusCode > 399 || typeof location !== 'string' || !URL.canParse(location, url.href)) throw refusal(response.statusCode)
    url = new URL(location, url)
  }
  throw new AppError('upstream_rejected', { message: 'The file is behind too many redirects.' })
}

/** The address of a reference that has one. */
export function requireUrl(media: MediaRef): string {
  if (media.url && URL.canParse(media.url)) return media.url
  throw new AppError('not_found', { message: 'This file has no address at the platform.', param: 'media' })
}
