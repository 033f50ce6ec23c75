/** What one visitor, one address and one socket may use. Tests shorten the times. */
export const LIMITS = {
  /** What a reader may leave unread in our memory; who leaves it there for `slowMs` is sent away. */
  unreadBytesMax: 1_048_576,
  slowMs: 15_000,
  socketsPerVisitor: 8,
  /** An office behind one address has many visitors. */
  socketsPerAddress: 200,
  /** Time to say hello. */
  helloMs: 5_000,
  heartbeatMs: 30_000,
  /** Rings can be missed: everybody is looked at this often. */
  sweepMs: 5_000,
  /** And read in full every this many sweeps. */
  sweepsPerFullRead: 12,
  /** An earlier message of ours holds back what follows it at most this long. */
  leavingMs: 60_000,
  pollMs: 25_000,
  pageSize: 50,
  /** Frames a second of any kind; twice this at once. */
  framesPerSecond: 20,
  /** Messages of one socket that wait to be committed. */
  pendingMessagesMax: 64,
  messagesPerMinute: 30,
  filesPerMinute: 10,
  sessionsPerMinute: 60,
  fileBytesMax: 10 * 1024 * 1024,
}
export type Limits = typeof LIMITS
