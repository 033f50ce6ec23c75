/**
 * Finds or makes the mediasoup-worker binary, the C++ half of WebRTC calls. Uses nothing but Node 18+ itself.
 *
 *   node scripts/mediasoup-worker.mjs [--check] [--retry]
 *
 * In this order:
 *   1. MEDIASOUP_WORKER_BIN, when given
 *   2. the cache: ${XDG_CACHE_HOME:-~/.cache}/trunkline/mediasoup-worker/<version>-<overlay>-<machine>/
 *   3. the official binary of this version from GitHub, when reachable
 *   4. a build from the sources inside the npm package against the system's libraries (docker/mediasoup-worker)
 *
 * Words for people go to stderr. The only line on stdout is JSON: {"path": "...", "source": "..."} with exit code 0, or
 * {"path": null, "reason": "..."} with exit code 3: then WebRTC is off and carriers' calls run on the `direct` plane.
 *
 * --check looks only (1 and 2), for a program that starts up. --retry builds again after a build that failed.
 */
import { createHash } from 'node:crypto'
import { spawn, spawnSync } from 'node:child_process'
import { accessSync, chmodSync, constants, createWriteStream, existsSync, mkdirSync, readFileSync, readdirSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs'
import os from 'node:os'
import { delimiter, dirname, join, resolve } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath, pathToFileURL } from 'node:url'

const ROOT = resolve(dirname(fileURLToPath(import.meta.url)), '..')
const OVERLAY = join(ROOT, 'docker', 'mediasoup-worker')
const NONE = 3

/** The worker, started by hand, leaves with 41 ("not started by mediasoup"). Any other end means that it cannot run here (mediasoup, npm-scripts.mjs). */
const RUNS = 41

/** What the build links (pkg-config names, as in CMakeLists.txt) and what it runs. */
const LIBRARIES = ['libuv', 'openssl', 'libsrtp2', 'flatbuffers', 'absl_strings', 'absl_optional', 'absl_memory']
const PROGRAMS = ['g++', 'cmake', 'make', 'pkg-config', 'flatc']
const DEBIAN_PACKAGES = 'g++ cmake make pkg-config libssl-dev libuv1-dev libsrtp2-dev libabsl-dev libflatbuffers-dev flatbuffers-compiler'.split(' ')

const REACH_TIMEOUT_MS = 5_000
const DOWNLOAD_TIMEOUT_MS = 60_000
const MAX_DOWNLOAD_BYTES = 64 * 1024 * 1024
/** g++ takes up to this much for one file of libwebrtc. */
const BYTES_PER_JOB = 900 * 1024 * 1024
const QUIET_REPORT_MS = 20_000

/** Without a worker, and why. The caller falls back. */
class NoWorker extends Error {}

/**
 * @param {{ check?: boolean, retry?: boolean }} [options]
 * @returns {Promise<{ path: string, source: 'given' | 'cache' | 'prebuilt' | 'built' } | { path: null, reason: string }>}
 */
export async function obtainWorker({ check = false, retry = false } = {}) {
  try {
    const found = given() ?? cached()
    if (found) return found
    if (check) throw new NoWorker('mediasoup-worker is not installed; `node scripts/mediasoup-worker.mjs` gets it')
    return await withLock(async () => cached() ?? (await prebuilt()) ?? (await built(retry)))
  } catch (error) {
    if (error instanceof NoWorker) return { path: null, reason: error.message }
    throw error
  }
}

function given() {
  const path = process.env.MEDIASOUP_WORKER_BIN
  if (!path) return null
  if (!runs(path)) throw new NoWorker(`MEDIASOUP_WORKER_BIN is ${path}, and that does not run as a mediasoup-worker`)
  return { path, source: 'given' }
}

function cached() {
  const path = join(cacheFolder(), 'mediasoup-worker')
  if (!existsSync(path)) return null
  if (runs(path)) return { path, source: 'cache' }
  // The system's libraries were upgraded under it, or the disk lost a part of it.
  if (existsSync(path)) say(`${path} does not run here any more`)
  return null
}

/** An own folder for each version, overlay and kind of machine: a home directory may be shared by several. */
let folder
function cacheFolder() {
  folder ??= join(cacheRoot(), `${mediasoup().version}-${overlayHash()}-${process.platform}-${process.arch}-${libc()}`)
  return folder
}

function cacheRoot() {
  const wanted = join(process.env.XDG_CACHE_HOME || join(os.homedir(), '.cache'), 'trunkline', 'mediasoup-worker')
  try {
    mkdirSync(wanted, { recursive: true })
    accessSync(wanted, constants.W_OK)
    return wanted
  } catch {
    return join(ROOT, '.data', 'mediasoup-worker') // A home that cannot be written, as of some service users.
  }
}

function mediasoup() {
  for (const path of ['node_modules/mediasoup', 'media/node_modules/mediasoup'].map((path) => join(ROOT, path))) {
    if (existsSync(join(path, 'package.json'))) return { path, version: JSON.parse(readFileSync(join(path, 'package.json'), 'utf8')).version }
  }
  throw new NoWorker('the npm package mediasoup is not installed (npm ci)')
}

/** Of what the binary is made with: a word changed in the README must not cost a build. */
function overlayHash() {
  const hash = createHash('sha256')
  for (const name of filesUnder(OVERLAY).filter((name) => /CMakeLists\.txt$|\.h$/.test(name))) hash.update(`${name}\0`).update(readFileSync(join(OVERLAY, name)))
  return hash.digest('hex').slice(0, 12)
}

/** Sorted paths; the `recursive` option of readdir came with Node 18.17. */
function filesUnder(folder, prefix = '') {
  const entries = readdirSync(join(folder, prefix), { withFileTypes: true })
  return entries.flatMap((entry) => (entry.isDirectory() ? filesUnder(folder, join(prefix, entry.name)) : [join(prefix, entry.name)])).sort((one, other) => (one < other ? -1 : 1))
}

function libc() {
  if (process.platform !== 'linux') return 'system'
  return process.report.getReport().header.glibcVersionRuntime ? 'glibc' : 'musl'
}

function runs(path) {
  return spawnSync(path, [], { stdio: 'ignore', env: {}, timeout: 10_000 }).status === RUNS
}

// --- the official binary ---------------------------------------------------------------------------------------------

/** As mediasoup names its releases (npm-scripts.mjs, getWorkerPrebuildTarName), and with its own two settings. */
function prebuiltUrl(version) {
  const base = process.env.MEDIASOUP_WORKER_PREBUILT_DOWNLOAD_BASE_URL || 'https://github.com/versatica/mediasoup/releases/download'
  const kernel = process.platform === 'linux' ? `-kernel${os.release().split('.')[0]}` : ''
  return `${base}/${version}/mediasoup-worker-${version}-${process.platform}-${process.arch}${kernel}.tgz`
}

async function prebuilt() {
  if (process.env.MEDIASOUP_SKIP_WORKER_PREBUILT_DOWNLOAD) return null
  const workplace = newWorkplace()
  try {
    const archive = join(workplace, 'worker.tgz')
    await download(prebuiltUrl(mediasoup().version), archive)
    const { status } = spawnSync('tar', ['-xzf', archive, '-C', workplace, 'mediasoup-worker'], { stdio: 'ignore' })
    const path = join(workplace, 'mediasoup-worker')
    if (status !== 0 || !existsSync(path)) throw new Error('the archive holds no mediasoup-worker')
    chmodSync(path, 0o755)
    if (!runs(path)) throw new Error('it does not run on this machine')
    return { path: install(path), source: 'prebuilt' }
  } catch (error) {
    say(`no official mediasoup-worker from GitHub (${error.cause?.code ?? error.message})`)
    return null
  } finally {
    rmSync(workplace, { recursive: true, force: true })
  }
}

async function download(url, to) {
  const abort = new AbortController()
  const reach = setTimeout(() => abort.abort(new Error(`not reachable within ${REACH_TIMEOUT_MS / 1_000} s`)), REACH_TIMEOUT_MS)
  const whole = setTimeout(() => abort.abort(new Error(`not done within ${DOWNLOAD_TIMEOUT_MS / 1_000} s`)), DOWNLOAD_TIMEOUT_MS)
  try {
    const response = await fetch(url, { signal: abort.signal })
    clearTimeout(reach)
    if (!response.ok) throw new Error(`HTTP ${response.status}`)
    await save(response.body, to)
  } finally {
    clearTimeout(reach)
    clearTimeout(whole)
  }
}

async function save(body, to) {
  const file = createWriteStream(to)
  let bytes = 0
  for await (const chunk of body) {
    bytes += chunk.length
    if (bytes > MAX_DOWNLOAD_BYTES) throw new Error('it is larger than a worker can be')
    if (!file.write(chunk)) await new Promise((go) => file.once('drain', go))
  }
  await new Promise((done, failed) => file.end((error) => (error ? failed(error) : done())))
}

// --- the build -------------------------------------------------------------------------------------------------------

async function built(retry) {
  const log = join(cacheRoot(), `${cacheFolder().split('/').pop()}.failed.log`)
  if (retry) rmSync(log, { force: true })
  if (existsSync(log)) throw new NoWorker(`the build of mediasoup-worker failed before (${log}); --retry tries again`)
  await needTools()
  const workplace = newWorkplace()
  try {
    await compile(workplace, log)
    const path = join(workplace, 'mediasoup-worker')
    if (!runs(path)) throw new NoWorker('mediasoup-worker was built but does not run')
    return { path: install(path), source: 'built' }
  } finally {
    rmSync(workplace, { recursive: true, force: true })
  }
}

async function compile(workplace, log) {
  say(`building mediasoup-worker ${mediasoup().version} from source (once per machine; 2 to 9 minutes on two cores)`)
  await run('cmake', ['-S', OVERLAY, '-B', workplace, `-DMEDIASOUP=${mediasoup().path}`], log)
  await run('make', ['-C', workplace, `-j${jobs()}`], log, showPercent())
}

/** With lowest priority: the machine belongs to whoever works at it. */
function run(command, args, log, onLine = () => {}) {
  const [program, ...rest] = onPath('nice') ? ['nice', '-n', '19', command, ...args] : [command, ...args]
  const child = spawn(program, rest, { stdio: ['ignore', 'pipe', 'pipe'] })
  let kept = ''
  const take = (chunk) => {
    kept = (kept + chunk).slice(-20_000)
    onLine(String(chunk))
  }
  child.stdout.on('data', take)
  child.stderr.on('data', take)
  return new Promise((done, failed) => {
    child.once('error', failed)
    child.once('close', (code, signal) => {
      if (code === 0) return done()
      // A signal is somebody's wish (Ctrl-C), not a fault of the sources: the next run may try again.
      if (!signal) writeFileSync(log, kept)
      failed(new NoWorker(`${command} failed (${signal ?? `exit code ${code}`}) while building mediasoup-worker; its last words are in ${log}`))
    })
  })
}

function jobs() {
  const cores = os.availableParallelism?.() ?? os.cpus().length
  return Math.max(1, Math.min(cores, Math.floor(os.freemem() / BYTES_PER_JOB)))
}

/** make says "[ 42%]" before each file. */
function showPercent() {
  const terminal = process.stderr.isTTY && !process.env.CI
  const startedAt = Date.now()
  let toldAt = startedAt
  let told = -1
  return (text) => {
    const percent = Number([...text.matchAll(/\[ *(\d+)%\]/g)].pop()?.[1] ?? -1)
    if (percent <= told || (!terminal && percent < 100 && Date.now() - toldAt < QUIET_REPORT_MS)) return
    told = percent
    toldAt = Date.now()
    const line = `building mediasoup-worker: ${percent} % after ${Math.round((toldAt - startedAt) / 1_000)} s`
    if (terminal) process.stderr.write(`\r[mediasoup-worker] ${line}${percent === 100 ? '\n' : ' '}`)
    else say(line)
  }
}

async function needTools() {
  if (missing().length === 0) return
  const family = existsSync('/etc/debian_version') && onPath('apt-get') ? 'debian' : 'other'
  if (family === 'debian' && process.getuid?.() === 0) installWithApt()
  const still = missing()
  if (still.length === 0) return
  const how = family === 'debian' ? `Install it with: sudo apt-get install ${DEBIAN_PACKAGES.join(' ')}` : `Install a C++20 compiler, ${PROGRAMS.slice(1).join(', ')} and the development files of ${LIBRARIES.join(', ')}`
  throw new NoWorker(`mediasoup-worker cannot be built: ${still.join(', ')} missing. ${how}. Or put a binary in MEDIASOUP_WORKER_BIN.`)
}

function missing() {
  const programs = PROGRAMS.filter((program) => !onPath(program))
  if (programs.includes('pkg-config')) return programs
  return [...programs, ...LIBRARIES.filter((library) => spawnSync('pkg-config', ['--exists', library]).status !== 0)]
}

function installWithApt() {
  say(`installing what the build needs (apt-get install ${DEBIAN_PACKAGES.join(' ')})`)
  const options = { stdio: ['ignore', 'ignore', 'inherit'], env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' } }
  const wait = ['-o', 'DPkg::Lock::Timeout=300', '-qq']
  spawnSync('apt-get', [...wait, 'update'], options)
  spawnSync('apt-get', [...wait, 'install', '-y', '--no-install-recommends', ...DEBIAN_PACKAGES], options)
}

function onPath(program) {
  return (process.env.PATH ?? '').split(delimiter).some((folder) => {
    try {
      accessSync(join(folder, program), constants.X_OK)
      return true
    } catch {
      return false
    }
  })
}

// --- the cache -------------------------------------------------------------------------------------------------------

/** A rename is atomic: nobody ever sees half a binary. */
function install(binary) {
  const folder = cacheFolder()
  mkdirSync(folder, { recursive: true })
  const path = join(folder, 'mediasoup-worker')
  renameSync(binary, path)
  return path
}

/** On the disk of the cache, so that install() can rename. What a killed run left is cleared first: we hold the lock. */
function newWorkplace() {
  const workplace = `${cacheFolder()}.making`
  rmSync(workplace, { recursive: true, force: true })
  mkdirSync(workplace, { recursive: true })
  return workplace
}

/** Two processes that want the worker at once: one makes it, the other waits and finds it. */
async function withLock(work) {
  const lock = `${cacheFolder()}.lock`
  let told = false
  while (!take(lock)) {
    if (!told) say('another process is at work on mediasoup-worker; waiting for it')
    told = true
    await delay(1_000)
  }
  try {
    return await work()
  } finally {
    rmSync(lock, { force: true })
  }
}

function take(lock) {
  try {
    writeFileSync(lock, String(process.pid), { flag: 'wx' })
    return true
  } catch (error) {
    if (error.code !== 'EEXIST') throw error
    if (!holderIsAlive(lock)) rmSync(lock, { force: true })
    return false
  }
}

function holderIsAlive(lock) {
  try {
    const pid = Number(readFileSync(lock, 'utf8'))
    if (!pid) return Date.now() - statSync(lock).mtimeMs < 5_000 // Made a moment ago and not written yet, or left empty by a crash.
    process.kill(pid, 0)
    return true
  } catch (error) {
    return error.code === 'EPERM'
  }
}

function say(line) {
  process.stderr.write(`[mediasoup-worker] ${line}\n`)
}

async function main() {
  const known = ['--check', '--retry']
  const strange = process.argv.slice(2).find((argument) => !known.includes(argument))
  if (strange) throw new Error(`${strange}: only ${known.join(' and ')} are known`)
  const result = await obtainWorker({ check: process.argv.includes('--check'), retry: process.argv.includes('--retry') })
  if (!result.path) say(`${result.reason}. Without it WebRTC calls are off; carriers' calls work.`)
  console.log(JSON.stringify(result))
  process.exitCode = result.path ? 0 : NONE
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) await main()
