export { composeWorker, type Worker } from './compose.ts'
export { readEnv, type WorkerEnv } from './env.ts'
export { startHealthServer } from './server.ts'
