/**
 * Regenerates `src/ring-kernel-module.ts` from `src/ring-kernel.wat`, with the constants of
 * state-layout.ts and ring-fault.ts put in for `@NAME`. Run it after editing any of them:
 *
 *     node packages/ring/scripts/build-kernel.ts
 *
 * The test `the generated module is that of the text` fails until it has been run.
 */
import { readFileSync, writeFileSync } from 'node:fs'
import wabt from 'wabt'
import { RingFault, RingStatus } from '../src/ring-fault.ts'
import * as layout from '../src/state-layout.ts'

const TEXT = new URL('../src/ring-kernel.wat', import.meta.url)
const MODULE = new URL('../src/ring-kernel-module.ts', import.meta.url)
const FEATURES = { multi_memory: true, threads: true, bulk_memory: true, simd: true }

function constants(): Map<string, number> {
  const all = new Map<string, number>([...Object.entries(layout), ...Object.entries(RingFault)])
  for (const [name, value] of Object.entries(RingStatus)) all.set(`STATUS_${name}`, value)
  return all
}

/** The text of the generated TypeScript module. */
export async function generateModule(): Promise<string> {
  const known = constants()
  const text = readFileSync(TEXT, 'utf8')
    .replaceAll(/;;.*/g, '')
    .replaceAll(/@([A-Z_]+)/g, (_, name: string) => {
      const value = known.get(name)
      if (value === undefined) {
        throw new Error(`ring-kernel.wat uses @${name}, which nobody defines`)
      }
      return String(value)
    })
  const assembler = await wabt()
  const parsed = assembler.parseWat('ring-kernel.wat', text, FEATURES)
  // wabt's types leave out the features that its code takes.
  const validate: (features: object) => void = parsed.validate.bind(parsed)
  validate(FEATURES)
  const base64 = Buffer.from(parsed.toBinary({}).buffer).toString('base64')
  parsed.destroy()
  const body = (base64.match(/.{1,92}/g) ?? []).map((line) => `  '${line}'`).join(' +\n')
  return (
    '// Generated from ring-kernel.wat by scripts/build-kernel.ts. Do not edit.\n\n' +
    `/** The assembled module, base64. */\nexport const RING_KERNEL_BASE64: string =\n${body}\n`
  )
}

if (import.meta.main) writeFileSync(MODULE, await generateModule())
