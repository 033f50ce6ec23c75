import type { ApiDeps } from '../deps.ts'
import type { SocketDoor } from '../plugins/sockets.ts'
import { eventsDoor } from './door.ts'
import { LIMITS } from './limits.ts'

/** Live events of a tenant for its own programs and pages. */
export const registerEvents = (api: ApiDeps): SocketDoor => eventsDoor(api, { ...LIMITS, ...api.config.events })
