export * from './contract.ts'
export * from './folder.ts'
