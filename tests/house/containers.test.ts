import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { parse } from 'yaml'
import { z } from 'zod'

/**
 * There is no Docker engine where these tests run, so they check what can be checked without one: that compose.yaml has
 * the shape that Compose wants and the properties that we promise, and that what the files name exists.
 */
const root = fileURLToPath(new URL('../..', import.meta.url))
const read = (path: string): string => readFileSync(join(root, path), 'utf8')

const Text = z.array(z.string())
const Health = z.strictObject({
  test: Text.refine(([kind]) => kind === 'CMD' || kind === 'CMD-SHELL', 'begins with CMD or CMD-SHELL'),
  interval: z.string(),
  timeout: z.string(),
  retries: z.int().positive(),
  start_period: z.string(),
})
const Service = z.strictObject({
  image: z.string(),
  build: z.strictObject({ context: z.literal('.'), dockerfile: z.string() }).optional(),
  user: z.string().optional(),
  command: Text.optional(),
  environment: z.record(z.string(), z.string()),
  ports: Text.optional(),
  volumes: Text.optional(),
  tmpfs: Text.optional(),
  profiles: Text.optional(),
  cap_drop: Text.optional(),
  security_opt: Text.optional(),
  init: z.boolean().optional(),
  read_only: z.boolean().optional(),
  shm_size: z.string().optional(),
  restart: z.string(),
  stop_grace_period: z.string(),
  logging: z.object({ driver: z.string(), options: z.record(z.string(), z.string()) }),
  depends_on: z.record(z.string(), z.strictObject({ condition: z.literal('service_healthy') })).optional(),
  healthcheck: Health,
})
const Compose = z.object({ services: z.record(z.string(), Service), volumes: z.record(z.string(), z.null()) })

const compose = Compose.parse(parse(read('compose.yaml'), { merge: true }))
const services = Object.entries(compose.services)
const ours = services.filter(([, service]) => service.build)
const dockerfile = read('docker/Dockerfile')

/** `${NAME}`, `${NAME:-default}`, `${NAME:?message}` anywhere in compose.yaml, comments apart. */
function interpolations(): { name: string; kind: string }[] {
  const text = read('compose.yaml').replaceAll(/^\s*#.*$/gm, '')
  return [...text.matchAll(/\$\{(\w+)(:[-?])?/g)].map((match) => ({ name: match[1] ?? '', kind: match[2] ?? '' }))
}

describe('compose.yaml', () => {
  it('has the services of the system, the sandbox only when asked for', () => {
    expect(Object.keys(compose.services)).toEqual(['postgres', 'redis', 'api', 'voice', 'worker', 'sandbox'])
    expect(services.filter(([, service]) => service.profiles).map(([name]) => name)).toEqual(['sandbox'])
  })

  it.each(services)('%s restarts, has a time to stop, and pins its image', (_, service) => {
    expect(service.restart).toBe('unless-stopped')
    expect(service.image).toMatch(service.build ? /^trunkline:/ : /^[a-z]+:\d+\.\d+/)
  })

  it.each(ours)('%s runs an entry file that exists, without root, capabilities or a writable disk', (_, service) => {
    const [node, entry] = service.command ?? []
    expect(node).toBe('node')
    expect(existsSync(join(root, entry ?? '')), `${entry} is missing`).toBe(true)
    expect(service).toMatchObject({ read_only: true, cap_drop: ['ALL'], security_opt: ['no-new-privileges:true'] })
  })

  it('waits for the health of services that it has', () => {
    const waits = services.flatMap(([, service]) => Object.keys(service.depends_on ?? {}))
    expect(waits.filter((name) => !compose.services[name])).toEqual([])
  })

  it('mounts volumes that it declares', () => {
    const mounted = services.flatMap(([, service]) => service.volumes ?? []).map((mount) => mount.split(':')[0] ?? '')
    expect([...new Set(mounted)].toSorted()).toEqual(Object.keys(compose.volumes).toSorted())
  })

  it('opens ports on the machine itself only, unless the owner says otherwise', () => {
    const ports = services.flatMap(([, service]) => service.ports ?? [])
    expect(ports.filter((port) => !/^(127\.0\.0\.1|\$\{(API|WEBRTC)_ADDRESS:-127\.0\.0\.1\}):/.test(port))).toEqual([])
  })

  it('has no default for a secret: an empty one is refused', () => {
    const secrets = interpolations().filter(({ name }) => /PASSWORD|SECRET/.test(name))
    expect(secrets.length).toBeGreaterThan(0)
    expect(secrets.filter(({ kind }) => kind !== ':?')).toEqual([])
    for (const { name } of secrets) expect(read('.env.example')).toMatch(new RegExp(`^${name}=$`, 'm'))
  })

  it('has every setting in .env.example, and no setting there is without use', () => {
    const offered = [...read('.env.example').matchAll(/^(\w+)=/gm)].map((match) => match[1] ?? '')
    const used = new Set(interpolations().map(({ name }) => name))
    const withoutDeployment = [...used].filter((name) => !['TRUNKLINE_VERSION', 'SANDBOX_PORT'].includes(name))
    expect(offered.toSorted()).toEqual(withoutDeployment.toSorted())
  })
})

describe('docker/Dockerfile', () => {
  const manifest = JSON.parse(read('package.json')) as { workspaces: string[]; devDependencies: Record<string, string> }

  it('builds on the Node that package.json pins', () => {
    expect(dockerfile).toContain(`ARG NODE_IMAGE=node:${manifest.devDependencies.node}-`)
    const stages = ['dependencies', 'media-worker', 'app'].map((stage) => expect.stringContaining(`$\{NODE_IMAGE} AS ${stage}`) as string)
    expect(dockerfile.match(/^FROM .*$/gm)).toEqual(stages)
  })

  it('copies only what exists', () => {
    const sources = [...dockerfile.matchAll(/^COPY (?!--from)(.+) \S+$/gm)].flatMap((match) => (match[1] ?? '').split(' '))
    expect(sources.length).toBeGreaterThan(10)
    expect(sources.filter((source) => !existsSync(join(root, source)))).toEqual([])
  })

  it('knows every workspace, so that npm ci accepts the lockfile', () => {
    const rooms = manifest.workspaces.filter((workspace) => !workspace.includes('*'))
    const apps = [...read('package-lock.json').matchAll(/^ {4}"(apps\/[^/"]+)": \{/gm)].map((match) => match[1] ?? '')
    const missing = [...rooms, ...apps].filter((workspace) => !dockerfile.includes(`COPY ${workspace}/package.json ${workspace}/`))
    expect(missing, 'add a COPY line to the first stage').toEqual([])
  })

  it('runs as a user without rights, checks its health, and brings no development packages', () => {
    expect(dockerfile).toMatch(/^USER node$/m)
    expect(dockerfile.indexOf('\nUSER node')).toBeLessThan(dockerfile.indexOf('\nCMD'))
    expect(dockerfile).toMatch(/^HEALTHCHECK .*docker\/healthcheck\.mjs/m)
    expect(dockerfile).toMatch(/npm ci --omit=dev --ignore-scripts/)
  })

  it('starts an entry file that exists', () => {
    const entry = /^CMD \["node", "([^"]+)"\]$/m.exec(dockerfile)?.[1] ?? ''
    expect(existsSync(join(root, entry)), `${entry} is missing`).toBe(true)
  })

  it('leaves secrets and local data out of the build', () => {
    const ignored = read('docker/Dockerfile.dockerignore').split('\n')
    for (const pattern of ['**/.env', '**/.data', '**/.git', '**/node_modules']) expect(ignored).toContain(pattern)
  })
})
