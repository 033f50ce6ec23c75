import { createHash } from 'node:crypto'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { ROOT } from './root.mjs'
import { SetupError, run, step } from './progress.mjs'
import { PINNED_NODE, discardToolchain, pinnedToolchain } from './toolchain.mjs'

const LOCK = join(ROOT, 'package-lock.json')
const STAMP = join(ROOT, 'node_modules', '.trunkline-setup')
const OUR_NODE = join(ROOT, 'node_modules', '.bin', 'node')

export function packagesAreCurrent() {
  if (!existsSync(OUR_NODE)) return false
  if (readIfThere(STAMP) === fingerprint()) return true
  if (!installedAsLocked()) return false
  writeFileSync(STAMP, fingerprint()) // Somebody ran `npm install` by hand, and it is all there.
  return true
}

export async function installPackages() {
  const npm = await pinnedToolchain()
  // --include=dev: NODE_ENV=production would leave out Node 24 and PostgreSQL. --ignore-scripts=false: Node 24 arrives by
  // a script; which packages may run one is the allow-list in package.json.
  const args = [...npm.args, 'ci', '--include=dev', '--ignore-scripts=false', '--no-audit', '--no-fund', '--loglevel=error']
  await step('installing packages (npm ci; some minutes the first time)', npm.command, args, { cwd: ROOT, env: npm.env })
  await requireNode24()
  writeFileSync(STAMP, fingerprint())
  discardToolchain()
}

async function requireNode24() {
  const { code, output } = await run(OUR_NODE, ['--version'])
  if (code === 0 && output.trim() === `v${PINNED_NODE}`) return
  throw new SetupError(
    `The packages are installed but Node ${PINNED_NODE} is not among them (node_modules/.bin/node said: ${output.trim() || code}).`,
    `Delete node_modules and try again; if it stays so, there may be no build of Node ${PINNED_NODE} for ${process.platform}/${process.arch}.`,
  )
}

/** Changes with the lockfile and when the folder is carried to another kind of machine. */
function fingerprint() {
  const lock = createHash('sha256').update(readFileSync(LOCK)).digest('hex')
  return `${lock} ${process.platform} ${process.arch}\n`
}

/** npm notes in node_modules what it installed. True when that is what the lockfile says. */
function installedAsLocked() {
  const note = readIfThere(join(ROOT, 'node_modules', '.package-lock.json'))
  if (!note) return false
  const installed = JSON.parse(note).packages
  return Object.entries(JSON.parse(readFileSync(LOCK, 'utf8')).packages).every(([path, wanted]) => {
    if (!path.includes('node_modules/')) return true // Our own workspaces.
    const found = installed[path]
    if (!found) return Boolean(wanted.optional) && !fitsThisMachine(wanted)
    return wanted.link ? Boolean(found.link) : found.version === wanted.version && found.integrity === wanted.integrity
  })
}

/**
 * A native package for another platform is rightly absent, and so is what only that one needs (it names no platform).
 * One for this platform is absent when an old Node ran npm.
 */
function fitsThisMachine({ os, cpu, libc }) {
  if (!os && !cpu) return false
  const allows = (list, own) => !list || (list.some((name) => name.startsWith('!')) ? !list.includes(`!${own}`) : list.includes(own))
  return allows(os, process.platform) && allows(cpu, process.arch) && (process.platform !== 'linux' || allows(libc, ownLibc()))
}

function ownLibc() {
  return process.report.getReport().header.glibcVersionRuntime ? 'glibc' : 'musl'
}

function readIfThere(file) {
  return existsSync(file) ? readFileSync(file, 'utf8') : null
}
