import { posix } from 'node:path'
import { importsOf, isCode, isProof, packageOf, type Rule, type SourceFile, type Violation } from './tree.ts'

const ROOMS = ['core', 'channels', 'media', 'agents', 'billing', 'db'] as const
const APPS = /^apps\/[^/]+/

/** Libraries with one home. The rest of the house asks that room instead. */
const HOMES: { library: RegExp; home: RegExp; name: string }[] = [
  { library: /^(bullmq|ioredis|pg|drizzle-orm)$/, home: /^db\//, name: 'db/' },
  { library: /^(fastify|@fastify\/.*|fastify-type-provider-zod|smtp-server)$/, home: /^apps\//, name: 'apps/' },
  // Its server; speech suppliers' sockets are called with its client.
  { library: /^ws$/, home: /^(apps|media\/src\/(stt|tts))\//, name: 'apps/' },
  { library: /^(mediasoup|onnxruntime-node)$/, home: /^media\//, name: 'media/' },
  // Servers that speak OpenAI's wire (Ollama and others) are reached with OpenAI's SDK.
  { library: /^openai$/, home: /^(agents\/src\/vendors\/(openai|compatible)|media\/src\/(stt|tts)\/openai)\//, name: 'agents/src/vendors/openai/ (and compatible/, and media/src/{stt,tts}/openai/)' },
  { library: /^@anthropic-ai\//, home: /^agents\/src\/vendors\/anthropic\//, name: 'agents/src/vendors/anthropic/' },
  { library: /^groq-sdk$/, home: /^agents\/src\/vendors\/groq\//, name: 'agents/src/vendors/groq/' },
]

/** DESIGN §1: core knows nobody; rooms know core; only apps know rooms. */
export const importTable: Rule = (files) =>
  files
    .filter((file) => isCode(file) && !isProof(file.path))
    .flatMap((file) =>
      importsOf(file.text).flatMap(({ specifier, line }) => {
        const fault = faultOf(file.path, specifier)
        return fault ? [{ path: `${file.path}:${line}`, message: `imports ${specifier}: ${fault}` }] : []
      }),
    )

function faultOf(path: string, specifier: string): string | null {
  const room = workspaceOf(path)
  if (specifier.startsWith('.')) {
    const target = posix.normalize(posix.join(posix.dirname(path), specifier))
    if (!/\.(ts|tsx|mjs|js|json)$/.test(target)) return 'a relative import names its file with the extension (.ts)'
    if (isProof(target)) return 'the product does not import what was made for tests (tests/, bench/, testing, conformance, *.test.ts)'
    return workspaceOf(target) === room ? null : 'a relative import stays in its room; go through the package (@trunkline/...)'
  }
  if (specifier.startsWith('@trunkline/')) return roomFault(room, specifier)
  const home = HOMES.find(({ library }) => library.test(packageOf(specifier)))
  if (home && !home.home.test(path)) return `this library is used in ${home.name} only; ask that room through a small interface`
  if (room === 'core' && specifier !== 'zod' && specifier !== 'node:crypto')
    return 'core imports zod only (and random bytes from node:crypto); I/O belongs to another room'
  return null
}

function roomFault(room: string, specifier: string): string | null {
  if (specifier !== packageOf(specifier)) return "a room is entered through its front door; export it from that room's index.ts"
  if (APPS.test(room)) {
    if (!specifier.startsWith('@trunkline/app-') || room === 'apps/standalone') return null
    return 'apps do not import each other; what two apps need belongs to a room'
  }
  if (specifier === '@trunkline/core' && room !== 'core') return null
  return 'rooms import core only; say what you need as an interface, and let the app that wires it pass it in'
}

/** `core`, `apps/api`, ...; for anything else its first folder. */
export function workspaceOf(path: string): string {
  return APPS.exec(path)?.[0] ?? path.split('/')[0] ?? ''
}

/** No file reaches itself through imports, also not through types: two files that need each other are one, or lack a third. */
export const noCycles: Rule = (files) => {
  const graph = importGraph(files.filter(isCode))
  return stronglyConnected(graph).map((members) => ({
    path: members[0] ?? '',
    message: `import cycle: ${members.join(' -> ')} -> ${members[0]}; move what both need into a file of its own`,
  }))
}

function importGraph(files: readonly SourceFile[]): Map<string, string[]> {
  const paths = new Set(files.map((file) => file.path))
  const resolve = (from: string, specifier: string): string[] => {
    const target = specifier.startsWith('.') ? posix.normalize(posix.join(posix.dirname(from), specifier)) : frontDoor(specifier)
    return target && paths.has(target) ? [target] : []
  }
  return new Map(files.map(({ path, text }) => [path, importsOf(text).flatMap(({ specifier }) => resolve(path, specifier))]))
}

function frontDoor(specifier: string): string | null {
  const name = /^@trunkline\/([^/]+)$/.exec(specifier)?.[1]
  if (!name) return null
  return name.startsWith('app-') ? `apps/${name.slice(4)}/src/index.ts` : `${name}/src/index.ts`
}

/** Tarjan's algorithm; only groups of more than one file, or one that imports itself. */
function stronglyConnected(graph: Map<string, string[]>): string[][] {
  const order = new Map<string, number>()
  const low = new Map<string, number>()
  const stack: string[] = []
  const groups: string[][] = []
  const visit = (node: string): number => {
    let lowest = order.size
    order.set(node, lowest)
    stack.push(node)
    for (const next of graph.get(node) ?? []) {
      if (!order.has(next)) lowest = Math.min(lowest, visit(next))
      else if (stack.includes(next)) lowest = Math.min(lowest, order.get(next) ?? lowest)
    }
    low.set(node, lowest)
    if (lowest === order.get(node)) {
      const group = stack.splice(stack.indexOf(node)).toReversed()
      if (group.length > 1 || graph.get(node)?.includes(node)) groups.push(group)
    }
    return lowest
  }
  for (const node of graph.keys()) if (!order.has(node)) visit(node)
  return groups
}

/** Hoisting hides a missing dependency until somebody installs one workspace alone, as docker/Dockerfile does. */
export const declaredDependencies: Rule = (files) => {
  const declared = new Map<string, Set<string>>()
  for (const { path, text } of files) {
    if (!path.endsWith('/package.json')) continue
    const manifest = JSON.parse(text) as { dependencies?: Record<string, string> }
    declared.set(posix.dirname(path), new Set(Object.keys(manifest.dependencies ?? {})))
  }
  return files.filter((file) => isCode(file) && !isProof(file.path)).flatMap((file) => undeclared(file, declared))
}

function undeclared(file: SourceFile, declared: Map<string, Set<string>>): Violation[] {
  const workspace = workspaceOf(file.path)
  const known = declared.get(workspace)
  if (!known) return []
  return importsOf(file.text).flatMap(({ specifier, line }) => {
    const name = packageOf(specifier)
    if (/^(\.|node:|@trunkline\/)/.test(specifier) || known.has(name)) return []
    return [
      {
        path: `${file.path}:${line}`,
        message: `imports ${name}, which ${workspace}/package.json does not list; run: npm install -w ${workspace} ${name} (or, if this serves tests only, move it to a file or folder named testing)`,
      },
    ]
  })
}

export { ROOMS }
