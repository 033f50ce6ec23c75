import { accessSync, constants, existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { ROOT } from './root.mjs'
import { SetupError, say, step } from './progress.mjs'

const POLICY = '/usr/sbin/policy-rc.d'

/** Sees to it that redis-server can be started, unless the person brings a Redis of their own. */
export async function ensureRedis() {
  if (bringsOwnRedis() || onPath('redis-server')) return
  const os = osFamily()
  if (os === 'debian' && process.getuid() === 0 && onPath('apt-get')) {
    await installWithApt()
    if (onPath('redis-server')) return
  }
  throw new SetupError(
    'redis-server was not found; the queue needs it.',
    `Install it with:\n\n    ${installCommand(os)}\n\nthen run the same command again. Or set REDIS_URL to a Redis of yours (version 6.2 or newer).`,
  )
}

async function installWithApt() {
  say('redis-server is missing; installing the package of the distribution (its service stays off, Trunkline runs a private server)')
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' }
  const wait = ['-o', 'DPkg::Lock::Timeout=300']
  await withoutStartingServices(async () => {
    await step('reading the package lists (apt-get update)', 'apt-get', [...wait, 'update'], { env })
    await step('installing redis-server (apt-get install)', 'apt-get', [...wait, 'install', '-y', '--no-install-recommends', 'redis-server'], { env })
  })
}

/** Debian starts a service as soon as it is installed, unless this file says 101 (invoke-rc.d(8)): we want the program only. */
async function withoutStartingServices(work) {
  if (existsSync(POLICY)) return work()
  writeFileSync(POLICY, '#!/bin/sh\nexit 101\n', { mode: 0o755 })
  try {
    return await work()
  } finally {
    rmSync(POLICY, { force: true })
  }
}

function bringsOwnRedis() {
  if (process.env.REDIS_URL) return true
  const file = join(ROOT, '.env')
  return existsSync(file) && /^\s*(export\s+)?REDIS_URL\s*=\s*['"]?\w/m.test(readFileSync(file, 'utf8'))
}

function onPath(program) {
  return (process.env.PATH ?? '').split(delimiter).some((folder) => isExecutable(join(folder, program)))
}

function isExecutable(file) {
  try {
    accessSync(file, constants.X_OK)
    return true
  } catch {
    return false
  }
}

function osFamily() {
  if (process.platform === 'darwin') return 'macos'
  const release = existsSync('/etc/os-release') ? readFileSync('/etc/os-release', 'utf8') : ''
  const ids = [...release.matchAll(/^ID(?:_LIKE)?="?([^"\n]*)/gm)].flatMap((match) => match[1].split(' '))
  return (
    ['debian', 'ubuntu', 'fedora', 'rhel', 'alpine', 'arch', 'suse'].find((id) => ids.some((own) => own.includes(id)))?.replace('ubuntu', 'debian') ?? 'other'
  )
}

function installCommand(os) {
  const commands = {
    macos: 'brew install redis',
    debian: 'sudo apt-get install redis-server',
    fedora: 'sudo dnf install redis',
    rhel: 'sudo dnf install redis',
    alpine: 'sudo apk add redis',
    arch: 'sudo pacman -S redis',
    suse: 'sudo zypper install redis',
  }
  const command = commands[os]
  if (command) return process.getuid() === 0 ? command.replace('sudo ', '') : command
  return 'the package manager of your system (package "redis" or "redis-server"), see https://redis.io/docs/latest/operate/oss_and_stack/install/'
}
