import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { randomBytes } from 'node:crypto'
import type { Sandbox } from '@trunkline/app-sandbox'
import { connectDb, createKeyring, openJson } from '@trunkline/db'
import { z } from 'zod'
import { createApi, type Api } from './api-client.ts'
import { SHOP_PROMPT } from './demo/shop.ts'

const DemoTenant = z.object({ email: z.string(), password: z.string(), apiKey: z.string(), tenantId: z.string(), whatsappNumber: z.string(), /** Null: a tenant of before there were telephones. */ telephone: z.string().nullable().default(null) })
export type DemoTenant = z.infer<typeof DemoTenant>

/** The tenant that a newcomer plays with: signed up through the API like any other, remembered in the data folder. */
export async function demoTenant(apiUrl: string, dataDir: string): Promise<DemoTenant> {
  const file = join(dataDir, 'demo-tenant.json')
  if (existsSync(file)) return DemoTenant.parse(JSON.parse(readFileSync(file, 'utf8')))
  const api = createApi(apiUrl)
  const tenant = await signUp(api, 'Harbour Bikes')
  await teachReceptionist(api.as(tenant.apiKey))
  writeFileSync(file, `${JSON.stringify(tenant, null, 2)}\n`, { mode: 0o600 })
  return tenant
}

const SignedUp = z.object({ tenant: z.object({ id: z.string() }), api_key: z.object({ key: z.string() }) })
const Numbers = z.object({ data: z.array(z.object({ type: z.string(), address: z.string() })) })

export async function signUp(api: Api, tenantName: string): Promise<DemoTenant> {
  const email = `owner-${randomBytes(4).toString('hex')}@harbour-bikes.example`
  const password = randomBytes(12).toString('base64url')
  const made = SignedUp.parse(await api.post('/v1/auth/signup', { email, password, name: 'Demo Owner', tenant_name: tenantName }))
  const numbers = Numbers.parse(await api.as(made.api_key.key).get('/v1/phone-numbers'))
  const addressOf = (type: string) => numbers.data.find((number) => number.type === type)!.address
  return { email, password, apiKey: made.api_key.key, tenantId: made.tenant.id, whatsappNumber: addressOf('whatsapp'), telephone: addressOf('voice') }
}

const Prompts = z.object({ data: z.array(z.object({ id: z.string() })) })

/** The receptionist that every new tenant has learns what this shop offers. Answers with its prompt's id. */
export async function teachReceptionist(api: Api): Promise<string> {
  const prompt = Prompts.parse(await api.get('/v1/prompts')).data[0]!
  await api.post(`/v1/prompts/${prompt.id}/versions`, { content: SHOP_PROMPT, note: 'What Harbour Bikes offers' })
  return prompt.id
}

type MetaCredentials = { access_token: string; app_secret: string; verify_token: string }
type TwilioCredentials = { account_sid: string; auth_token: string }

/** The sandbox forgets when it stops, the database does not: it is told again which numbers there are and where their webhooks are. */
export async function tellSandbox(sandbox: Sandbox, place: { databaseUrl: string; secret: string; apiUrl: string }): Promise<void> {
  const db = connectDb({ url: place.databaseUrl, secret: place.secret, maxConnections: 1 })
  const keyring = createKeyring([place.secret])
  try {
    const { rows } = await db.system('routing', (tx) =>
      tx.query<{ id: string; tenant_id: string; channel: string; address: string; credentials_sealed: Buffer }>(
        `SELECT id, tenant_id, channel, address, credentials_sealed FROM phone_numbers
         WHERE deleted_at IS NULL AND (channel IN ('whatsapp', 'instagram') OR (channel = 'voice' AND settings ->> 'carrier' = 'twilio'))`,
      ),
    )
    for (const row of rows) tellOne(sandbox, row, `${place.apiUrl}/webhooks/${row.channel}/${row.id}`, openJson(keyring, row.credentials_sealed, row.tenant_id))
  } finally {
    await db.close()
  }
}

function tellOne(sandbox: Sandbox, { channel, address }: { channel: string; address: string }, webhookUrl: string, credentials: unknown): void {
  if (channel === 'voice') {
    const { account_sid, auth_token } = credentials as TwilioCredentials
    return void sandbox.carriers.twilio.register({ number: address, account_sid, auth_token, voice_url: webhookUrl, status_url: webhookUrl })
  }
  const { access_token, app_secret, verify_token } = credentials as MetaCredentials
  const known = { access_token, app_secret, verify_token, webhook_url: webhookUrl }
  if (channel === 'whatsapp') sandbox.whatsapp.register({ phone_number_id: address, ...known })
  else sandbox.instagram.register({ ig_id: address, ...known })
}
