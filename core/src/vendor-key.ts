import { z } from 'zod'

/** Vendors at which a tenant may have a key of its own: of models, of speech, or (OpenAI) of both. */
export const KeyVendorId = z.enum(['openai', 'anthropic', 'groq', 'compatible', 'deepgram', 'elevenlabs', 'google', 'polly'])
export type KeyVendorId = z.infer<typeof KeyVendorId>

/** Those of them that hear or speak. */
export const SpeechKeyVendorId = KeyVendorId.extract(['openai', 'deepgram', 'elevenlabs', 'google', 'polly'])
export type SpeechKeyVendorId = z.infer<typeof SpeechKeyVendorId>

/** Amazon's key has parts. The region becomes a part of a host's name, so it may not be anything else. */
export const AwsKey = z.strictObject({
  accessKeyId: z.string().regex(/^[A-Z0-9]{16,128}$/, '16 to 128 capital letters and digits'),
  secretAccessKey: z.string().regex(/^[\x21-\x7e]{16,256}$/, '16 to 256 visible ASCII characters'),
  sessionToken: z.string().regex(/^[\x21-\x7e]{1,4096}$/, 'Visible ASCII characters only').optional(),
  region: z.string().regex(/^[a-z]{2}(-[a-z]{2,12}){1,3}-\d{1,2}$/, 'A region of AWS: eu-central-1'),
})
export type AwsKey = z.infer<typeof AwsKey>
