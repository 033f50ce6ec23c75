export * from './contract.ts'
export * from './folder.ts'
export { holdObject } from './object-lock.ts'
