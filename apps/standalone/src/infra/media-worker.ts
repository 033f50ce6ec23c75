import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

const SCRIPT = fileURLToPath(new URL('../../../../scripts/mediasoup-worker.mjs', import.meta.url))

/** The media worker that this machine has; null: none, and no WebRTC. Looks only: to build one takes minutes. */
export async function findMediaWorker(): Promise<string | null> {
  try {
    const { stdout } = await promisify(execFile)(process.execPath, [SCRIPT, '--check'])
    return (JSON.parse(stdout) as { path: string | null }).path
  } catch {
    // Its exit code says that there is none; why is on its stdout, for whoever runs it.
    return null
  }
}
