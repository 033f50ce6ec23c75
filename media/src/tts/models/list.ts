import { z } from 'zod'

/** One file of a model. `path` lies inside the model's folder; `sha256` is what decides whether the file is the right one. */
export const ModelFile = z.object({
  url: z.url({ protocol: /^https?$/ }),
  path: z.string().min(1).max(255).refine((path) => !path.startsWith('/') && path.split('/').every((part) => /^[\p{L}\p{N}_][\p{L}\p{N}_.+-]*$/u.test(part)), 'must be a path inside the folder'),
  sha256: z.string().regex(/^[0-9a-f]{64}$/, 'must be 64 hexadecimal digits'),
  bytes: z.number().int().positive(),
})
export type ModelFile = z.infer<typeof ModelFile>

/** What a local engine needs, as an operator writes it down. */
export const ModelList = z.object({ files: z.array(ModelFile).min(1).max(1_000) })
export type ModelList = z.infer<typeof ModelList>
