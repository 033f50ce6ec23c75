import { posix } from 'node:path'
import { ROOMS } from './imports.ts'
import type { Rule, SourceFile, Violation } from './tree.ts'

const CHANNEL_FILES = ['wire.ts', 'inbound.ts', 'outbound.ts', 'client.ts', 'index.ts']
/** Folders of channels/src that are not a channel: `realtime` is a protocol that we serve, `carriers` what Twilio and Telnyx share. */
const NO_CHANNEL = new Set(['conformance', 'fixtures', 'graph', 'realtime', 'carriers'])

/** DESIGN §4: every channel is one folder with the same files. */
export const sameChannelFiles: Rule = (files) => {
  const paths = files.map((file) => file.path)
  const names = new Set(paths.flatMap((path) => /^channels\/src\/([^/]+)\//.exec(path)?.[1] ?? []))
  return [...names]
    .filter((name) => !NO_CHANNEL.has(name))
    .flatMap((name) => {
      const folder = `channels/src/${name}/`
      const missing = CHANNEL_FILES.filter((file) => !paths.includes(folder + file))
      const tested = paths.some((path) => path.startsWith(folder) && path.endsWith('.test.ts'))
      const lacks = [...missing, ...(tested ? [] : ['a test (*.test.ts)'])]
      return lacks.length > 0 ? [{ path: folder, message: `lacks ${lacks.join(', ')}; every channel has the same files (DESIGN §4)` }] : []
    })
}

/** Every room, every app and every tree beside them says on one screen what it is. */
export const readmeEverywhere: Rule = (files) => {
  const paths = new Set(files.map((file) => file.path))
  const apps = new Set([...paths].flatMap((path) => /^apps\/[^/]+(?=\/)/.exec(path)?.[0] ?? []))
  const expected = ['', ...ROOMS, ...apps, 'tests', 'bench', 'docker'].map((folder) => posix.join(folder, 'README.md'))
  return expected
    .filter((path) => !paths.has(path))
    .map((path) => ({ path, message: 'is missing; one screen: its sentence, what it owns, file map, invariants' }))
}

/** Links in Markdown that name a file or a folder must find it. */
export const linksResolve: Rule = (files) => {
  const known = new Set(files.flatMap((file) => withParents(file.path)))
  return files.filter((file) => file.path.endsWith('.md')).flatMap((file) => brokenLinks(file, known))
}

function withParents(path: string): string[] {
  const parent = posix.dirname(path)
  return parent === '.' ? [path, '.'] : [path, ...withParents(parent)]
}

function brokenLinks(file: SourceFile, known: Set<string>): Violation[] {
  const prose = file.text.replaceAll(/```[\s\S]*?```|`[^`\n]*`/g, (code) => code.replaceAll(/[^\n]/g, ' '))
  return [...prose.matchAll(/\]\(([^)\s]+)(?:\s+"[^"]*")?\)/g)].flatMap((match) => {
    const target = decodeURI((match[1] ?? '').split('#')[0] ?? '')
    if (target === '' || /^[a-z]+:/.test(target)) return []
    const resolved = posix.normalize(posix.join(posix.dirname(file.path), target)).replace(/\/$/, '')
    if (known.has(resolved)) return []
    return [{ path: file.path, message: `links to ${target}, which is not there; mend the link` }]
  })
}

interface LockedPackage {
  resolved?: string
  link?: boolean
  optional?: boolean
  dependencies?: Record<string, string>
  optionalDependencies?: Record<string, string>
}

/** No download address in the lockfile, so that every machine asks its own registry. */
export const lockfileWithoutAddresses: Rule = (files) =>
  lockedPackages(files).flatMap(([path, entry]) =>
    /^https?:|^git/.test(entry.resolved ?? '')
      ? [{ path: 'package-lock.json', message: `${path} carries a download address; run npm install with omit-lockfile-registry-resolved=true (.npmrc)` }]
      : [],
  )

/**
 * `npm ci` refuses a lockfile that leaves out a package of another platform, and `npm install` leaves it out without a
 * word when the registry does not have that version of it (yet). A package that is itself optional may be short of some:
 * what uses it does without.
 */
export const lockfileWhole: Rule = (files) => {
  const locked = lockedPackages(files)
  const paths = new Set(locked.map(([path]) => path))
  const needed = locked.filter(([, entry]) => !entry.optional)
  return needed.flatMap(([path, entry]) =>
    Object.keys({ ...entry.dependencies, ...entry.optionalDependencies })
      .filter((name) => !reachable(path, name, paths))
      .map((name) => ({
        path: 'package-lock.json',
        message: `${path} needs ${name}, which is not in it, so npm ci will refuse; pin a version whose packages for all platforms the registry has`,
      })),
  )
}

/** As Node looks a package up: in the folder itself, then in every folder above. */
function reachable(from: string, name: string, paths: Set<string>): boolean {
  for (let folder = from; ; folder = posix.dirname(folder)) {
    const base = folder === '.' || folder === '' ? '' : `${folder}/`
    if (paths.has(`${base}node_modules/${name}`)) return true
    if (base === '') return false
  }
}

function lockedPackages(files: readonly SourceFile[]): [string, LockedPackage][] {
  const lock = files.find((file) => file.path === 'package-lock.json')
  if (!lock) return []
  return Object.entries((JSON.parse(lock.text) as { packages: Record<string, LockedPackage> }).packages)
}
