export type Load = {
  /** Worker processes now. */
  workers: number
  /** Messages that wait. */
  waiting: number
  oldestAgeMs: number
  /** Mean CPU of the workers, 0..1 of one core each. */
  cpu: number
  /** Turns at work and the most that may be, over all workers. */
  turnsInFlight: number
  maxTurnsInFlight: number
}
export type ScaleRules = {
  min: number
  max: number
  /** The oldest message should be younger. Default 5,000. */
  targetAgeMs: number
  /** Default 0.7. */
  targetCpu: number
  /** Messages that one worker clears within the target age. Default 500. */
  perWorker: number
}
export const DEFAULT_SCALE_RULES: ScaleRules = { min: 1, max: 32, targetAgeMs: 5_000, targetCpu: 0.7, perWorker: 500 }

/**
 * How many workers an autoscaler should run. Each measure proposes a count and the largest wins. A queue grows old also when
 * a supplier is slow: length and age count only as far as the workers are busy, because more idle ones would not help.
 */
export function suggestedWorkers(load: Load, rules: ScaleRules = DEFAULT_SCALE_RULES): number {
  const workers = Math.max(1, load.workers)
  const slots = load.maxTurnsInFlight > 0 ? load.turnsInFlight / load.maxTurnsInFlight : 0
  const byCpu = (workers * load.cpu) / rules.targetCpu
  const bySlots = (workers * slots) / 0.8
  const busy = Math.min(1, Math.max(load.cpu / rules.targetCpu, slots / 0.8))
  const late = load.oldestAgeMs > rules.targetAgeMs ? Math.min(2, load.oldestAgeMs / rules.targetAgeMs) : 0
  const byLength = Math.min((load.waiting / rules.perWorker) * busy, workers * 2)
  const wanted = Math.max(byCpu, bySlots, byLength, workers * late * busy)
  return Math.min(rules.max, Math.max(rules.min, Math.ceil(wanted - 1e-9)))
}
