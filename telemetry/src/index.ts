export { growHeapSlowly } from './heap.ts'
export { createLog } from './log.ts'
