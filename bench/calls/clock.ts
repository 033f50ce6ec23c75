/** Milliseconds of the machine's monotonic clock: the same in all processes, so that their times may be subtracted. */
const offsetMs = Number(process.hrtime.bigint()) / 1e6 - performance.now()

export const sharedMs = (): number => performance.now() + offsetMs
