import type { Json, OurNumber } from './business.ts'

/** Somebody on the page of a shop, with a session of one web chat. */
export type Visitor = {
  visitorId: string
  say(clientMessageId: string, words: { text: string } | { media_id: string; caption?: string }): Promise<{ status: number; body: Json }>
  /** What the chat shows, oldest first. */
  messages(): Promise<Json[]>
  upload(bytes: Uint8Array<ArrayBuffer>, filename: string): Promise<{ status: number; body: Json }>
}

export const ORIGIN = 'https://shop.example.com'
/** Settings of a web chat that lets this visitor in. */
export const OPEN_CHAT = { settings: { allowed_origins: [ORIGIN] } }
const TIMEOUT_MS = 30_000

export async function openVisitor(apiUrl: string, number: Pick<OurNumber, 'id'>): Promise<Visitor> {
  let token: string | undefined
  const ask = async (method: string, path: string, body?: string | FormData) => {
    const headers = { origin: ORIGIN, ...(typeof body === 'string' ? { 'content-type': 'application/json' } : {}), ...(token === undefined ? {} : { authorization: `Bearer ${token}` }) }
    const response = await fetch(`${apiUrl}/v1/webchat/${number.id}${path}`, { method, headers, signal: AbortSignal.timeout(TIMEOUT_MS), ...(body === undefined ? {} : { body }) })
    return { status: response.status, body: (await response.json()) as Json }
  }
  const session = await ask('POST', '/sessions', '{}')
  if (session.status !== 201) throw new Error(`a session answered ${session.status}: ${JSON.stringify(session.body)}`)
  token = session.body.session_token
  return {
    visitorId: session.body.visitor_id,
    say: (clientMessageId, words) => ask('POST', '/messages', JSON.stringify({ client_message_id: clientMessageId, ...words })),
    messages: async () => (await ask('GET', '/messages')).body.data,
    upload(bytes, filename) {
      const form = new FormData()
      form.append('file', new Blob([bytes]), filename)
      return ask('POST', '/media', form)
    },
  }
}
