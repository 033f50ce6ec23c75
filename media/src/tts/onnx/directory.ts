import { access, readFile, readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { z } from 'zod'
import { speechError } from '../failure.ts'

/** A folder of model files. What is missing is told with its name and its place. */
export class ModelDirectory {
  readonly #engine: string
  readonly #path: string

  constructor(engine: string, path: string) {
    this.#engine = engine
    this.#path = path
  }

  path(file: string): string {
    return join(this.#path, file)
  }

  /** The first of these names that is there. Rejects with `model_missing`. */
  async find(...files: string[]): Promise<string> {
    for (const file of files) if (await exists(this.path(file))) return this.path(file)
    throw this.#missing(files[0]!)
  }

  async json<Schema extends z.ZodType>(schema: Schema, ...files: string[]): Promise<z.infer<Schema>> {
    const path = await this.find(...files)
    try {
      return schema.parse(JSON.parse(await readFile(path, 'utf8')))
    } catch (error) {
      throw speechError('unsupported', `${this.#engine}: ${path} is not what it should be`, null, error)
    }
  }

  /** Little endian, as all of these files are. `maxBytes`: larger ones are something else. */
  async floats(file: string, maxBytes: number): Promise<Float32Array> {
    const path = await this.find(file)
    const { size } = await stat(path)
    if (size > maxBytes || size % 4 !== 0) throw speechError('unsupported', `${this.#engine}: ${path} has ${size} bytes, which no such file has`)
    const bytes = await readFile(path)
    return new Float32Array(Uint8Array.from(bytes).buffer)
  }

  async list(folder: string, suffix: string): Promise<string[]> {
    const names = await readdir(this.path(folder)).catch(() => [])
    return names.filter((name) => name.endsWith(suffix)).map((name) => name.slice(0, -suffix.length)).sort()
  }

  #missing(file: string): ReturnType<typeof speechError> {
    return speechError('model_missing', `${this.#engine} needs the file ${file} in the folder ${this.#path}`)
  }
}

const exists = (path: string): Promise<boolean> => access(path).then(() => true, () => false)

/** Names of voices become names of files: nothing that leads elsewhere. */
export function fileName(engine: string, voice: string): string {
  if (!/^[\p{L}\p{N}][\p{L}\p{N}_.+-]{0,99}$/u.test(voice) || voice.includes('..')) throw speechError('unsupported', `${engine} has no voice of that name`)
  return voice
}
