import type { ApiApp, ApiDeps } from '../deps.ts'
import type { SocketDoor } from '../plugins/sockets.ts'
import { registerFiles } from './files.ts'
import { createHub } from './hub.ts'
import { LIMITS } from './limits.ts'
import { registerVisitorRoutes, type ChatDeps } from './routes.ts'
import { visitorsDoor } from './sockets.ts'
import { createSessionTokens } from './tokens.ts'
import { registerWidget } from './widget.ts'

export { isVisitorPath } from './cors.ts'

/** The visitors' door: sessions, messages and files of web chats, and the widget that uses them. The socket is returned, to be opened with the others. */
export function registerWebchat(app: ApiApp, api: ApiDeps): SocketDoor {
  const limits = { ...LIMITS, ...api.config.webchat }
  const hub = createHub({ bell: api.ports.bell, db: api.db, log: api.log }, limits)
  const deps: ChatDeps = { api, limits, hub, tokens: createSessionTokens(api.keyring, api.clock) }
  registerVisitorRoutes(app, deps)
  registerFiles(app, deps)
  registerWidget(app, api)
  app.addHook('onClose', async () => hub.close())
  return visitorsDoor(deps)
}
