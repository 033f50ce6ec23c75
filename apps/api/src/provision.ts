import { randomBytes, randomInt } from 'node:crypto'
import { newId, PromptContent, VoiceSettings, type Id } from '@trunkline/core'
import { agents, ledger, numbers, prompts, sealJson, type Keyring, type Tx } from '@trunkline/db'
import type { Provisioner } from './deps.ts'

/** Numbers at the sandbox that plays the suppliers. Null outside of trials. */
export type SandboxNumbers = {
  /** Makes the sandbox's WhatsApp know the number, so that customers can write to it. */
  register(number: { phoneNumberId: string; webhookUrl: string; appSecret: string; verifyToken: string; accessToken: string }): Promise<void>
  /** Makes the sandbox's Twilio know the number, so that it can be rung. */
  registerTelephone(number: { address: string; webhookUrl: string; accountSid: string; authToken: string }): Promise<void>
}

type Deps = { keyring: Keyring; publicUrl: string; startCreditMicros: bigint; sandbox: SandboxNumbers | null; vendor: PromptContent['vendor']; model: string }

/**
 * What a new tenant finds: a receptionist that greets, answers, asks who is calling and hands over, on a web chat (which needs no
 * supplier) and, where a sandbox plays WhatsApp and Twilio, on numbers of its own; and credit to try it with.
 */
export function createProvisioner(deps: Deps): Provisioner {
  return async (tx, { tenantId, projectId }) => {
    await ledger.openAccounts(tx, tenantId)
    if (deps.startCreditMicros > 0n) {
      await ledger.topUp(tx, { tenantId, amountMicros: deps.startCreditMicros, idempotencyKey: 'start-credit', memo: 'Start credit', actor: { kind: 'system', id: 'sign-up' } })
    }
    const { prompt } = await prompts.insert(tx, { tenantId, projectId, name: 'Receptionist', content: receptionist(deps), note: 'Ready-made at sign-up', createdBy: 'system' })
    const chat = await addNumber(tx, deps, { tenantId, projectId, channel: 'webchat', name: 'Web chat', credentials: {}, settings: { title: 'Chat with us', allowed_origins: [] } })
    await agents.link(tx, { name: 'Receptionist (web chat)', numberId: chat, promptId: prompt.id })
    if (!deps.sandbox) return async () => {}
    const place = { tenantId, projectId, promptId: prompt.id }
    const after = [await addWhatsApp(tx, deps, deps.sandbox, place), await addTelephone(tx, deps, deps.sandbox, place)]
    return async () => {
      for (const tell of after) await tell()
    }
  }
}

async function addWhatsApp(tx: Tx, deps: Deps, sandbox: SandboxNumbers, place: { tenantId: Id; projectId: Id; promptId: Id }): Promise<() => Promise<void>> {
  const address = `1999${randomInt(10 ** 10, 10 ** 11)}`
  const secret = () => randomBytes(24).toString('base64url')
  const credentials = { access_token: secret(), app_secret: secret(), verify_token: secret() }
  const numberId = await addNumber(tx, deps, { ...place, channel: 'whatsapp', address, name: 'Sandbox WhatsApp', credentials, settings: {} })
  await agents.link(tx, { name: 'Receptionist (WhatsApp)', numberId, promptId: place.promptId })
  return () =>
    sandbox.register({
      phoneNumberId: address,
      webhookUrl: `${deps.publicUrl}/webhooks/whatsapp/${numberId}`,
      appSecret: credentials.app_secret,
      verifyToken: credentials.verify_token,
      accessToken: credentials.access_token,
    })
}

async function addTelephone(tx: Tx, deps: Deps, sandbox: SandboxNumbers, place: { tenantId: Id; projectId: Id; promptId: Id }): Promise<() => Promise<void>> {
  // No country has +999 (ITU-T E.164 keeps it in reserve): nobody's telephone rings by mistake.
  const address = `+999${randomInt(10 ** 11, 10 ** 12)}`
  const credentials = { account_sid: `AC${randomBytes(16).toString('hex')}`, auth_token: randomBytes(24).toString('base64url') }
  const settings = VoiceSettings.parse({ carrier: 'twilio', greeting: GREETING })
  const numberId = await addNumber(tx, deps, { ...place, channel: 'voice', address, name: 'Sandbox telephone', credentials, settings })
  await agents.link(tx, { name: 'Receptionist (telephone)', numberId, promptId: place.promptId })
  const webhookUrl = `${deps.publicUrl}/webhooks/voice/${numberId}`
  return () => sandbox.registerTelephone({ address, webhookUrl, accountSid: credentials.account_sid, authToken: credentials.auth_token })
}

/** A web chat is its own supplier: its address is its id. */
type NewNumber = { tenantId: Id; projectId: Id; channel: 'whatsapp' | 'voice' | 'webchat'; address?: string; name: string; credentials: Record<string, unknown>; settings: Record<string, unknown> }

async function addNumber(tx: Tx, deps: Deps, { credentials, ...number }: NewNumber): Promise<Id> {
  const id = newId()
  const made = await numbers.insert(tx, {
    id,
    tenantId: number.tenantId,
    projectId: number.projectId,
    channel: number.channel,
    address: number.address ?? id,
    name: number.name,
    settings: number.settings,
    credentialsSealed: sealJson(deps.keyring, credentials, number.tenantId),
  })
  return made.id
}

const GREETING = 'Hello, and welcome! How can we help you?'

const receptionist = ({ vendor, model }: Deps): PromptContent =>
  PromptContent.parse({
    vendor,
    model,
    instructions: [
      'You are the receptionist of {{business_name}}. You answer customers in their own language, briefly and warmly.',
      'Greet a new customer, find out what they need, and answer from what you know. When you do not know, say so and offer that a colleague gets back to them.',
      'In the course of the conversation, ask for the name, then for an e-mail address or a phone number, and for what the request is about. Ask for one thing at a time and never twice.',
      'Note each of these facts with capture_lead_field as soon as it is said.',
      'When a customer asks for a person, is upset, or needs something you cannot do, use handover_to_human.',
    ].join('\n'),
    variables: { business_name: 'our company' },
    maxOutputTokens: 400,
    tools: [
      { type: 'builtin', name: 'capture_lead_field' },
      { type: 'builtin', name: 'handover_to_human' },
      { type: 'builtin', name: 'end_conversation' },
    ],
    rules: { greeting: GREETING },
  })
