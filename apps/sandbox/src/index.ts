import type { AddressInfo } from 'node:net'
import { carrierHands, type CarrierHands } from './carriers/exchange.ts'
import { createCarrierWorld } from './carriers/world.ts'
import type { Fault, FaultInput } from './faults/fault.ts'
import { FaultTable } from './faults/table.ts'
import type { JournalEntry } from './journal/entry.ts'
import { Journal } from './journal/journal.ts'
import { MailBox } from './mail/box.ts'
import type { CaughtMail } from './mail/box.ts'
import { shakeHands } from './meta/handshake.ts'
import type { Handshake } from './meta/handshake.ts'
import { InstagramCustomerMessage, accountDestination, findAccount, instagramCustomerWrites } from './meta/instagram/customer.ts'
import type { InstagramCustomerInput, InstagramCustomerSent } from './meta/instagram/customer.ts'
import { MediaStore } from './meta/media.ts'
import { InstagramAccount, MetaRegistry, WhatsAppNumber } from './meta/registry.ts'
import { WebhookSender } from './meta/webhook-sender.ts'
import type { Delivery } from './meta/webhook-sender.ts'
import { CustomerMessage, customerWrites, destinationOf, findNumber } from './meta/whatsapp/customer.ts'
import type { CustomerMessageInput, CustomerSent } from './meta/whatsapp/customer.ts'
import { StatusTeller } from './meta/whatsapp/statuses.ts'
import { ConversationStore } from './models/openai/conversation-store.ts'
import { ResponseStore } from './models/openai/response-store.ts'
import type { Pace } from './models/pace.ts'
import type { AccountInput, NumberInput, SandboxOptions } from './options.ts'
import { defaults } from './options.ts'
import { buildServer } from './server.ts'
import { ScriptLine } from './speech/script.ts'
import { createSpeechWorld } from './speech/world.ts'
import type { SpeechPace } from './speech/world.ts'
import type { World } from './world.ts'
import type { z } from 'zod'

export type { Fault, FaultAction, FaultInput, FaultMatch } from './faults/fault.ts'
export type { JournalEntry, JournalFilter } from './journal/entry.ts'
export type { Journal } from './journal/journal.ts'
export type { CaughtMail } from './mail/box.ts'
export type { Delivery } from './meta/webhook-sender.ts'
export type { AccountInput, NumberInput, SandboxOptions } from './options.ts'
export { sign } from './meta/webhook-sender.ts'
export { inboundWebhook, CustomerMessage } from './meta/whatsapp/customer.ts'
export { instagramInbound, InstagramCustomerMessage } from './meta/instagram/customer.ts'
export { InstagramAccount, WhatsAppNumber } from './meta/registry.ts'
export { ACCESS_KEY_ID, SECRET_ACCESS_KEY } from './speech/polly/signature.ts'
export type { CarrierHands, RingInput } from './carriers/exchange.ts'
export type { CallHandle } from './carriers/handle.ts'
export { decode as toPcm, encode as fromPcm, type LineFormat } from './carriers/format.ts'
export { TELNYX_ACCOUNT_SID, TELNYX_CONNECTION_ID, TELNYX_PUBLIC_KEY, TELNYX_TEXML_CONNECTION_ID, telnyxSignature } from './carriers/telnyx/account.ts'
export { TWILIO_ACCOUNT_SID, TWILIO_AUTH_TOKEN, twilioSignature } from './carriers/twilio/account.ts'
export { Ear } from './speech/ear.ts'
export type { Heard } from './speech/ear.ts'
export { speak } from './speech/voice.ts'
export type { Speech } from './speech/voice.ts'

/** The outside world in one process, and the hands that move it. */
export type Sandbox = {
  /** Base URL of every provider: Graph at `/v23.0/...`, OpenAI at `/v1`, Anthropic at `/anthropic`, Groq at `/groq/openai/v1`, Ollama at `/ollama/v1`. */
  url: string
  mailPort: number
  journal: Journal
  /** First entry, kept ones included, that satisfies the predicate; rejects after `timeoutMs` (default 10 s). */
  waitFor(predicate: (entry: JournalEntry) => boolean, timeoutMs?: number): Promise<JournalEntry>
  waitForCount(predicate: (entry: JournalEntry) => boolean, count: number, timeoutMs?: number): Promise<JournalEntry[]>
  faults: {
    add(input: FaultInput): Fault
    list(): Fault[]
    remove(id: string): boolean
    clear(): void
  }
  whatsapp: {
    /** A second registration of a number changes what it names. */
    register(number: NumberInput): WhatsAppNumber
    /** Writes as a customer; resolves after the first delivery attempt. */
    customerWrites(waId: string, message: CustomerMessageInput | string): Promise<CustomerSent>
    /** Signs and delivers any payload at all. */
    deliver(phoneNumberId: string, payload: unknown, kind?: string): Promise<Delivery>
    verify(phoneNumberId: string): Promise<Handshake>
  }
  instagram: {
    register(account: AccountInput): InstagramAccount
    customerWrites(igsid: string, message: InstagramCustomerInput | string): Promise<InstagramCustomerSent>
    deliver(igId: string, payload: unknown, kind?: string): Promise<Delivery>
    verify(igId: string): Promise<Handshake>
  }
  mail: { list(to?: string): CaughtMail[]; get(id: string): CaughtMail | undefined }
  /** Telephone companies: REST under `/twilio` and `/telnyx`, calls that ring our numbers, media sockets that call our server. */
  carriers: CarrierHands
  speech: {
    /** What recognisers will say of sound that is no sandbox voice, one line per utterance; see `ScriptLine`. */
    script(...lines: (string | z.input<typeof ScriptLine>)[]): void
    /** May be changed while it runs. */
    pace: SpeechPace
  }
  /** May be changed while it runs. */
  pace: Pace
  deliveries(number?: string): Delivery[]
  /** Forgets journal, faults, mails, media, conversations and pending deliveries; keeps registered numbers and the pace. */
  reset(): void
  /** Drops every connection and ends; may be called twice. */
  close(): Promise<void>
}

/** Starts the sandbox; resolves when HTTP and SMTP listen. */
export async function startSandbox(options: SandboxOptions = {}): Promise<Sandbox> {
  const host = options.host ?? '127.0.0.1'
  let url = ''
  const world = createWorld(options, () => url)
  const reset = () => resetWorld(world)
  const app = buildServer(world, reset)
  await app.listen({ host, port: options.port ?? 0 })
  url = (options.publicUrl ?? `http://${host === '0.0.0.0' ? '127.0.0.1' : host}:${(app.server.address() as AddressInfo).port}`).replace(/\/$/, '')
  const mailPort = await world.mail.listen(host, options.mailPort ?? 0)
  for (const number of options.numbers ?? []) registerNumber(world, number)
  for (const account of options.accounts ?? []) registerAccount(world, account)
  let closing: Promise<void> | undefined
  const close = () => (closing ??= closeWorld(world, () => app.close()))
  return { ...handles(world), url, mailPort, reset, close }
}

function createWorld(options: SandboxOptions, publicUrl: () => string): World {
  const journal = new Journal({ ...defaults.journal, ...options.journal })
  const faults = new FaultTable()
  const webhooks = new WebhookSender({ ...defaults.retry, ...options.retry }, faults, journal)
  return {
    journal, faults, webhooks, publicUrl,
    meta: new MetaRegistry(),
    media: new MediaStore({ ...defaults.media, ...options.media }),
    statuses: new StatusTeller(webhooks, faults),
    pace: { ...defaults.pace, ...options.pace },
    conversations: new ConversationStore(),
    responses: new ResponseStore(),
    mail: new MailBox(journal, faults),
    speech: createSpeechWorld(options.speechPace),
    carriers: createCarrierWorld(journal, faults),
  }
}

function resetWorld(world: World): void {
  // Calls first: their ends are noted in a journal that is then forgotten.
  for (const part of [world.carriers, world.journal, world.meta, world.media, world.webhooks, world.conversations, world.responses, world.mail, world.speech]) part.reset()
  world.faults.clear()
}

async function closeWorld(world: World, closeServer: () => PromiseLike<unknown>): Promise<void> {
  world.journal.close()
  await Promise.all([closeServer(), world.mail.close(), world.webhooks.close(), world.carriers.close()])
}

function registerNumber({ meta }: World, input: NumberInput): WhatsAppNumber {
  const number = WhatsAppNumber.parse({ ...meta.whatsapp.get(input.phone_number_id), ...input })
  meta.whatsapp.set(number.phone_number_id, number)
  return number
}

function registerAccount({ meta }: World, input: AccountInput): InstagramAccount {
  const account = InstagramAccount.parse({ ...meta.instagram.get(input.ig_id), ...input })
  meta.instagram.set(account.ig_id, account)
  return account
}

const WAIT_MS = 10_000
const HANDSHAKE_MS = 10_000
const asMessage = <T extends object>(message: T | string): T | { text: string } => (typeof message === 'string' ? { text: message } : message)

function handles(world: World): Omit<Sandbox, 'url' | 'mailPort' | 'reset' | 'close'> {
  const { journal, faults, mail, pace, webhooks } = world
  return {
    journal, faults, pace,
    waitFor: async (predicate, timeoutMs = WAIT_MS) => (await journal.waitForCount(predicate, 1, timeoutMs))[0]!,
    waitForCount: (predicate, count, timeoutMs = WAIT_MS) => journal.waitForCount(predicate, count, timeoutMs),
    whatsapp: {
      register: (number) => registerNumber(world, number),
      customerWrites: (waId, message) => customerWrites(world, waId, CustomerMessage.parse(asMessage(message))),
      deliver: (id, payload, kind = 'raw') => webhooks.deliver(destinationOf(findNumber(world, id)), kind, payload),
      verify: (id) => shakeHands(destinationOf(findNumber(world, id)).url, findNumber(world, id).verify_token, HANDSHAKE_MS),
    },
    instagram: {
      register: (account) => registerAccount(world, account),
      customerWrites: (igsid, message) => instagramCustomerWrites(world, igsid, InstagramCustomerMessage.parse(asMessage(message))),
      deliver: (id, payload, kind = 'raw') => webhooks.deliver(accountDestination(findAccount(world, id)), kind, payload),
      verify: (id) => shakeHands(accountDestination(findAccount(world, id)).url, findAccount(world, id).verify_token, HANDSHAKE_MS),
    },
    speech: { pace: world.speech.pace, script: (...lines) => world.speech.script.add(lines.map((line) => ScriptLine.parse(asMessage(line)))) },
    mail: { list: (to) => mail.list(to), get: (id) => mail.get(id) },
    carriers: carrierHands(world.carriers),
    deliveries: (number) => webhooks.deliveries(number),
  }
}
