/** Asks the app in this container whether it is alive. Exit code 0 or 1, as HEALTHCHECK wants it. */
const port = process.env.PORT || '3000'

try {
  const response = await fetch(`http://127.0.0.1:${port}/health`, { signal: AbortSignal.timeout(2_500) })
  process.exitCode = response.ok ? 0 : 1
} catch {
  process.exitCode = 1
}
