import { randomBytes, randomInt } from 'node:crypto'
import { newId, PromptContent, type Id } from '@trunkline/core'
import { agents, ledger, numbers, prompts, sealJson, type Keyring, type Tx } from '@trunkline/db'
import type { Provisioner } from './deps.ts'

/** A number at the sandbox that plays the supplier. Null outside of trials. */
export type SandboxNumbers = {
  /** Makes the sandbox know the number, so that customers can write to it. */
  register(number: { phoneNumberId: string; webhookUrl: string; appSecret: string; verifyToken: string; accessToken: string }): Promise<void>
}

type Deps = { keyring: Keyring; publicUrl: string; startCreditMicros: bigint; sandbox: SandboxNumbers | null; vendor: PromptContent['vendor']; model: string }

/**
 * What a new tenant finds: a receptionist that greets, answers, asks who is calling and hands over, on a web chat (which needs no
 * supplier) and, where a sandbox plays WhatsApp, on a number of its own; and credit to try it with.
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
    return deps.sandbox ? addSandboxNumber(tx, deps, deps.sandbox, { tenantId, projectId, promptId: prompt.id }) : async () => {}
  }
}

async function addSandboxNumber(tx: Tx, deps: Deps, sandbox: SandboxNumbers, place: { tenantId: Id; projectId: Id; promptId: Id }): Promise<() => Promise<void>> {
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

/** A web chat is its own supplier: its address is its id. */
type NewNumber = { tenantId: Id; projectId: Id; channel: 'whatsapp' | 'webchat'; address?: string; name: string; credentials: Record<string, unknown>; settings: Record<string, unknown> }

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
    rules: { greeting: 'Hello, and welcome! How can we help you?' },
  })
