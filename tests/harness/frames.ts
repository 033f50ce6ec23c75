import type { WebSocket } from 'ws'

const TIMEOUT_MS = 10_000

/** A client's end of a socket of JSON frames. Every frame is kept, in order. */
export class FrameClient<Frame extends { type: string }> {
  readonly socket: WebSocket
  readonly frames: Frame[] = []
  /** The code with which the socket was closed. */
  readonly closed: Promise<number>
  readonly #waiting = new Set<() => void>()

  constructor(socket: WebSocket) {
    this.socket = socket
    socket.on('message', (data: Buffer) => {
      this.frames.push(JSON.parse(data.toString()) as Frame)
      for (const look of this.#waiting) look()
    })
    socket.on('error', () => {})
    this.closed = new Promise((resolve) => {
      socket.once('close', (code) => resolve(code))
    })
  }

  /** Text goes as it is. */
  send(frame: unknown): void {
    this.socket.send(typeof frame === 'string' ? frame : JSON.stringify(frame))
  }

  /** Resolves as soon as what has come satisfies the test. */
  until(check: (frames: Frame[]) => boolean, timeoutMs = TIMEOUT_MS): Promise<void> {
    return new Promise((resolve, reject) => {
      const look = (): void => {
        if (!check(this.frames)) return
        clearTimeout(timer)
        this.#waiting.delete(look)
        resolve()
      }
      const timer = setTimeout(() => {
        this.#waiting.delete(look)
        reject(new Error(`not within ${timeoutMs} ms; came: ${JSON.stringify(this.frames).slice(0, 1_500)}`))
      }, timeoutMs)
      this.#waiting.add(look)
      look()
    })
  }

  /** The first frame of a type, when it is there. */
  async frame(type: string): Promise<Frame> {
    await this.until((frames) => frames.some((frame) => frame.type === type))
    return this.frames.find((frame) => frame.type === type)!
  }

  async end(): Promise<void> {
    this.socket.terminate()
    await this.closed
  }
}
