import { MessageChannel, parentPort, type MessagePort } from 'node:worker_threads'
import { SoundFileError, type DecodeAsk, type DecodedFile, type DecodeReply } from './contract.ts'
import { decodeFile } from './decode.ts'

const port = parentPort!

/** One file at a time: who asks waits for the answer before the next. */
port.on('message', ({ bytes, maxMs }: DecodeAsk) => void decodeFile(bytes, maxMs, openFaad).then(answer, refuse))

function openFaad(): MessagePort {
  const { port1, port2 } = new MessageChannel()
  port.postMessage({ type: 'faad', port: port2 } satisfies DecodeReply, [port2])
  return port1
}

function answer(file: DecodedFile): void {
  // Its own memory: a part of a larger buffer cannot be given away.
  const pcm = file.pcm.byteLength === file.pcm.buffer.byteLength ? file.pcm : file.pcm.slice()
  port.postMessage({ type: 'decoded', file: { ...file, pcm } } satisfies DecodeReply, [pcm.buffer as ArrayBuffer])
}

function refuse(error: unknown): void {
  const { fault, message } = error instanceof SoundFileError ? error : new SoundFileError('unreadable', 'it cannot be read')
  port.postMessage({ type: 'failed', fault, message } satisfies DecodeReply, [])
}
