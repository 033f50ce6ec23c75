/**
 * What a client may send and what a session keeps. The first group is OpenAI's own (realtime reference, November 2026);
 * the second bounds our memory: a session is stored as JSON and restored by another process.
 */
export const LIMITS = {
  /** Decoded bytes of one `input_audio_buffer.append`. */
  audioBytes: 15 * 1024 * 1024,
  /** Shortest audio that can be committed. */
  commitMs: 100,
  metadataPairs: 16,
  metadataKey: 64,
  metadataValue: 512,
  outputTokens: 4_096,
  speedMin: 0.25,
  speedMax: 1.5,
  idleTimeoutMinMs: 5_000,
  idleTimeoutMaxMs: 30_000,

  /** One WebSocket message: the largest audio in base64 and its envelope. */
  messageBytes: 21 * 1024 * 1024,
  /** Audio that waits for a commit. In a VAD mode the oldest falls off while nobody speaks. */
  bufferMs: 10 * 60_000,
  id: 64,
  eventId: 512,
  name: 128,
  instructions: 262_144,
  text: 262_144,
  imageUrl: 2_097_152,
  contentParts: 64,
  tools: 128,
  toolDescription: 16_384,
  /** JSON text of a free-form object (tool parameters, prompt variables, trace metadata). */
  json: 65_536,
  jsonDepth: 32,
  keywords: 1_000,
  items: 2_000,
  /** Characters of all items of a conversation. */
  conversation: 4_194_304,
  /** Items in `response.create`'s own input. */
  inputItems: 200,
  /** Responses at the same time, out-of-band ones included. */
  responses: 16,
  outputItems: 128,
  /** Items whose audio is being fetched for `conversation.item.retrieve`. */
  retrievals: 64,
  /** Word timings kept for one spoken part. */
  spans: 8_192,
} as const
