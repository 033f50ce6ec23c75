import { defineConfig } from 'vitest/config'
import { LongestFirst } from './tests/harness/longest-first.ts'

export default defineConfig({
  test: {
    environment: 'node',
    include: ['**/*.test.ts'],
    exclude: ['**/node_modules/**', '**/.data/**', '**/dist/**'],
    globalSetup: ['tests/harness/global-setup.ts'],
    // Processes, not threads: native modules and process.env are then private to a test file.
    pool: 'forks',
    // One more than the cores of the smallest machine we test on: calls are tested in real time, and mostly wait.
    maxWorkers: 3,
    sequence: { sequencer: LongestFirst },
    testTimeout: 30_000,
    hookTimeout: 60_000,
    reporters: ['default', 'json'],
    // scripts/ci-summary.mjs counts from this file; the screen is for people.
    outputFile: { json: '.data/test-report.json' },
  },
})
