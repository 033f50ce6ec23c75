/** Where the events of a session go: a socket, or a data channel. */
export type Outlet = {
  send(text: string): void
  /** Bytes that the client has not taken yet. */
  readonly waitingBytes: number
  /** Idempotent. */
  close(code: number, reason: string): void
}
