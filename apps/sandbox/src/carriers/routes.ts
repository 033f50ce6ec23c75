import type { FastifyInstance } from 'fastify'
import { carrierControlRoutes } from './control.ts'
import { telnyxRoutes } from './telnyx/routes.ts'
import { twilioRoutes } from './twilio/routes.ts'
import type { CarrierWorld } from './world.ts'

/** Both telephone companies. */
export function carrierRoutes(app: FastifyInstance, world: CarrierWorld): void {
  carrierControlRoutes(app, world)
  twilioRoutes(app, world)
  telnyxRoutes(app, world)
}
