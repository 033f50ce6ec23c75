import type { VoiceDeps } from './voice/events.ts'
import type { CarrierId, Channel, ChannelClient, MessageChannelId, Clock, Logger } from '@trunkline/core'
import type { Carrier, CarrierClient } from '@trunkline/channels'
import type { Access, Cache, Db, EventBus, Keyring, Limiter, Redis, Tx } from '@trunkline/db'
import type { SpeechHouse } from '@trunkline/media'
import type { FastifyBaseLogger, FastifyInstance, RawReplyDefaultExpression, RawRequestDefaultExpression, RawServerDefault } from 'fastify'
import type { ZodTypeProvider } from 'fastify-type-provider-zod'
import type { Registry } from 'prom-client'
import type { ApiConfig } from './config.ts'
import type { AccessTokens } from './tokens.ts'
import type { BusinessPorts } from './ports.ts'

/** The server every `registerX` gets: Fastify 5 whose schemas are zod 4. */
export type ApiApp = FastifyInstance<RawServerDefault, RawRequestDefaultExpression, RawReplyDefaultExpression, FastifyBaseLogger, ZodTypeProvider>

/** One mail in plain text. `to` is an address. */
export type Mail = { to: string; subject: string; text: string }
export type Mailer = {
  /** Takes the mail and returns at once: how long a delivery takes must not tell whether an address is known. Failures are logged. */
  send(mail: Mail): void
  /** Waits for what is on its way. */
  close(): Promise<void>
}

/** What a new tenant gets in the transaction of its sign-up: a ready receptionist, the starting credit. Answers with what is to be done after the commit. */
export type Provisioner = (tx: Tx, place: { tenantId: string; projectId: string }) => Promise<() => Promise<void>>

/** Everything a route may use; wired in compose.ts. Grows by adding fields. */
export type ApiDeps = {
  db: Db
  redis: Redis
  keyring: Keyring
  cache: Cache
  limiter: Limiter
  access: Access
  tokens: AccessTokens
  log: Logger
  clock: Clock
  config: ApiConfig
  channels: Record<MessageChannelId, Channel>
  clients: Record<MessageChannelId, ChannelClient>
  carriers: Record<CarrierId, Carrier>
  /** Asks and tells carriers. The sound of calls belongs to the voice processes. */
  carrierClients: Record<CarrierId, CarrierClient>
  /** What carriers tell of calls, and what they are told. */
  voice: VoiceDeps
  /** Ears and voices for one-shot speech; no calls. */
  speech: Pick<SpeechHouse, 'forTenant'>
  mailer: Mailer
  provision: Provisioner
  metrics: Registry
  /** Live events: of tenants to listeners, from any process. */
  events: EventBus
  /** What the business routes need from other rooms. */
  ports: BusinessPorts
}
