import { createTwoFilesPatch } from 'diff'

export type FieldChange = { path: string; before: unknown; after: unknown }

/** Long texts without a common line would take quadratic time. */
const DIFF_DEADLINE_MS = 1_000

/** Every field that differs, by its path on the wire; a field that is missing on one side is null there. Instructions are told apart line by line instead. */
export function fieldChanges(before: unknown, after: unknown, path = ''): FieldChange[] {
  if (Object.is(before, after)) return []
  if (!isBranch(before) || !isBranch(after) || Array.isArray(before) !== Array.isArray(after)) return [{ path, before: before ?? null, after: after ?? null }]
  const keys = [...new Set([...Object.keys(before), ...Object.keys(after)])]
  return keys.flatMap((key) => fieldChanges(before[key], after[key], path === '' ? key : `${path}.${key}`))
}

const isBranch = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null

/** A unified diff, '' when nothing differs, null when it would take too long to find. */
export function textDiff(before: string, after: string, labels: { from: string; to: string }): string | null {
  if (before === after) return ''
  return createTwoFilesPatch(labels.from, labels.to, before, after, undefined, undefined, { context: 3, timeout: DIFF_DEADLINE_MS }) ?? null
}
