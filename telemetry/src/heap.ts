import { setFlagsFromString } from 'node:v8'

/**
 * Lets the old heap grow by so many percent between two full collections, where V8's own rule may let it grow fourfold. A process
 * that handles short-lived messages keeps little: without this, ten thousand conversations leave 330 MiB of garbage in api and
 * worker (`npm run bench -- conversations`). Each collection costs: at 20 the API pays 15 % more for a webhook, at 100 nothing
 * that can be measured. First thing of a process's main: the rule is read at each collection.
 */
export const growHeapSlowly = (percent: number): void => setFlagsFromString(`--heap-growing-percent=${percent}`)
