import type { Id } from '@trunkline/core'

/** One page of a list that is ordered by id, newest first (ids are UUIDv7). `before` is the last id of the page before. */
export type PageRequest = { limit: number; before?: Id | undefined }

/** `next` is what to pass as `before` for the following page; null at the end. */
export type Page<Row> = { items: Row[]; next: Id | null }

/** From `limit + 1` rows: the extra one only says that there is more. */
export function pageOf<Row extends { id: Id }>(rows: Row[], limit: number): Page<Row> {
  const items = rows.slice(0, limit)
  return { items, next: rows.length > limit ? items.at(-1)!.id : null }
}

/** The smallest UUIDv7 of a moment: a time filter becomes a range of ids, which indexes and partitions are made for. */
export function idFloor(at: Date): Id {
  const hex = Math.max(0, at.getTime()).toString(16).padStart(12, '0')
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-7000-8000-000000000000`
}
