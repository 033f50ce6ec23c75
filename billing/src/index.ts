export * from './card.ts'
export * from './ledger.ts'
export * from './rate.ts'
export { simulateLedger, type SimulationReport } from './simulation.ts'
