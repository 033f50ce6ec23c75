export * from './redis/connect.ts'
export * from './seal.ts'
export * from './tenancy.ts'
export * as tables from './tables/schema.ts'
