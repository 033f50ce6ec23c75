export * from './card.ts'
export * from './rate.ts'
