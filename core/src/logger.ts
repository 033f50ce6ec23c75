/**
 * What a room may say. `message` is static text; data goes into fields.
 * Personal data only under keys that contain `pii`; the app's logger masks those and redacts secrets.
 */
export type LogFields = Record<string, unknown>
export type Logger = {
  debug(fields: LogFields, message: string): void
  info(fields: LogFields, message: string): void
  warn(fields: LogFields, message: string): void
  error(fields: LogFields, message: string): void
}

export const silentLogger: Logger = { debug() {}, info() {}, warn() {}, error() {} }
