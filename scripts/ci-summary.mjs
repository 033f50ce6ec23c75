/**
 * Prints `N passed, N failed, N skipped` from vitest's JSON report, alone on the last line. Ends with 1 when a test
 * failed, when a test file could not even be loaded, and when no test ran at all.
 */
import { existsSync, readFileSync } from 'node:fs'
import { pathToFileURL } from 'node:url'

/** Counts from the report itself, test by test. A file that failed without any test in it counts as one failure. */
export function count(report) {
  const counts = { passed: 0, failed: 0, skipped: 0 }
  for (const file of report.testResults) {
    for (const { status } of file.assertionResults) {
      if (status === 'passed') counts.passed += 1
      else if (status === 'failed') counts.failed += 1
      else counts.skipped += 1 // skipped, pending, todo, disabled
    }
    if (file.status === 'failed' && !file.assertionResults.some(({ status }) => status === 'failed')) counts.failed += 1
  }
  return counts
}

function main(file) {
  const counts = existsSync(file) ? count(JSON.parse(readFileSync(file, 'utf8'))) : { passed: 0, failed: 0, skipped: 0 }
  const ok = counts.failed === 0 && counts.passed > 0
  if (counts.passed + counts.failed === 0) console.log(`no test ran (report: ${file})`)
  console.log(`${counts.passed} passed, ${counts.failed} failed, ${counts.skipped} skipped`)
  process.exitCode = ok ? 0 : 1
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) main(process.argv[2] ?? '.data/test-report.json')
