import { connect, type Socket } from 'node:net'

/** One keep-alive HTTP/1.1 connection, one request at a time. As little work as can be, since it shares the cores with what it measures. */
export class Connection {
  readonly #host: string
  readonly #port: number
  #socket: Socket | null = null
  #resolve: ((status: number) => void) | null = null
  #text = ''

  constructor(url: URL) {
    this.#host = url.hostname
    this.#port = Number(url.port)
  }

  /** The whole request as it goes over the wire. Answers the status; 0 when the connection broke. */
  send(request: string): Promise<number> {
    return new Promise((resolve) => {
      this.#resolve = resolve
      this.#text = ''
      if (!this.#socket || this.#socket.destroyed) this.#socket = this.#open()
      this.#socket.write(request)
    })
  }

  close(): void {
    this.#socket?.destroy()
  }

  #open(): Socket {
    const socket = connect({ host: this.#host, port: this.#port, noDelay: true })
    socket.setEncoding('latin1')
    socket.on('data', (chunk: string) => this.#read(chunk))
    socket.on('error', () => {})
    socket.on('close', () => this.#done(0))
    return socket
  }

  #read(chunk: string): void {
    this.#text += chunk
    const end = this.#text.indexOf('\r\n\r\n')
    if (end < 0) return
    const length = /\r\ncontent-length: (\d+)/i.exec(this.#text)
    if (length && this.#text.length < end + 4 + Number(length[1])) return
    this.#done(Number(this.#text.slice(9, 12)))
  }

  #done(status: number): void {
    const resolve = this.#resolve
    this.#resolve = null
    resolve?.(status)
  }
}
