/** The REST API as a person with curl sees it. Throws an Error with the API's own words for anything but success. */
export type Api = {
  get(path: string): Promise<unknown>
  /** A file, whole. */
  download(path: string): Promise<Buffer>
  post(path: string, body: unknown): Promise<unknown>
  patch(path: string, body: unknown): Promise<unknown>
  as(credential: string): Api
}

const TIMEOUT_MS = 30_000

export function createApi(baseUrl: string, credential?: string): Api {
  async function call(method: string, path: string, body?: unknown): Promise<unknown> {
    const bytes = await ask(method, path, body)
    return bytes.length === 0 ? null : JSON.parse(bytes.toString('utf8'))
  }
  async function ask(method: string, path: string, body?: unknown): Promise<Buffer> {
    const response = await fetch(`${baseUrl}${path}`, {
      method,
      headers: { ...(body === undefined ? {} : { 'content-type': 'application/json' }), ...(credential === undefined ? {} : { authorization: `Bearer ${credential}` }) },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      signal: AbortSignal.timeout(TIMEOUT_MS),
    })
    const bytes = Buffer.from(await response.arrayBuffer())
    if (!response.ok) throw new Error(`${method} ${path} answered ${response.status}: ${bytes.toString('utf8', 0, 500)}`)
    return bytes
  }
  return {
    get: (path) => call('GET', path),
    download: (path) => ask('GET', path),
    post: (path, body) => call('POST', path, body),
    patch: (path, body) => call('PATCH', path, body),
    as: (key) => createApi(baseUrl, key),
  }
}
