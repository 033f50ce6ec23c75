/** Codes that mean "Postgres is not there right now": connection class 08, shutdown and start-up (57P01-03), too many connections, and the sockets' own. */
const AWAY = /^(08...|57P0[123]|53300|ECONNREFUSED|ECONNRESET|EPIPE|ENOTFOUND|ETIMEDOUT|EAI_AGAIN)$/
/** node-postgres reports these without a code. */
const AWAY_TEXT = /^(Connection terminated|timeout exceeded when trying to connect|Client has encountered a connection error|Query read timeout)/

/** Whether an error of node-postgres says that the server cannot be reached, as opposed to refusing a statement. */
export function isDatabaseAway(error: unknown): boolean {
  if (!(error instanceof Error)) return false
  const code = 'code' in error && typeof error.code === 'string' ? error.code : ''
  return AWAY.test(code) || AWAY_TEXT.test(error.message) || (error.cause !== undefined && isDatabaseAway(error.cause))
}

/** Two requests met: unique and exclusion violations, serialisation failures and deadlocks (PostgreSQL Appendix A). */
const COLLISION = /^(23505|23P01|40001|40P01)$/

/** Whether a statement failed because another one was there first. The text of the error stays here: it may quote rows. */
export function isDatabaseCollision(error: unknown): boolean {
  if (!(error instanceof Error)) return false
  return ('code' in error && typeof error.code === 'string' && COLLISION.test(error.code)) || (error.cause !== undefined && isDatabaseCollision(error.cause))
}
