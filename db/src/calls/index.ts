// Calls as rows: opened before they are answered, owned by one process while they live, ended and charged once. See core/src/call.ts.
export * from './contract.ts'
export * from './end.ts'
export * from './live.ts'
export * from './open.ts'
export * from './read.ts'
export * from './transfer.ts'
