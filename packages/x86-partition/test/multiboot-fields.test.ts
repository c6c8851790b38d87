// A kernel that prints what its loader told it, field by field.

import { KernelHost, multibootImage, type MultibootModule } from '@guestyard/x86-partition'
import { readProcessorModule } from '@guestyard/x86-partition/node'
import { expect, test } from 'vitest'

import { Assembler, asm } from './assembler.ts'
import { i32, kernelOf } from './tiny-machine.ts'

const RAM = 4 * 2 ** 20
const MODULES: readonly MultibootModule[] = [
  { bytes: new TextEncoder().encode('first content\0'), text: 'first a=1' },
  { bytes: new Uint8Array(5000).fill(0x41, 0, 3), text: 'second' },
]

/** EAX and EBX as the kernel was entered with. */
function printer(): number[] {
  const kernel = new Assembler().eax('magic')
  const words = [...Object.entries({ flags: 0, lower: 4, upper: 8, modules: 20 })]
  for (const [name, at] of words) kernel.emit(...asm.eaxAtEbx(at)).eax(name)
  kernel.emit(...asm.esiAtEbx(16)).esi('cmdline')
  kernel.emit(...asm.esiAtEbx(64)).esi('loader')
  kernel.emit(0x8b, 0x7b, 24) // mov edi, [ebx + 24]
  for (const at of [0, 16]) {
    kernel.emit(0x8b, 0x77, at + 8).esi('module') //           mov esi, [edi + at + 8]
    kernel.emit(0x8b, 0x77, at).esi('content') //              mov esi, [edi + at]
    kernel.emit(0x8b, 0x47, at).eax('start') //                mov eax, [edi + at]
    kernel.emit(0x8b, 0x47, at + 4, 0x2b, 0x47, at).eax('size') // mov eax, [edi + at + 4]; sub eax, [edi + at]
  }
  // mov ebp, [ebx + 48]; mov edi, [ebx + 44]; add edi, ebp; again: cmp ebp, edi; jae
  kernel.emit(0x8b, 0x6b, 48, 0x8b, 0x7b, 44, 0x01, 0xef).label('again').emit(0x39, 0xfd)
  kernel.to('done', 0x0f, 0x83)
  kernel.emit(0x8b, 0x45, 4).eax('from').emit(0x8b, 0x45, 12).eax('bytes')
  kernel.emit(0x8b, 0x45, 20).eax('type')
  // add ebp, [ebp]; add ebp, 4
  kernel.emit(0x03, 0x6d, 0, 0x83, 0xc5, 4).to('again', 0xe9)
  return kernel.label('done').exit(0).bytes()
}

/** The same as an ELF file that is linked for 3 GiB and loaded at 1 MiB, with room behind it that has to be zero. */
function elfOf(code: readonly number[]): Uint8Array {
  const header = [0x1bad_b002, 0x3, -(0x1bad_b002 + 0x3)]
  const multiboot = new Uint8Array(Int32Array.from(header).buffer)
  const file = Uint8Array.from([...new Uint8Array(84), ...multiboot, ...code])
  const view = new DataView(file.buffer)
  file.set([0x7f, 0x45, 0x4c, 0x46, 1, 1, 1])
  view.setUint16(18, 3, true)
  view.setUint32(24, 0xc010_0000 + 96, true)
  view.setUint32(28, 52, true)
  view.setUint16(42, 32, true)
  view.setUint16(44, 1, true)
  const segment = [1, 0, 0xc010_0000, 0x10_0000, file.length, file.length + 8192]
  segment.forEach((value, index) => view.setUint32(52 + index * 4, value, true))
  return file
}

async function printed(kernel: Uint8Array): Promise<string[]> {
  let text = ''
  const host = await KernelHost.create({
    ...{ ramBytes: RAM, wasm: readProcessorModule(), random: () => 4 },
    image: multibootImage({ kernel, commandLine: 'test one=1', ramBytes: RAM, modules: MODULES }),
    onSerialByte: (port, byte) => {
      if (port === 0) text += String.fromCharCode(byte)
    },
  })
  expect(host.run(10_000)).toEqual({ is: 'exited', code: 0 })
  return text.trimEnd().split('\n')
}

function hex(value: number): string {
  return value.toString(16).padStart(8, '0')
}

/** `firstModule`: the first page behind the kernel. */
function expected(firstModule: number): string[] {
  const map = [
    [0, 0x9_fc00, 1],
    [0x9_fc00, 0x400, 2],
    [0xe_0000, 0x1_0000, 3],
    [0xf_0000, 0x1_0000, 2],
    [0x10_0000, RAM - 0x10_0000, 1],
  ] as const
  return [
    ...['magic=2badb002', `flags=${hex(0x1 | 0x4 | 0x8 | 0x40 | 0x200)}`],
    ...[`lower=${hex(639)}`, `upper=${hex(RAM / 1024 - 1024)}`, `modules=${hex(2)}`],
    ...['cmdline=test one=1', 'loader=Guestyard'],
    ...[
      'module=first a=1',
      'content=first content',
      `start=${hex(firstModule)}`,
      `size=${hex(14)}`,
    ],
    ...['module=second', 'content=AAA', `start=${hex(firstModule + 4096)}`, `size=${hex(5000)}`],
    ...map.flatMap(([from, bytes, type]) => [
      ...[`from=${hex(from)}`, `bytes=${hex(bytes)}`, `type=${hex(type)}`],
    ]),
  ]
}

test('a kernel with addresses in its header reads every field', async () => {
  expect(await printed(kernelOf(printer()))).toEqual(expected(0x10_1000))
})

test('a kernel that is an ELF file for virtual addresses reads the same', async () => {
  const code = printer()
  expect(await printed(elfOf(code))).toEqual(
    expected(0x10_0000 + Math.ceil((96 + code.length + 8192) / 4096) * 4096),
  )
})

test('a kernel finds the ACPI tables where a PC has them', async () => {
  const host = await KernelHost.create({
    ...{ ramBytes: RAM, wasm: readProcessorModule(), random: () => 4 },
    // mov eax, [0xe0000]; compare with "RSD "; sete al.
    image: multibootImage({
      kernel: kernelOf([
        ...[0xa1, ...i32(0xe_0000), 0x3d, ...Buffer.from('RSD '), 0x0f, 0x94, 0xc0, ...asm.exitAl],
      ]),
      ...{ commandLine: '', ramBytes: RAM },
    }),
  })
  expect(host.run(10_000)).toEqual({ is: 'exited', code: 1 })
})

test.each([
  [[{ bytes: new Uint8Array(RAM), text: '' }], 'module 0: no RAM is left for it'],
  [[{ bytes: new Uint8Array(1), text: 'x'.repeat(0x2_0000) }], 'module 0: its text is too long'],
  [Array.from({ length: 65 }, () => MODULES[0]!), 'modules: 65, and 64 is the most'],
])('modules that do not fit are refused by one line', (modules, message) => {
  const kernel = kernelOf([0xf4])
  const boot = { kernel, commandLine: '', ramBytes: RAM, modules }
  expect(() => multibootImage(boot)).toThrow(message)
})
