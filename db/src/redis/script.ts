import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import type { Redis } from 'ioredis'

export type Script = { source: string; sha: string }

const read = (name: string) => readFileSync(new URL(`./lua/${name}.lua`, import.meta.url), 'utf8')

/** Loads `lua/<name>.lua`, with the functions of other files put before it. */
export function loadScript(name: string, ...preludes: string[]): Script {
  return scriptOf([...preludes, name].map(read).join('\n'))
}

export const scriptOf = (source: string): Script => ({ source, sha: createHash('sha1').update(source).digest('hex') })

/** Runs it by its digest; a server that has forgotten it (restart, SCRIPT FLUSH) gets the source once more. */
export async function runScript<Answer>(redis: Redis, script: Script, keys: readonly string[], args: readonly (string | number)[]): Promise<Answer> {
  try {
    return (await redis.evalsha(script.sha, keys.length, ...keys, ...args)) as Answer
  } catch (error) {
    if (!(error instanceof Error) || !error.message.startsWith('NOSCRIPT')) throw error
    return (await redis.eval(script.source, keys.length, ...keys, ...args)) as Answer
  }
}
