import { z } from 'zod'

/** Passwords that guessers try first and that are long enough for our minimum. */
const COMMON = new Set([
  '1234567890', '12345678910', '0123456789', '9876543210', '1111111111', '0000000000', 'qwertyuiop', 'qwerty12345', 'qwerty123456', 'password12', 'password123', 'password1234', 'passwordpassword',
  'passw0rd123', 'p@ssw0rd123', 'iloveyou123', 'letmein1234', 'welcome123', 'welcome1234', 'changeme123', 'administrator', 'admin12345', 'superman123', 'football123', 'baseball123', 'trustno1trustno1',
  '1q2w3e4r5t', '1q2w3e4r5t6y', 'zaq12wsxcde3', 'abcdefghij', 'abcdefghijk', 'asdfghjkl1', 'asdfghjklz', 'aaaaaaaaaa', 'abc1234567', 'monkey1234', 'dragon1234', 'sunshine123', 'princess123', 'michael123',
])

/** NIST SP 800-63B §5.1.1.2: length and a list of known ones, no rules about kinds of characters. The upper end bounds the work of a hash. */
export const NewPassword = z
  .string()
  .min(10, 'A password has 10 characters or more.')
  .max(200, 'A password has 200 characters at most.')
  .refine((password) => !COMMON.has(password.toLowerCase()) && new Set(password).size >= 4, 'This password is among the first that anyone would try.')
  .meta({ examples: ['correct horse battery staple'] })

/** What somebody types at a log-in is not judged, only bounded. */
export const TypedPassword = z.string().min(1).max(200).meta({ examples: ['correct horse battery staple'] })

export const Email = z.email().max(254).meta({ examples: ['ada@example.com'] })
