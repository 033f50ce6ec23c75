import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { linksResolve, lockfileWhole, lockfileWithoutAddresses, readmeEverywhere, sameChannelFiles } from './documents.ts'
import { declaredDependencies, importTable, noCycles } from './imports.ts'
import { environmentInOnePlace, noAny, noLeftovers, noMachinePaths, plainNames, shortFiles, wholeMoney } from './text.ts'
import { readTree, type Rule, type SourceFile } from './tree.ts'

const tree = readTree(fileURLToPath(new URL('../..', import.meta.url)))
const file = (path: string, text = ''): SourceFile => ({ path, text })
const lock = (packages: object): SourceFile => file('package-lock.json', JSON.stringify({ packages }))
const found = (rule: Rule, files: readonly SourceFile[]): string[] => rule(files).map(({ path, message }) => `${path} ${message}`)

/**
 * Every rule runs over the repository and must find nothing. And because a rule that cannot fail is worth nothing, each
 * is also shown files that it must refuse (`bad`) and neighbours that it must let through (`good`).
 */
const rules: { name: string; rule: Rule; bad: [SourceFile[], RegExp][]; good: SourceFile[] }[] = [
  {
    name: 'rooms import as DESIGN §1 says',
    rule: importTable,
    bad: [
      [[file('core/src/ids.ts', `import fs from 'node:fs'`)], /^core\/src\/ids\.ts:1 .*core imports zod only/],
      [[file('core/src/ids.ts', `import { migrate } from '@trunkline/db'`)], /rooms import core only/],
      [[file('billing/src/rate.ts', `// a comment\nimport type {\n  Db,\n} from '@trunkline/db'`)], /^billing\/src\/rate\.ts:4 .*rooms import core only/],
      [[file('agents/src/turn.ts', `export * from '../../db/src/index.ts'`)], /a relative import stays in its room/],
      [[file('apps/api/src/main.ts', `import { Db } from '@trunkline/db/src/tenancy.ts'`)], /front door/],
      [[file('apps/api/src/main.ts', `import { startSandbox } from '@trunkline/app-sandbox'`)], /apps do not import each other/],
      [[file('apps/api/src/main.ts', `const pg = await import('pg')`)], /used in db\/ only/],
      [[file('channels/src/webchat/client.ts', `import { WebSocketServer } from 'ws'`)], /used in apps\/ only/],
      [[file('agents/src/turn.ts', `import OpenAI from 'openai'`)], /used in agents\/src\/vendors\/openai\/ .*only/],
      [[file('db/src/index.ts', `import { rows } from './queue/testing.ts'`)], /does not import what was made for tests/],
      [[file('db/src/index.ts', `import { connect } from './tenancy'`)], /names its file with the extension/],
    ],
    good: [
      file('core/src/ids.ts', `import { z } from 'zod'\nimport { randomBytes } from 'node:crypto'\nimport type { Clock } from './clock.ts'`),
      file('db/src/index.ts', `import pg from 'pg'\nimport { drizzle } from 'drizzle-orm/node-postgres'\nimport { newId } from '@trunkline/core'`),
      file('apps/api/src/main.ts', `import { connectDb } from '@trunkline/db'\nimport Fastify from 'fastify'`),
      file('apps/standalone/src/main.ts', `import { startSandbox } from '@trunkline/app-sandbox'`),
      file('agents/src/vendors/openai/index.ts', `import OpenAI from 'openai'\nimport { toFile } from 'openai/uploads'`),
      file('channels/src/whatsapp/client.test.ts', `import { startSandbox } from '@trunkline/app-sandbox'`),
      file('db/src/queue/testing.ts', `import { freshDatabase } from '../../../tests/harness/database.ts'`),
      file('agents/src/says.ts', `const text = "import x from 'pg'"`),
    ],
  },
  {
    name: 'no import leads back to its own file',
    rule: noCycles,
    bad: [
      [
        [
          file('core/src/a.ts', `import { b } from './b.ts'`),
          file('core/src/b.ts', `import type { A } from './c.ts'`),
          file('core/src/c.ts', `export { a } from './a.ts'`),
        ],
        /import cycle: core\/src\/.*->.*->.*->/,
      ],
      [[file('db/src/a.ts', `import { b } from '@trunkline/core'`), file('core/src/index.ts', `import { c } from '../../db/src/a.ts'`)], /import cycle/],
    ],
    good: [
      file('core/src/a.ts', `import { b } from './b.ts'\nimport { c } from './c.ts'`),
      file('core/src/b.ts', `import { c } from './c.ts'`),
      file('core/src/c.ts'),
    ],
  },
  {
    name: 'a workspace lists the libraries that it imports',
    rule: declaredDependencies,
    bad: [
      [
        [file('db/package.json', `{"dependencies":{"pg":"1.0.0"}}`), file('db/src/a.ts', `import { Redis } from 'ioredis'`)],
        /^db\/src\/a\.ts:1 .*npm install -w db ioredis/,
      ],
    ],
    good: [
      file('db/package.json', `{"dependencies":{"pg":"1.0.0"}}`),
      file('db/src/a.ts', `import pg from 'pg'\nimport { join } from 'node:path'`),
      file('db/src/a.test.ts', `import { it } from 'vitest'`),
    ],
  },
  {
    name: 'every channel folder has the same files',
    rule: sameChannelFiles,
    bad: [
      [
        [file('channels/src/telegram/wire.ts'), file('channels/src/telegram/index.ts')],
        /^channels\/src\/telegram\/ lacks inbound\.ts, outbound\.ts, client\.ts, a test/,
      ],
      [['wire', 'inbound', 'outbound', 'client', 'index'].map((name) => file(`channels/src/telegram/${name}.ts`)), /lacks a test/],
    ],
    good: ['wire', 'inbound', 'outbound', 'client', 'index', 'inbound.test'].map((name) => file(`channels/src/telegram/${name}.ts`)),
  },
  {
    name: 'process.env is read in env.ts only',
    rule: environmentInOnePlace,
    bad: [[[file('apps/api/src/main.ts', 'const a = 1\nlisten(process.env.PORT)')], /^apps\/api\/src\/main\.ts:2 .*env\.ts/]],
    good: [
      file('apps/api/src/env.ts', 'parse(process.env)'),
      file('tests/x.ts', 'process.env.A'),
      file('db/src/a.ts', '// not process.env\nconst text = "process.env"'),
    ],
  },
  {
    name: 'no drawers, kebab-case, no folder name repeated',
    rule: plainNames,
    bad: [
      [[file('core/src/utils.ts')], /"utils\.ts" is a drawer/],
      [[file('core/src/helpers/money.ts')], /"helpers" is a drawer/],
      [[file('db/src/test-helpers.ts')], /is a drawer/],
      [[file('core/src/phoneNumber.ts')], /"phoneNumber\.ts" is not kebab-case/],
      [[file('db/src/queue/queue-drain.ts')], /call the file drain/],
    ],
    good: [file('db/src/queue/drain.test.ts'), file('channels/src/whatsapp/inbound.ts'), file('core/src/common-name.md')],
  },
  {
    name: 'nothing is left for later',
    rule: noLeftovers,
    bad: ['TODO', 'FIXME', 'XXX'].map((word) => [[file('db/src/a.ts', `// ${word} later`)], new RegExp(`^db/src/a\\.ts:1 ${word}: do it now`)]),
    good: [file('db/src/a.ts', `const metodo = 'todo'`)],
  },
  {
    name: 'no `any`',
    rule: noAny,
    bad: [
      [[file('db/src/a.ts', 'function f(x: any): void {}')], /^db\/src\/a\.ts:1/],
      [[file('db/src/a.ts', 'const x = y as any')], /unknown/],
      [[file('db/src/a.ts', 'const x: Map<string, any> = y')], /unknown/],
      [[file('db/src/a.ts', 'type A = any[]\nlet b: any[]')], /^db\/src\/a\.ts:2/],
    ],
    good: [file('db/src/a.ts', '// any row\nconst anyRow = "x: any"; await Promise.any([a]); sql`id = any(b)`')],
  },
  {
    name: 'files stay short',
    rule: shortFiles,
    bad: [
      [[file('db/src/a.ts', 'x\n'.repeat(501))], /501 lines, the limit is 500/],
      [[file('db/src/a.test.ts', 'x\n'.repeat(801))], /801 lines, the limit is 800/],
    ],
    good: [file('db/src/a.ts', 'x\n'.repeat(500)), file('db/src/a.test.ts', 'x\n'.repeat(800))],
  },
  {
    name: 'no path of one machine',
    rule: noMachinePaths,
    bad: [
      [[file('README.md', 'see /home/somebody/trunkline')], /a path of one machine/],
      [[file('apps/api/src/a.ts', `open('/Users/somebody/x')`)], /^apps\/api\/src\/a\.ts:1/],
    ],
    good: [file('README.md', 'https://example.com/home/page and ./work/x and /v1/users/home'), file('a.ts', `join(root, 'home/x')`)],
  },
  {
    name: 'money is whole',
    rule: wholeMoney,
    bad: [
      [[file('billing/src/a.ts', 'type A = { amountMicros: number }')], /bigint/],
      [[file('billing/src/a.ts', 'let priceMicros?: number')], /bigint/],
    ],
    good: [file('billing/src/a.ts', 'type A = { amountMicros: bigint; amount: number }')],
  },
  {
    name: 'the lockfile carries no download address',
    rule: lockfileWithoutAddresses,
    bad: [[[lock({ 'node_modules/a': { resolved: 'https://registry.example/a.tgz' } })], /carries a download address/]],
    good: [lock({ 'node_modules/a': { version: '1.0.0' }, 'node_modules/@trunkline/db': { resolved: 'db', link: true } })],
  },
  {
    name: 'npm ci accepts the lockfile on every platform',
    rule: lockfileWhole,
    bad: [[[lock({ 'node_modules/a': { optionalDependencies: { 'a-darwin': '1.0.0' } } })], /needs a-darwin/]],
    good: [
      lock({
        'node_modules/a': { dependencies: { b: '1.0.0', c: '1.0.0' } },
        'node_modules/a/node_modules/b': {},
        'node_modules/c': { optional: true, optionalDependencies: { 'c-darwin': '1.0.0' } },
      }),
    ],
  },
  {
    name: 'every room has its README',
    rule: readmeEverywhere,
    bad: [
      [[file('apps/api/src/main.ts')], /^apps\/api\/README\.md is missing/],
      [[], /^README\.md is missing/],
    ],
    good: ['', 'core/', 'channels/', 'media/', 'agents/', 'billing/', 'db/', 'apps/api/', 'tests/', 'bench/', 'docker/'].map((folder) =>
      file(`${folder}README.md`),
    ),
  },
  {
    name: 'links in documents find their file',
    rule: linksResolve,
    bad: [[[file('db/README.md', 'see [queue](src/queue.ts#top)')], /links to src\/queue\.ts, which is not there/]],
    good: [
      file('db/README.md', '[a](src/a.ts#x) [b](../README.md) [c](https://example.com) [d](#here) [e](src/) `[f](no.ts)`'),
      file('README.md'),
      file('db/src/a.ts'),
    ],
  },
]

describe.each(rules)('$name', ({ rule, bad, good }) => {
  it('holds in the house', () => {
    expect(found(rule, tree)).toEqual([])
  })

  it.each(bad)('can fail (%#)', (files, message) => {
    expect(found(rule, files)).toContainEqual(expect.stringMatching(message))
  })

  it('lets good neighbours through', () => {
    expect(found(rule, good)).toEqual([])
  })
})
