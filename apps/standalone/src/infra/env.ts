import { accessSync, constants } from 'node:fs'
import { delimiter, join } from 'node:path'

/** What a server needs of this machine's environment to run, and none of our secrets. */
export function serverEnvironment(extra: Record<string, string> = {}): Record<string, string> {
  const kept = ['PATH', 'HOME', 'TZ', 'LD_LIBRARY_PATH', 'TMPDIR']
  const inherited = kept.flatMap((name): [string, string][] => {
    const value = process.env[name]
    return value === undefined ? [] : [[name, value]]
  })
  return { ...Object.fromEntries(inherited), ...extra }
}

/** The full path of a program, as a shell would find it. */
export function findOnPath(program: string): string | null {
  const candidates = (process.env.PATH ?? '').split(delimiter).map((folder) => join(folder, program))
  return candidates.find(isExecutable) ?? null
}

function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK)
    return true
  } catch {
    return false
  }
}
