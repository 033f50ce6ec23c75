/** What the machine may tell the tests; read here and nowhere else. */
const given = process.env

/** `THOROUGH=1 npm test` plays every fault on every carrier; without it each is played on one where the code is the same. */
export const isThorough = given['THOROUGH'] === '1'
export const isCi = given['CI'] === 'true'
/** Servers to use instead of the harness's own. */
export const databaseUrl = given['TEST_DATABASE_URL']
export const redisUrl = given['TEST_REDIS_URL']
/** Of vitest's workers this one, from 1. */
export const workerNumber = Number(given['VITEST_POOL_ID'] ?? 1)

/** All that a process under test inherits: it never depends on what the machine has set. */
export function bareEnvironment(): Record<string, string> {
  const { PATH = '', HOME = '/', TZ = 'UTC' } = given
  return { PATH, HOME, TZ }
}
