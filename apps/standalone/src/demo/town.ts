import { randomBytes, randomInt } from 'node:crypto'
import type { JournalEntry, Sandbox } from '@trunkline/app-sandbox'
import { z } from 'zod'
import type { Api } from '../api-client.ts'
import { createApi } from '../api-client.ts'
import { signUp, teachReceptionist, type DemoTenant } from '../seed.ts'
import type { System } from '../system.ts'
import { SHOP_ORIGIN, TELEPHONE_SETTINGS } from './shop.ts'

const Numbers = z.object({ data: z.array(z.object({ id: z.string(), type: z.string(), address: z.string() })) })
const Named = z.object({ id: z.string() })

/** Everything the story needs: a signed-up business with a WhatsApp number, an Instagram account, a web chat and a telephone. */
export type Town = {
  tenant: DemoTenant
  api: Api
  sandbox: Sandbox
  apiUrl: string
  whatsapp: { id: string; address: string }
  instagram: { id: string; address: string }
  webchat: { id: string }
  telephone: { id: string; address: string }
  verificationMail: string
}

const WAIT_MS = 20_000

export async function buildTown(system: System): Promise<Town> {
  const { sandbox, apiUrl } = system
  const visitor = createApi(apiUrl)
  const tenant = await signUp(visitor, 'Harbour Bikes')
  const mail = await sandbox.waitFor((entry) => entry.target === 'mail.received' && entry.to?.includes(tenant.email) === true, WAIT_MS)
  const token = sandbox.mail.list(tenant.email)[0]?.text.match(/tlv_[\w-]+/)?.[0]
  if (token) await visitor.post('/v1/auth/verify-email', { token })

  const api = visitor.as(tenant.apiKey)
  const instagram = await connectInstagram(api, sandbox, apiUrl, await teachReceptionist(api))
  const numbers = Numbers.parse(await api.get('/v1/phone-numbers')).data
  const [whatsapp, webchat, telephone] = ['whatsapp', 'webchat', 'voice'].map((type) => numbers.find((number) => number.type === type)!)
  await api.patch(`/v1/phone-numbers/${telephone!.id}`, { settings: TELEPHONE_SETTINGS })
  await api.patch(`/v1/phone-numbers/${webchat!.id}`, { settings: { title: 'Harbour Bikes', allowed_origins: [SHOP_ORIGIN] } })
  return { tenant, api, sandbox, apiUrl, whatsapp: whatsapp!, webchat: webchat!, telephone: telephone!, instagram, verificationMail: mail.text ?? '' }
}

/** As a business does it: the account exists at the supplier, is connected here, and its webhook is entered there. */
async function connectInstagram(api: Api, sandbox: Sandbox, apiUrl: string, promptId: string): Promise<{ id: string; address: string }> {
  const secret = () => randomBytes(18).toString('base64url')
  const address = `1784${randomInt(10 ** 10, 10 ** 11)}`
  const credentials = { access_token: secret(), app_secret: secret(), verify_token: secret() }
  sandbox.instagram.register({ ig_id: address, username: 'harbour.bikes', ...credentials })
  const { id } = Named.parse(await api.post('/v1/phone-numbers', { type: 'instagram', address, name: 'Harbour Bikes on Instagram', credentials }))
  sandbox.instagram.register({ ig_id: address, webhook_url: `${apiUrl}/webhooks/instagram/${id}` })
  await sandbox.instagram.verify(address)
  await api.post('/v1/agents', { name: 'Receptionist (Instagram)', number_id: id, prompt_id: promptId })
  return { id, address }
}

/** The next message of ours to this customer after the journal's position `after`. */
export function nextAnswer(town: Town, to: string, after: number): Promise<JournalEntry> {
  return town.sandbox.waitFor((entry) => entry.seq > after && entry.to === to && (entry.target === 'whatsapp.send' || entry.target === 'instagram.send') && entry.outcome !== 'refused', WAIT_MS)
}

/** Asks again until `read` finds what it looks for. */
export async function eventually<T>(what: string, read: () => Promise<T | null>): Promise<T> {
  const deadline = performance.now() + WAIT_MS
  for (;;) {
    const found = await read()
    if (found !== null) return found
    if (performance.now() > deadline) throw new Error(`It did not happen in ${WAIT_MS / 1_000} s: ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 100))
  }
}
