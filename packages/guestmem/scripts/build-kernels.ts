/**
 * Regenerates `src/*-module.ts` from `src/*.wat`. Run it after editing the text:
 *
 *     node packages/guestmem/scripts/build-kernels.ts
 *
 * The test `the generated modules are those of the text` fails until it has been run.
 */
import { readFileSync, writeFileSync } from 'node:fs'
import wabt from 'wabt'

/** Kernels by the stem of their file names, with the exported name of the generated constant. */
export const KERNELS = [
  { stem: 'copy-kernel', constant: 'COPY_KERNEL_BASE64' },
  { stem: 'memory-kernel', constant: 'MEMORY_KERNEL_BASE64' },
  { stem: 'transfer-kernel', constant: 'TRANSFER_KERNEL_BASE64' },
  { stem: 'guest-transfer-kernel', constant: 'GUEST_TRANSFER_KERNEL_BASE64' },
] as const

const FEATURES = { multi_memory: true, threads: true, bulk_memory: true }

function fileUrl(stem: string, ending: string): URL {
  return new URL(`../src/${stem}${ending}`, import.meta.url)
}

/** The text of the generated TypeScript module for one kernel. */
export async function generateModule(stem: string, constant: string): Promise<string> {
  const assembler = await wabt()
  const parsed = assembler.parseWat(
    `${stem}.wat`,
    readFileSync(fileUrl(stem, '.wat'), 'utf8'),
    FEATURES,
  )
  // wabt's types leave out the features that its code takes.
  const validate: (features: object) => void = parsed.validate.bind(parsed)
  validate(FEATURES)
  const base64 = Buffer.from(parsed.toBinary({}).buffer).toString('base64')
  parsed.destroy()
  const lines = base64.match(/.{1,92}/g) ?? []
  const body = lines.map((line) => `  '${line}'`).join(' +\n')
  return (
    `// Generated from ${stem}.wat by scripts/build-kernels.ts. Do not edit.\n\n` +
    `/** The assembled module, base64. */\nexport const ${constant}: string =\n${body}\n`
  )
}

if (import.meta.main) {
  for (const { stem, constant } of KERNELS) {
    writeFileSync(fileUrl(stem, '-module.ts'), await generateModule(stem, constant))
  }
}
