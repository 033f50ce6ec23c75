export { growHeapSlowly } from './heap.ts'
export { createLog } from './log.ts'
export { count, list, logLevel, port, readSettings, webUrl } from './settings.ts'
