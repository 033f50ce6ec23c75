/** One admission: it was decided somewhere between the two, milliseconds of a clock that the processes share. */
export type Admission = { askedMs: number; toldMs: number }

/**
 * How many admissions certainly lay in a window together with `limit` earlier ones. When an admission was decided is known only as
 * "between asking and being told", so a group counts when even its widest reading fits: last told - first asked < `windowMs`.
 * The limiter's clock has whole milliseconds, so a window may look one shorter from outside.
 */
export function overAdmitted(admissions: readonly Admission[], limit: number, windowMs: number): number {
  const sorted = admissions.toSorted((a, b) => a.toldMs - b.toldMs)
  let over = 0
  for (let last = limit; last < sorted.length; last++) {
    const group = sorted.slice(last - limit, last + 1)
    if (sorted[last]!.toldMs - Math.min(...group.map(({ askedMs }) => askedMs)) < windowMs - 1) over += 1
  }
  return over
}
