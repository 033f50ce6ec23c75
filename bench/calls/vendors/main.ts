import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { WebSocketServer } from 'ws'
import { serveJobs } from '../../stage/actor.ts'
import { answer } from './model.ts'
import { createNotes, type Notes } from './notes.ts'
import { Recogniser } from './recogniser.ts'
import { speak } from './voice.ts'

/** The suppliers of a call in one process: OpenAI's model and voice, Deepgram's ears, Twilio's REST interface. `open` answers the address, `notes` what was seen since the last time. */
export type VendorsJob = { do: 'open' } | { do: 'notes' }

const notes = createNotes()
const sockets = new WebSocketServer({ noServer: true, perMessageDeflate: false })

async function serve(request: IncomingMessage, reply: ServerResponse): Promise<void> {
  const chunks: Buffer[] = []
  for await (const chunk of request) chunks.push(chunk as Buffer)
  const body = Buffer.concat(chunks).toString('utf8')
  const path = request.url ?? ''
  if (path.startsWith('/v1/responses')) return answer(body, reply, notes.note)
  if (path.startsWith('/v1/audio/speech')) return speak(body, reply, notes.note)
  const json = path.startsWith('/v1/conversations') ? { id: 'conv_bench', object: 'conversation' } : { sid: /CA[0-9a-f]{32}/.exec(path)?.[0] ?? '', status: 'completed' }
  reply.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(json))
}

function open(): Promise<string> {
  const server = createServer((request, reply) => void serve(request, reply).catch(() => reply.destroy()))
  server.on('upgrade', (request, stream, head) => sockets.handleUpgrade(request, stream, head, (socket) => {
    const recogniser = new Recogniser(socket, notes.note)
    socket.on('message', (data: Buffer, isBinary) => recogniser.take(data, isBinary)).on('error', () => socket.terminate())
  }))
  return new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve(`http://127.0.0.1:${(server.address() as AddressInfo).port}`)))
}

serveJobs<VendorsJob>(async (job): Promise<string | Notes> => (job.do === 'open' ? open() : notes.take()))
