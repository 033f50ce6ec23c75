import type { Channel, ChannelClient, ChannelId, Clock, Logger } from '@trunkline/core'
import type { Cache, Db, Keyring, Limiter, Principal, Redis, Tx } from '@trunkline/db'
import type { FastifyBaseLogger, FastifyInstance, RawReplyDefaultExpression, RawRequestDefaultExpression, RawServerDefault } from 'fastify'
import type { ZodTypeProvider } from 'fastify-type-provider-zod'
import type { Registry } from 'prom-client'
import type { ApiConfig } from './config.ts'

/** The server every `registerX` gets: Fastify 5 whose schemas are zod 4. */
export type ApiApp = FastifyInstance<RawServerDefault, RawRequestDefaultExpression, RawReplyDefaultExpression, FastifyBaseLogger, ZodTypeProvider>

/** Turns credentials into a principal. Throws AppError `invalid_api_key`, `invalid_token`, `tenant_suspended` or `unavailable`. */
export type Authenticator = {
  apiKey(text: string): Promise<Principal>
  accessToken(jwt: string): Promise<Principal>
}

/** One mail in plain text. `to` is an address. */
export type Mail = { to: string; subject: string; text: string }
export type Mailer = { send(mail: Mail): Promise<void> }

/** What a new tenant gets in the transaction of its sign-up: a ready receptionist, the starting credit. */
export type Provisioner = (tx: Tx, place: { tenantId: string; projectId: string }) => Promise<void>

/** Everything a route may use; wired in compose.ts. Grows by adding fields. */
export type ApiDeps = {
  db: Db
  redis: Redis
  keyring: Keyring
  cache: Cache
  limiter: Limiter
  authenticator: Authenticator
  log: Logger
  clock: Clock
  config: ApiConfig
  channels: Record<ChannelId, Channel>
  clients: Record<ChannelId, ChannelClient>
  mailer: Mailer
  provision: Provisioner
  metrics: Registry
}
