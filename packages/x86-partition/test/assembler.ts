// As much of an assembler as test kernels need: bytes, labels, and a few routines for what they print.

import { i32, x86 } from './tiny-machine.ts'

/** Code that runs wherever it is loaded: calls and jumps are relative. */
export class Assembler {
  readonly #bytes: number[] = []
  readonly #labels: Map<string, number> = new Map()
  readonly #calls: { readonly at: number; readonly label: string }[] = []

  emit(...bytes: number[]): this {
    this.#bytes.push(...bytes)
    return this
  }

  label(label: string): this {
    this.#labels.set(label, this.#bytes.length)
    return this
  }

  /** An instruction that ends in a distance of 32 bits. */
  to(label: string, ...opcode: number[]): this {
    this.emit(...opcode)
    this.#calls.push({ at: this.#bytes.length, label })
    return this.emit(0, 0, 0, 0)
  }

  call(label: string): this {
    return this.to(label, 0xe8)
  }

  /** Prints a text that lies behind the call which leaves its address on the stack. */
  text(text: string): this {
    const over = `over ${this.#bytes.length}`
    this.call(over).emit(...Buffer.from(text), 0)
    return this.label(over).emit(0x5e).call('puts') // pop esi
  }

  /** `name=` and EAX, eight digits, on a line. */
  eax(name: string): this {
    return this.emit(0x50).text(`${name}=`).emit(0x58).call('hex').text('\n')
  }

  /** `name=` and the text at ESI, on a line. */
  esi(name: string): this {
    return this.emit(0x56).text(`${name}=`).emit(0x5e).call('puts').text('\n')
  }

  exit(code: number): this {
    // The processor goes on to the end of its slice.
    return this.emit(...x86.exit(code), ...x86.hlt)
  }

  /** The code, with the routines behind it. */
  bytes(): number[] {
    this.label('putc').emit(0x52, 0x66, 0xba, 0xf8, 0x03, 0xee, 0x5a, 0xc3)
    // lodsb; test al, al; jz; call; jmp
    this.label('puts').emit(0xac, 0x84, 0xc0).to('put', 0x0f, 0x84)
    this.call('putc').to('puts', 0xe9).label('put').emit(0xc3)
    this.label('hex').emit(0x51, 0xb9, ...i32(8)) // push ecx; mov ecx, 8
    // rol eax, 4; push eax; and al, 15; cmp al, 10; jb +2; add al, 'a' - '0' - 10; add al, '0'
    this.label('digit').emit(0xc1, 0xc0, 4, 0x50, 0x24, 15, 0x3c, 10, 0x72, 2, 4, 0x27, 4, 0x30)
    this.call('putc').emit(0x58, 0x49).to('digit', 0x0f, 0x85).emit(0x59, 0xc3)
    for (const { at, label } of this.#calls) {
      const target = this.#labels.get(label)
      if (target === undefined) throw new Error(`no label ${label}`)
      i32(target - at - 4).forEach((byte, index) => (this.#bytes[at + index] = byte))
    }
    return this.#bytes
  }
}

export const asm = {
  /** mov eax, [ebx + offset] */
  eaxAtEbx: (offset: number): number[] => [0x8b, 0x83, ...i32(offset)],
  /** mov esi, [ebx + offset] */
  esiAtEbx: (offset: number): number[] => [0x8b, 0xb3, ...i32(offset)],
  /** mov dword [address], value */
  store: (address: number, value: number): number[] => [0xc7, 0x05, ...i32(address), ...i32(value)],
  /** movzx eax, byte [address] */
  loadByte: (address: number): number[] => [0x0f, 0xb6, 0x05, ...i32(address)],
  /** wrmsr of EDX:EAX = 0:value */
  wrmsr: (msr: number, value: number): number[] => [
    ...[...x86.movEcx(msr), ...x86.movEax(value), ...x86.movEdx(0), ...x86.wrmsr],
  ],
  /** out 0xf4, al */
  exitAl: [0xe6, 0xf4],
  iret: [0xcf],
} as const

/** The processor's own APIC is on: spurious-interrupt vector register, bit 8. */
export const APIC_ON: readonly number[] = asm.store(0xfee0_00f0, 0x1ff)
export const APIC_EOI: readonly number[] = asm.store(0xfee0_00b0, 0)

const IDT_AT = 0x18_2000
const HANDLERS = 0x18_3000
const HANDLER_BYTES = 0x200

/** lidt of `handlers`' table. */
export const LIDT: readonly number[] = x86.lidt(IDT_AT)

/** An IDT at its place in RAM, and each vector's code. */
export function handlers(
  memory: { readonly view: DataView },
  codes: Readonly<Record<number, readonly number[]>>,
): void {
  const { view } = memory
  view.setUint16(IDT_AT, 256 * 8 - 1, true)
  view.setUint32(IDT_AT + 2, IDT_AT + 16, true)
  for (const [index, [vector, code]] of Object.entries(codes).entries()) {
    const handler = HANDLERS + index * HANDLER_BYTES
    const at = IDT_AT + 16 + Number(vector) * 8
    view.setUint16(at, handler & 0xffff, true)
    view.setUint16(at + 2, 0x10, true)
    view.setUint16(at + 4, 0x8e00, true)
    view.setUint16(at + 6, handler >>> 16, true)
    code.forEach((byte, offset) => view.setUint8(handler + offset, byte))
  }
}
