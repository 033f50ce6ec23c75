/** OpenAI's Realtime protocol as a server speaks it: schemas, a pure session machine, secrets, connections. No sockets, no sound. */
export * from './wire.ts'
export * from './session.ts'
export { fromBeta, toBeta } from './beta.ts'
export * from './client-secrets.ts'
export { realtimeCodec, type RealtimeCodec } from './codec.ts'
export { parseConnection, type Connection, type ParsedConnection, type Target } from './connection.ts'
export { refuse, REALTIME_ERROR_CODES, type RealtimeErrorCode, type Refusal } from './errors.ts'
export { isClientEventType, parseClientEvent, parseClientMessage, type Parsed } from './inbound.ts'
