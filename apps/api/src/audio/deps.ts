import type { Id } from '@trunkline/core'
import type { ApiDeps } from '../deps.ts'

/** `onCharged`: what dashboards show of the balance is out of date. */
export type AudioDeps = Pick<ApiDeps, 'db' | 'keyring' | 'clock' | 'log' | 'speech'> & { onCharged: (tenantId: Id) => void }
