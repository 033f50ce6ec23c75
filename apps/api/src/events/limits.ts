/** What one listener and one tenant may use, in each process. Tests shorten the times. */
export const LIMITS = {
  frameBytesMax: 4_096,
  /** What a reader may leave unread in our memory. Who leaves more is sent away, and comes back for the rest. */
  unreadBytesMax: 1_048_576,
  /** Of a reader that catches up: how long it may take for what it has been sent. */
  slowMs: 15_000,
  socketsPerTenant: 200,
  heartbeatMs: 30_000,
  /** Rings can be missed: every tenant is looked at this often. */
  sweepMs: 5_000,
  /** A watch lives 15 minutes without being said again. */
  renewMs: 60_000,
  /** How long publishers may take to hear that a tenant is listened to. Waited for once, when it was not before. */
  settleMs: 200,
  /** Whether the credentials still stand. */
  recheckMs: 2_000,
  /** Who cannot be asked about for so long is sent away. */
  unknownMs: 30_000,
  /** Events read at once. */
  pageSize: 200,
  /** Listeners that catch up at once; others wait in line. */
  catchingUpMax: 4,
  /** Frames a second of any kind; twice this at once. */
  framesPerSecond: 10,
}
export type Limits = typeof LIMITS
