export { buildApp } from './app.ts'
export { compose, type Composed } from './compose.ts'
export { readEnv, type ApiEnv } from './env.ts'
