import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { chromium, type BrowserContext, type BrowserContextOptions } from 'playwright-core'
import { isCi } from '../harness/env.ts'

const PLACES = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome']

/** Debian's own browser; the tests bring none. */
export const executable = PLACES.find((place) => existsSync(place)) ?? null

/** Why the browser tests cannot run here, or null. In CI a missing browser is a fault: `.ci/run` installs it. */
export function whySkipped(): string | null {
  if (executable !== null || isCi) return null
  return 'no Chromium here (apt-get install chromium)'
}

// What a browser does behind our back when it starts: none of it is for a test.
const FLAGS = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync']

/** A browser of its own with a profile of its own, gone when it is closed. */
export async function openBrowser(options: BrowserContextOptions = {}): Promise<{ context: BrowserContext; close(): Promise<void> }> {
  if (executable === null) throw new Error(`No Chromium at any of ${PLACES.join(', ')}.`)
  const profile = await mkdtemp(join(tmpdir(), 'trunkline-browser-'))
  const context = await chromium.launchPersistentContext(profile, { executablePath: executable, headless: true, args: FLAGS, viewport: { width: 1200, height: 800 }, locale: 'en-GB', ...options })
  context.setDefaultTimeout(15_000)
  return {
    context,
    async close() {
      await context.close()
      await rm(profile, { recursive: true, force: true })
    },
  }
}

/** The version, for a failure's message. */
export const browserVersion = (): string => (executable === null ? 'none' : spawnSync(executable, ['--version'], { encoding: 'utf8' }).stdout.trim())
