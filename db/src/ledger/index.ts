// The double-entry ledger. Every function takes a transaction (of a tenant, or of the system for many tenants at once) and
// writes nothing outside of it. See billing/ for what things cost.
export * from './balances.ts'
export * from './close.ts'
export * from './fund.ts'
export * from './hold.ts'
export * from './statement.ts'
export * from './verify.ts'
export * from './wallet.ts'
