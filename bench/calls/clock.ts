/** Between the two looks the process may have been made to wait: the greatest of some differences is the true one. */
function offsetOf(): number {
  let offsetMs = -Infinity
  for (let look = 0; look < 50; look++) offsetMs = Math.max(offsetMs, Number(process.hrtime.bigint()) / 1e6 - performance.now())
  return offsetMs
}
const offsetMs = offsetOf()

/** Milliseconds of the machine's monotonic clock: the same in all processes, so that their times may be subtracted. */
export const sharedMs = (): number => performance.now() + offsetMs
