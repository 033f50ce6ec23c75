export * from './leads.ts'
export * from './media.ts'
