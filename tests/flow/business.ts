import { randomBytes } from 'node:crypto'
import type { Sandbox } from '@trunkline/app-sandbox'
import type { ChannelId } from '@trunkline/core'

/** What JSON gives; a test that reads a wrong path fails on `undefined`. */
export type Json = ReturnType<typeof JSON.parse>
export type Answer = { status: number; body: Json; headers: Headers }

/** A tenant as its own developer sees it: everything through the API with its key. */
export type Business = {
  tenantId: string
  projectId: string
  key: string
  ownerToken: string
  call(method: 'GET' | 'POST' | 'PATCH' | 'PUT' | 'DELETE', path: string, body?: unknown, options?: { as?: string; idempotencyKey?: string }): Promise<Answer>
  /** The same, and throws unless it succeeds. */
  ok(method: 'GET' | 'POST' | 'PATCH' | 'PUT' | 'DELETE', path: string, body?: unknown): Promise<Json>
  /** A number that the sandbox knows, with a prompt and an agent that answers on it. */
  number(wish?: NumberWish): Promise<OurNumber>
}

export type NumberWish = {
  type?: ChannelId
  /** Fields of the number, e.g. `coalesce_ms`; 0 unless said otherwise. */
  number?: Record<string, unknown>
  /** Fields of the prompt over the usual ones; null leaves the number without an agent. */
  prompt?: Record<string, unknown> | null
  /** Fields of the sandbox's registration, e.g. `statuses` or `window_ms`. */
  sandbox?: Record<string, unknown>
}

export type OurNumber = {
  id: string
  address: string
  webhookUrl: string
  appSecret: string
  accessToken: string
  agentId: string
  promptId: string
}

type Place = { apiUrl: string; sandbox: Sandbox }
const TIMEOUT_MS = 30_000

export async function openBusiness(place: Place, name = 'Harbour Bikes'): Promise<Business> {
  const call = caller(place.apiUrl)
  const email = `owner-${randomBytes(6).toString('hex')}@example.com`
  const made = await call('POST', '/v1/auth/signup', { email, password: randomBytes(12).toString('base64url'), name: 'Owner', tenant_name: name })
  if (made.status !== 201) throw new Error(`sign-up answered ${made.status}: ${JSON.stringify(made.body)}`)
  const key: string = made.body.api_key.key
  const business: Business = {
    tenantId: made.body.tenant.id,
    projectId: made.body.project?.id ?? made.body.api_key.project_id,
    key,
    ownerToken: made.body.access_token ?? made.body.session?.access_token,
    call: (method, path, body, options) => call(method, path, body, { as: key, ...options }),
    async ok(method, path, body) {
      const answer = await call(method, path, body, { as: key })
      if (answer.status < 200 || answer.status > 299) throw new Error(`${method} ${path} answered ${answer.status}: ${JSON.stringify(answer.body)}`)
      return answer.body
    },
    number: (wish = {}) => openNumber(place, business, wish),
  }
  return business
}

function caller(apiUrl: string) {
  return async (method: string, path: string, body?: unknown, options: { as?: string; idempotencyKey?: string } = {}): Promise<Answer> => {
    const response = await fetch(`${apiUrl}${path}`, {
      method,
      headers: {
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        ...(options.as === undefined ? {} : { authorization: `Bearer ${options.as}` }),
        ...(options.idempotencyKey === undefined ? {} : { 'idempotency-key': options.idempotencyKey }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      signal: AbortSignal.timeout(TIMEOUT_MS),
    })
    const text = await response.text()
    return { status: response.status, headers: response.headers, body: text === '' ? null : JSON.parse(text) }
  }
}

export const PROMPT = { instructions: 'You are the receptionist of Harbour Bikes. We open at nine and repair every bicycle.', vendor: 'openai', model: 'gpt-5-mini', max_output_tokens: 200 }

async function openNumber(place: Place, business: Business, wish: NumberWish): Promise<OurNumber> {
  const type = wish.type ?? 'whatsapp'
  const secrets = { access_token: randomBytes(18).toString('base64url'), app_secret: randomBytes(18).toString('base64url'), verify_token: randomBytes(18).toString('base64url') }
  const given = `17${BigInt(`0x${randomBytes(6).toString('hex')}`)}`
  register(place.sandbox, type, given, { ...secrets, ...wish.sandbox })
  const made = await business.ok('POST', '/v1/phone-numbers', {
    type, name: 'Front desk', coalesce_ms: 0, ...wish.number,
    ...(type === 'webchat' ? {} : { address: given, credentials: secrets }),
  })
  const webhookUrl = `${place.apiUrl}/webhooks/${type}/${made.id}`
  register(place.sandbox, type, given, { webhook_url: webhookUrl })
  const prompt = wish.prompt === null ? null : await business.ok('POST', '/v1/prompts', { name: 'Receptionist', content: { ...PROMPT, ...wish.prompt } })
  const agent = prompt && (await business.ok('POST', '/v1/agents', { name: 'Receptionist', number_id: made.id, prompt_id: prompt.id }))
  return { id: made.id, address: made.address, webhookUrl, appSecret: secrets.app_secret, accessToken: secrets.access_token, agentId: agent?.id ?? '', promptId: prompt?.id ?? '' }
}

/** A second registration changes what it names. */
export function register(sandbox: Sandbox, type: ChannelId, address: string, fields: Record<string, unknown>): void {
  if (type === 'whatsapp') sandbox.whatsapp.register({ phone_number_id: address, ...fields })
  if (type === 'instagram') sandbox.instagram.register({ ig_id: address, ...fields })
}
