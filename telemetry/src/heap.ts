import { setFlagsFromString } from 'node:v8'

/**
 * Lets the old heap grow by a fifth between two full collections, where V8's own rule may let it grow fourfold. A process that
 * handles short-lived messages keeps little: without this, ten thousand conversations leave 330 MiB of garbage in api and worker
 * (36 MiB with it; `npm run bench -- conversations`). First thing of a process's main: the rule is read at each collection.
 */
export const growHeapSlowly = (): void => setFlagsFromString('--heap-growing-percent=20')
