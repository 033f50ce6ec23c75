import { spawn } from 'node:child_process'

/** A fault that the person at the keyboard can mend. Shown without a stack. */
export class SetupError extends Error {
  constructor(what, remedy, detail = '') {
    super([what, remedy, detail].filter(Boolean).join('\n'))
  }
}

const QUIET_REPORT_MS = 15_000
const OUTPUT_KEPT = 6_000

/**
 * Runs a command and shows that something goes on: a line that counts seconds on a terminal, a line now and then in a
 * log. Its output is kept back and shown only when it fails.
 * @param {string} doing what the person reads, e.g. "installing packages (npm ci)"
 */
export async function step(doing, command, args, options = {}) {
  const stopShowing = show(doing)
  const { code, output } = await run(command, args, options)
  stopShowing(code === 0)
  if (code === 0) return output
  throw new SetupError(
    `${doing} failed (exit code ${code}): ${command} ${args.join(' ')}`,
    options.remedy ?? 'Its last words were:',
    output.slice(-OUTPUT_KEPT).trim(),
  )
}

/** Runs quietly; never throws for a failing command. */
export function run(command, args, options = {}) {
  return new Promise((resolve) => {
    const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'], cwd: options.cwd, env: options.env ?? process.env })
    let output = ''
    const keep = (chunk) => (output = (output + chunk).slice(-OUTPUT_KEPT * 4))
    child.stdout.on('data', keep)
    child.stderr.on('data', keep)
    child.once('error', (error) => resolve({ code: 127, output: error.message }))
    child.once('close', (code, signal) => resolve({ code: code ?? signal, output }))
  })
}

export function say(line) {
  console.log(`[setup] ${line}`)
}

/** Returns the function that ends the display. */
function show(doing) {
  const startedAt = Date.now()
  const seconds = () => Math.round((Date.now() - startedAt) / 1000)
  const terminal = process.stdout.isTTY && !process.env.CI
  if (!terminal) say(`${doing} ...`)
  const draw = () => {
    if (terminal) process.stdout.write(`\r[setup] ${doing} ... ${seconds()} s `)
    else say(`${doing} ... still busy after ${seconds()} s`)
  }
  const timer = setInterval(draw, terminal ? 250 : QUIET_REPORT_MS)
  return (ok) => {
    clearInterval(timer)
    const end = `${doing}: ${ok ? 'done' : 'FAILED'} after ${seconds()} s`
    if (terminal) process.stdout.write(`\r\u001b[2K[setup] ${end}\n`)
    else say(end)
  }
}
