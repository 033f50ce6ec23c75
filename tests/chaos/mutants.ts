import type { Chance } from '@trunkline/core'

/** Messages of a socket that something has happened to. */
const VALUES: readonly unknown[] = [null, true, false, 0, -1, 1e308, Number.MAX_SAFE_INTEGER, '', 'x', '-1', '999999999999999', '1e9', '\u0000', '\ud800', '😀'.repeat(50), 'A'.repeat(5_000), [], {}, [[[[[]]]]], { length: 1e9 }, { toJSON: 1 }]
const NAMES = ['__proto__', 'constructor', 'toString', 'hasOwnProperty']
const DEEP = 2_000

/** The same seed makes the same mutant. Most are still JSON; some are cut, have a byte turned over, or are JSON that nobody would write. */
export function mutantOf(message: object, chance: Chance): string {
  const changed = structuredClone(message) as Record<string, unknown>
  const changes = 1 + chance.below(3)
  for (let done = 0; done < changes; done++) mutate(changed, chance)
  const text = JSON.stringify(changed)
  const fate = chance.below(40)
  if (fate < 4) return text.slice(0, chance.below(text.length))
  if (fate < 8) return turned(text, chance)
  if (fate === 8) return odd(text, chance)
  return text
}

/** One field somewhere: gone, of another kind, doubled under another name, or someone else's. */
function mutate(into: Record<string, unknown>, chance: Chance): void {
  const keys = Object.keys(into)
  if (keys.length === 0) return
  const key = chance.pick(keys)
  const value = into[key]
  if (typeof value === 'object' && value !== null && chance.below(3) > 0) return mutate(value as Record<string, unknown>, chance)
  const kind = chance.below(5)
  if (kind === 0) delete into[key]
  // Defined, not assigned: an assigned `__proto__` is none in the text.
  else if (kind === 1) Object.defineProperty(into, chance.pick([...NAMES, ` ${key}`]), { value, enumerable: true, configurable: true, writable: true })
  else if (kind === 2) into[key] = structuredClone(into[chance.pick(keys)])
  else if (kind === 3 && typeof value === 'string') into[key] = turned(value, chance)
  else into[key] = structuredClone(chance.pick(VALUES))
}

function odd(text: string, chance: Chance): string {
  return chance.pick([
    () => '['.repeat(DEEP) + ']'.repeat(DEEP),
    () => '{"type":'.repeat(DEEP) + '1' + '}'.repeat(DEEP),
    () => text.replace(/:("[^"]*"|\d+)/, ':1e999'),
    // The last one counts.
    () => text.replace('{', '{"type":"nobody",'),
    () => `${text}${text}`,
    () => `\ufeff${text}`,
    () => '',
    () => ' '.repeat(1_000),
  ])()
}

function turned(text: string, chance: Chance): string {
  if (text === '') return '\u0007'
  const at = chance.below(text.length)
  return text.slice(0, at) + String.fromCharCode(chance.below(0x250)) + text.slice(at + 1)
}
