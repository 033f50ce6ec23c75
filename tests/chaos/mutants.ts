import type { Random } from './random.ts'

/** Messages of a media socket that something has happened to. */
const VALUES: readonly unknown[] = [null, true, false, 0, -1, 1e308, Number.MAX_SAFE_INTEGER, '', 'x', '-1', '999999999999999', '1e9', '\u0000', '\ud800', '😀'.repeat(50), 'A'.repeat(5_000), [], {}, [[[[[]]]]], { __proto__: null }, { length: 1e9 }]

/** The same seed makes the same mutant. Most are still JSON; some are cut or have a byte turned over. */
export function mutantOf(message: object, random: Random): string {
  const changed = structuredClone(message) as Record<string, unknown>
  const changes = 1 + random.below(3)
  for (let done = 0; done < changes; done++) mutate(changed, random)
  const text = JSON.stringify(changed)
  const fate = random.below(10)
  if (fate === 0) return text.slice(0, random.below(text.length))
  return fate === 1 ? turned(text, random) : text
}

/** One field somewhere: gone, of another kind, doubled under another name, or someone else's. */
function mutate(into: Record<string, unknown>, random: Random): void {
  const keys = Object.keys(into)
  if (keys.length === 0) return
  const key = random.pick(keys)
  const value = into[key]
  if (typeof value === 'object' && value !== null && random.below(3) > 0) return mutate(value as Record<string, unknown>, random)
  const kind = random.below(5)
  if (kind === 0) delete into[key]
  else if (kind === 1) into[random.pick(['__proto__', 'constructor', 'toString', ` ${key}`])] = value
  else if (kind === 2) into[key] = into[random.pick(keys)]
  else if (kind === 3 && typeof value === 'string') into[key] = turned(value, random)
  else into[key] = random.pick(VALUES)
}

function turned(text: string, random: Random): string {
  if (text === '') return '\u0007'
  const at = random.below(text.length)
  return text.slice(0, at) + String.fromCharCode(random.below(0x250)) + text.slice(at + 1)
}
