import { readEnv } from './env.ts'
import { startSandbox } from './index.ts'

const sandbox = await startSandbox(readEnv())

// One line of JSON tells whoever started us where everything is.
process.stdout.write(`${JSON.stringify({ ready: true, app: 'sandbox', url: sandbox.url, mail_port: sandbox.mailPort, pid: process.pid })}\n`)

const stop = () => void sandbox.close().then(() => process.exit(0))
process.once('SIGTERM', stop)
process.once('SIGINT', stop)
