import type { AddressInfo } from 'node:net'
import { WebSocketServer } from 'ws'
import { serveJobs } from '../stage/actor.ts'

/** What sockets cost by themselves: says short messages back, and forgets long ones (sound). Answers its address. */
export type EchoJob = { do: 'open' }

const SHORT_BYTES = 1_024

serveJobs<EchoJob>(async () => {
  const server = new WebSocketServer({ host: '127.0.0.1', port: 0, backlog: 1_024, perMessageDeflate: false })
  server.on('connection', (socket) => {
    socket.on('message', (data: Buffer) => {
      if (data.length < SHORT_BYTES) socket.send(data.toString('utf8'))
    })
    socket.send('{"type":"session.created"}')
  })
  await new Promise((resolve) => server.once('listening', resolve))
  return `ws://127.0.0.1:${(server.address() as AddressInfo).port}`
})
