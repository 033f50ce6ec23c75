export { Breakers } from '@trunkline/core'
export type { BreakerOptions, BreakerState, Permit } from '@trunkline/core'
