import { mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
import { join } from 'node:path'
import { ROOT } from './root.mjs'
import { say } from './progress.mjs'

const LOCK_FILE = join(ROOT, '.data', 'setup.lock')

/** Lets one set-up work at a time (`npm start` and `npm test` in two windows): two `npm ci` in one folder destroy each other. */
export async function withLock(work) {
  mkdirSync(join(ROOT, '.data'), { recursive: true })
  let told = false
  while (!take()) {
    if (!told) say('another set-up is at work here; waiting for it')
    told = true
    await delay(500)
  }
  try {
    return await work()
  } finally {
    rmSync(LOCK_FILE, { force: true })
  }
}

function take() {
  try {
    writeFileSync(LOCK_FILE, String(process.pid), { flag: 'wx' })
    return true
  } catch (error) {
    if (error.code !== 'EEXIST') throw error
    if (!holderIsAlive()) rmSync(LOCK_FILE, { force: true })
    return false
  }
}

function holderIsAlive() {
  try {
    const pid = Number(readFileSync(LOCK_FILE, 'utf8'))
    // Made a moment ago and not written yet, or left empty by a crash: only its age can tell.
    if (!pid) return Date.now() - statSync(LOCK_FILE).mtimeMs < 5_000
    process.kill(pid, 0)
    return true
  } catch (error) {
    return error.code === 'EPERM'
  }
}
