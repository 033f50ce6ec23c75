export * from './leads.ts'
export * from './media.ts'
export * from './maintenance.ts'
export * from './summaries.ts'
