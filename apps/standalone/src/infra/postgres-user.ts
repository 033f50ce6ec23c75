import { execFileSync, spawnSync } from 'node:child_process'
import type { SystemUser } from './supervise.ts'

const USER = 'postgres'

/** PostgreSQL refuses to run as root. Returns whom to run it as: null (ourselves) unless we are root, else the user `postgres`, made if missing. */
export function postgresUser(): SystemUser | null {
  if (process.getuid?.() !== 0) return null
  const existing = lookUp()
  if (existing) return existing
  try {
    execFileSync('useradd', ['--system', '--user-group', '--no-create-home', '--shell', '/usr/sbin/nologin', USER], { stdio: 'pipe' })
  } catch (error) {
    const raced = lookUp() // Two first starts at the same time: the other one made it.
    if (raced) return raced
    throw new Error(
      `PostgreSQL cannot run as root and the user "${USER}" could not be made; run as another user, or make it by hand: useradd --system ${USER}`,
      { cause: error },
    )
  }
  const made = lookUp()
  if (!made) throw new Error(`the user "${USER}" was made but cannot be found`)
  return made
}

/** Whether that user may enter this folder (all of its parents count). Asked of the system itself, so access lists count too. */
export function mayEnter(user: SystemUser | null, folder: string): boolean {
  return spawnSync('/bin/sh', ['-c', 'cd "$1"', 'sh', folder], { stdio: 'ignore', cwd: '/', ...user }).status === 0
}

function lookUp(): SystemUser | null {
  const uid = spawnSync('id', ['-u', USER], { encoding: 'utf8' })
  const gid = spawnSync('id', ['-g', USER], { encoding: 'utf8' })
  if (uid.status !== 0 || gid.status !== 0) return null
  return { uid: Number(uid.stdout), gid: Number(gid.stdout) }
}
